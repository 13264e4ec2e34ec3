"""Hateful Memes (Kiela et al. 2020): pictures with the text on them, hateful or not."""

import warnings
from collections.abc import Iterator
from pathlib import Path

from jointune.data.post import SPLITS, Post, usual_split
from jointune.data.tables.json_lines import JsonlTable
from jointune.data.tables.table import Row
from jointune.datasets.gather import Candidate, malformed, missing
from jointune.datasets.published_files import SetFolder, find_encodings
from jointune.errors import JointuneWarning, PostsError

# A meme of several files belongs to the first: train over the others, and the labelled test files over test.jsonl,
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
    """The memes of each ``.jsonl`` file that there is, with the split that its name tells.

    ``dev_seen.jsonl`` and ``dev_unseen.jsonl`` overlap, as do the test files: a meme is taken from the first of
    ``FILES`` that has it. Where there is none of these, every ``.jsonl`` file is read; one whose name is no split's,
    such as ``labels.jsonl``, gives memes without one.

    Args:
        folder: as published, with the pictures in ``img/``.
        encoding: of files that are not UTF-8; a guess by default.

    Yields:
        Each post.

    Raises:
        PostsError: there is no such file; the message names what was looked for.
    """
    files = SetFolder(folder)
    tables = {name: path for path in sorted(folder.iterdir()) if (name := path.name.casefold()).endswith(".jsonl")}
    present: dict[Path, str | None] = {tables[name]: split for name, split in FILES.items() if name in tables}
    if not present:
        present = {path: split_of(name) for name, path in tables.items()}
    elif others := [path.name for path in tables.values() if path not in present]:
        warnings.warn(f"{', '.join(others)}: no file of Hateful Memes, and not read", JointuneWarning, stacklevel=2)
    if not present:
        raise PostsError(
            f"{folder}: there is none of {', '.join(FILES)} in it, and no other .jsonl file",
            "give the folder that holds them",
        )
    encodings = find_encodings(present, encoding)
    for path, split in present.items():
        for row in JsonlTable(path, encodings[path]).rows():
            yield _candidate(row, split, files)


def split_of(name: str) -> str | None:
    """The split that the name of a file tells, if it does."""
    split = usual_split(name.removesuffix(".jsonl").partition("_")[0])
    return split if split in SPLITS else None


def _candidate(row: Row, split: str | None, files: SetFolder) -> Candidate:
    where, values, problem = row
    if problem:
        return malformed(where, problem.what, problem.reason, "write one JSON object a line")
    name, text, said = values.get("img"), values.get("text"), values.get("label")
    if not isinstance(name, str) or not name.strip():
        return malformed(where, "img", "no picture is named", "name one, such as img/00001.png")
    if not isinstance(text, str | None):
        return malformed(where, "text", f"a {type(text).__name__} where a text is needed", "write a text")
    label = None
    if said is not None and said != "":
        label = LABELS.get(str(said).strip())
        if label is None:
            return malformed(where, "label", f"{str(said)[:80]!r} is not a label", f"use one of {', '.join(LABELS)}")
    number = values.get("id")
    picture = files.find(name.strip())
    post = Post(
        (text or "").strip() or None,
        picture,
        label,
        split,
        problem=None if picture else missing(where, name),
        where=where,
        fields={"id": name if number is None else str(number)},
    )
    return Candidate(post, "no label")
