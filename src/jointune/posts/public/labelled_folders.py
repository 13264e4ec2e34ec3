"""Pictures sorted into one folder a label, perhaps within one folder a split."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from jointune.errors import PostsError
from jointune.posts.post import Post
from jointune.posts.public.folder import SetFolder, read_text
from jointune.posts.public.gather import Candidate, missing

SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}
ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".ico", ".avif")


def load_labelled_folders(folder: Path) -> Iterator[Candidate]:
    """The pictures of ``<label>/`` or of ``<split>/<label>/``, each with the text of the ``.txt`` file of its name.

    The first level are splits where a folder there is named like one and holds folders itself. Names that start with
    a dot are passed over.

    Args:
        folder: the tree.

    Yields:
        Each post, in the order of the names; a picture that is in no label's folder is one without a label. Its id is
        its path.

    Raises:
        PostsError: a folder lies where none belongs, or is not readable.
    """
    files = SetFolder(folder)
    level = _entries(folder)[0]
    splits = [one for one in level if one.name.casefold() in SPLITS and _entries(one)[0]]
    if splits and len(splits) < len(level):
        other = next(one for one in level if one not in splits)
        raise PostsError(
            f"{folder}: {splits[0].name} holds the labels of a split, and {other.name} does not; "
            f"move {other.name} elsewhere, or name it train, validation or test"
        )
    yield from _pictures(folder, None, None, files)
    for split in splits or [folder]:
        part = SPLITS[split.name.casefold()] if splits else None
        if splits:
            yield from _pictures(split, None, part, files)
        for label in _entries(split)[0]:
            inner = _entries(label)[0]
            if inner:
                raise PostsError(
                    f"{inner[0]}: a folder within that of the label {label.name!r}; "
                    "move its pictures up, so that they lie in the label's own folder"
                )
            yield from _pictures(label, label.name.strip(), part, files)


def _pictures(place: Path, label: str | None, split: str | None, files: SetFolder) -> Iterator[Candidate]:
    entries = _entries(place)[1]
    pictures = {one for one in entries if one.suffix.lower() in ENDINGS}
    stems = {picture.stem.casefold() for picture in pictures}
    for entry in entries:
        name = entry.relative_to(files.root).as_posix()
        broken = None if entry.is_file() else missing("the set", name)  # such as a link to nowhere
        post = Post(image=entry, label=label, split=split, problem=broken, where=name, fields={"id": name})
        if entry in pictures:
            beside = files.find(str(PurePosixPath(name).with_suffix(".txt")))
            said, utf8 = read_text(beside) if beside else ("", True)
            remark = "" if utf8 else "text is not UTF-8 and was read as Latin-1"
            yield Candidate(replace(post, text=said.strip() or None), "in no label's folder", remark)
        elif label is not None and entry.suffix.lower() != ".txt":
            yield Candidate(post, useless="not named like a picture")
        elif label is not None and entry.stem.casefold() not in stems:
            yield Candidate(post, useless="a text without a picture of its name")


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders in a folder, and whatever else is in it, by name."""
    try:
        entries = sorted(one for one in folder.iterdir() if not one.name.startswith("."))
    except OSError as reason:
        raise PostsError(f"{folder}: not readable: {reason.strerror}; correct its permissions") from reason
    return [one for one in entries if one.is_dir()], [one for one in entries if not one.is_dir()]
