"""Hateful Memes (Kiela et al. 2020): images with the text on them, hateful or not."""

import warnings
from collections.abc import Iterator
from pathlib import Path

from jointune.data.post import SPLITS, Post, usual_split
from jointune.data.tables.json_table import JsonlTable
from jointune.data.tables.table import Row
from jointune.datasets.gather import Candidate, malformed, missing
from jointune.datasets.published_files import SetFolder, find_encodings
from jointune.errors import JointuneWarning, PostsError

# A meme of several files belongs to the first: train before the others, and the labelled test files before test.jsonl,
# which lists the same memes and was published without labels.
FILES = {
    "train.jsonl": "train",
    "dev.jsonl": "validation",
    "dev_seen.jsonl": "validation",
    "dev_unseen.jsonl": "validation",
    "test_seen.jsonl": "test",
    "test_unseen.jsonl": "test",
    "test.jsonl": "test",
}
LABELS = {"0": "not hateful", "1": "hateful"}


def load_hateful_memes(folder: Path, encoding: str | None = None) -> Iterator[Candidate]:
    """Yield the memes of each ``.jsonl`` file, with the split that its name means.

    ``dev_seen.jsonl`` and ``dev_unseen.jsonl`` overlap, as do the test files: a meme is taken from the first of
    ``FILES`` that has it. If there is none of these, every ``.jsonl`` file is read; one whose name is no split's,
    such as ``labels.jsonl``, gives memes without one.

    Args:
        folder: as published, with the images in ``img/``.
        encoding: of files that are not UTF-8; detected by default.

    Raises:
        PostsError: there is no such file.
    """
    files = SetFolder(folder)
    tables = {name: path for path in sorted(folder.iterdir()) if (name := path.name.casefold()).endswith(".jsonl")}
    splits: dict[Path, str | None] = {tables[name]: split for name, split in FILES.items() if name in tables}
    if not splits:
        splits = {path: _split_of(name) for name, path in tables.items()}
    elif others := [path.name for path in tables.values() if path not in splits]:
        warnings.warn(f"{', '.join(others)}: no file of Hateful Memes, and not read", JointuneWarning, stacklevel=2)
    if not splits:
        raise PostsError(
            f"{folder}: there is none of {', '.join(FILES)} in it, and no other .jsonl file",
            "give the folder that holds them",
        )
    encodings = find_encodings(splits, encoding)
    for path, split in splits.items():
        for row in JsonlTable(path, encodings[path]).rows():
            yield _candidate(row, split, files)


def _split_of(name: str) -> str | None:
    split = usual_split(name.removesuffix(".jsonl").partition("_")[0])
    return split if split in SPLITS else None


def _candidate(row: Row, split: str | None, files: SetFolder) -> Candidate:
    where, values, problem = row
    if problem:
        return malformed(where, problem.what, problem.reason, "write one JSON object a line")
    name, text, number = values.get("img"), values.get("text"), values.get("label")
    if not isinstance(name, str) or not name.strip():
        return malformed(where, "img", "no picture is named", "name one, such as img/00001.png")
    if not isinstance(text, str | None):
        return malformed(where, "text", f"a {type(text).__name__} where a text is needed", "write a text")
    label = None
    if number is not None and number != "":
        label = LABELS.get(str(number).strip())
        if label is None:
            return malformed(where, "label", f"{str(number)[:80]!r} is not a label", f"use one of {', '.join(LABELS)}")
    identity = values.get("id")
    image = files.find(name.strip())
    post = Post(
        (text or "").strip() or None,
        image,
        label,
        split,
        problem=None if image else missing(where, name),
        where=where,
        fields={"id": name if identity is None else str(identity)},
    )
    return Candidate(post, "no label")
