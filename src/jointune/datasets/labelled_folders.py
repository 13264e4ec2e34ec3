"""Pictures sorted into one folder a label, perhaps within one folder a split."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from jointune.data.post import SPLITS, Post, usual_split
from jointune.datasets.gather import MISSING, UNREADABLE, Candidate, missing
from jointune.datasets.published_files import SetFolder, find_encodings, read_text
from jointune.errors import PostsError

ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".ico", ".avif")


def load_labelled_folders(folder: Path, encoding: str | None = None) -> Iterator[Candidate]:
    """The pictures of ``<label>/`` or of ``<split>/<label>/``, each with the text of the ``.txt`` file of its name.

    The first level are splits where a folder there is named like one and holds folders itself. Names that start with
    a dot are passed over.

    Args:
        folder: the tree.
        encoding: of texts that are not UTF-8; a guess by default.

    Yields:
        Each post, in the order of the names; a picture that is in no label's folder is one without a label. Its id is
        its path.

    Raises:
        PostsError: a folder lies where none belongs, or is not readable, or the encoding of texts cannot be told.
    """
    files = SetFolder(folder)
    entries = list(_listed(folder, files))
    encodings = find_encodings((entry.text for entry in entries if entry.text), encoding)
    for post, useless, text in entries:
        if text is None:
            yield Candidate(post, "in no label's folder", useless)
            continue
        said, unreadable = read_text(text, encodings[text], post.where)
        problem = post.problem or unreadable
        fault = UNREADABLE if unreadable else MISSING
        yield Candidate(replace(post, text=said, problem=problem), "in no label's folder", useless, fault)


class Entry(NamedTuple):
    """What a file of the tree becomes: a post, or why it is none; and the file of its text, which is not read yet."""

    post: Post
    useless: str = ""
    text: Path | None = None


def _listed(folder: Path, files: SetFolder) -> Iterator[Entry]:
    level = _entries(folder)[0]
    splits = [one for one in level if usual_split(one.name) in SPLITS and _entries(one)[0]]
    if splits and len(splits) < len(level):
        other = next(one for one in level if one not in splits)
        raise PostsError(
            f"{folder}: {splits[0].name} holds the labels of a split, and {other.name} does not",
            f"move {other.name} elsewhere, or name it train, validation or test",
        )
    yield from _pictures(folder, None, None, files)
    for split in splits or [folder]:
        part = usual_split(split.name) if splits else None
        if splits:
            yield from _pictures(split, None, part, files)
        for label in _entries(split)[0]:
            inner = _entries(label)[0]
            if inner:
                raise PostsError(
                    f"{inner[0]}: a folder within that of the label {label.name!r}",
                    "move its pictures up, so that they lie in the label's own folder",
                )
            yield from _pictures(label, label.name.strip(), part, files)


def _pictures(place: Path, label: str | None, split: str | None, files: SetFolder) -> Iterator[Entry]:
    entries = _entries(place)[1]
    pictures = {one for one in entries if one.suffix.lower() in ENDINGS}
    stems = {picture.stem.casefold() for picture in pictures}
    for entry in entries:
        name = entry.relative_to(files.root).as_posix()
        broken = None if entry.is_file() else missing("the set", name)  # such as a link to nowhere
        post = Post(image=entry, label=label, split=split, problem=broken, where=name, fields={"id": name})
        if entry in pictures:
            beside = files.find(str(PurePosixPath(name).with_suffix(".txt")))
            yield Entry(post, text=beside)
        elif label is not None and entry.suffix.lower() != ".txt":
            yield Entry(post, "not named like a picture")
        elif label is not None and entry.stem.casefold() not in stems:
            yield Entry(post, "a text without a picture of its name")


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders in a folder, and whatever else is in it, by name."""
    try:
        entries = sorted(one for one in folder.iterdir() if not one.name.startswith("."))
    except OSError as reason:
        raise PostsError(f"{folder}: not readable: {reason.strerror}", "correct its permissions") from reason
    return [one for one in entries if one.is_dir()], [one for one in entries if not one.is_dir()]
