"""Images sorted into one folder a label, perhaps within one folder a split."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from jointune.data.post import SPLITS, Post, usual_split
from jointune.datasets.gather import MISSING, UNREADABLE, Candidate, missing
from jointune.datasets.published_files import SetFolder, find_encodings, read_text
from jointune.errors import PostsError

ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".ico", ".avif")
_UNLABELLED = "in no label's folder"


def load_labelled_folders(folder: Path, encoding: str | None = None) -> Iterator[Candidate]:
    """Yield the images of ``<label>/`` or of ``<split>/<label>/``, each with the text of the ``.txt`` of its name.

    The first level are splits if a folder there has the name of a split and holds folders itself. Names that start with
    a dot are ignored. Posts are in the order of the names; an image in no label's folder has no label. The id of a post
    is its path.

    Args:
        folder: the tree.
        encoding: of texts that are not UTF-8; detected by default.

    Raises:
        PostsError: a folder is in the wrong place, or not readable, or the encoding of texts cannot be detected.
    """
    files = SetFolder(folder)
    entries = list(_tree(folder, files))
    encodings = find_encodings((path for _, path in entries if path), encoding)
    for candidate, path in entries:
        if path is None:
            yield candidate
            continue
        post = candidate.post
        text, unreadable = read_text(path, encodings[path], post.where)
        post = replace(post, text=text, problem=post.problem or unreadable)
        yield candidate._replace(post=post, fault=UNREADABLE if unreadable else MISSING)


def _tree(folder: Path, files: SetFolder) -> Iterator[tuple[Candidate, Path | None]]:
    """Yield each file of the tree as a candidate without its text, and the file of the text."""
    level = _entries(folder)[0]
    splits = [one for one in level if usual_split(one.name) in SPLITS and _entries(one)[0]]
    if splits and len(splits) < len(level):
        other = next(one for one in level if one not in splits)
        raise PostsError(
            f"{folder}: {splits[0].name} holds the labels of a split, and {other.name} does not",
            f"move {other.name} elsewhere, or name it train, validation or test",
        )
    yield from _images(folder, None, None, files)
    for split in splits or [folder]:
        part = usual_split(split.name) if splits else None
        if splits:
            yield from _images(split, None, part, files)
        for label in _entries(split)[0]:
            inner = _entries(label)[0]
            if inner:
                raise PostsError(
                    f"{inner[0]}: a folder within that of the label {label.name!r}",
                    "move its pictures up, so that they lie in the label's own folder",
                )
            yield from _images(label, label.name.strip(), part, files)


def _images(
    folder: Path, label: str | None, split: str | None, files: SetFolder
) -> Iterator[tuple[Candidate, Path | None]]:
    entries = _entries(folder)[1]
    images = {entry for entry in entries if entry.suffix.lower() in ENDINGS}
    stems = {image.stem.casefold() for image in images}
    for entry in entries:
        name = entry.relative_to(files.root).as_posix()
        broken = None if entry.is_file() else missing("the set", name)  # such as a link to nowhere
        post = Post(image=entry, label=label, split=split, problem=broken, where=name, fields={"id": name})
        if entry in images:
            yield Candidate(post, _UNLABELLED), files.find(str(PurePosixPath(name).with_suffix(".txt")))
        elif label is not None and entry.suffix.lower() != ".txt":
            yield Candidate(post, _UNLABELLED, "not named like a picture"), None
        elif label is not None and entry.stem.casefold() not in stems:
            yield Candidate(post, _UNLABELLED, "a text without a picture of its name"), None


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders and the other entries of a folder, by name."""
    try:
        entries = sorted(one for one in folder.iterdir() if not one.name.startswith("."))
    except OSError as reason:
        raise PostsError(f"{folder}: not readable: {reason.strerror}", "correct its permissions") from reason
    return [one for one in entries if one.is_dir()], [one for one in entries if not one.is_dir()]
