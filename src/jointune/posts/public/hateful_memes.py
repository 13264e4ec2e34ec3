"""Hateful Memes (Kiela et al. 2020): pictures with the text on them, hateful or not."""

from collections.abc import Iterator
from pathlib import Path

from jointune.errors import PostsError
from jointune.posts.formats.jsonl import JsonlTable
from jointune.posts.formats.table import Row
from jointune.posts.post import Post
from jointune.posts.problems import Problem
from jointune.posts.public.folder import SetFolder, read_text
from jointune.posts.public.gather import Candidate, missing

# A meme of several files belongs to the first: train over the others, and the labelled test files over test.jsonl,
# which lists the same memes and was published without labels.
SPLITS = {
    "train.jsonl": "train",
    "dev.jsonl": "validation",
    "dev_seen.jsonl": "validation",
    "dev_unseen.jsonl": "validation",
    "test_seen.jsonl": "test",
    "test_unseen.jsonl": "test",
    "test.jsonl": "test",
}
LABELS = {"0": "not hateful", "1": "hateful"}


def load_hateful_memes(folder: Path) -> Iterator[Candidate]:
    """The memes of each ``.jsonl`` file that there is, with the split that its name tells.

    ``dev_seen.jsonl`` and ``dev_unseen.jsonl`` overlap, as do the test files: a meme is taken from the first of
    ``SPLITS`` that has it.

    Args:
        folder: as published, with the pictures in ``img/``.

    Yields:
        Each post.

    Raises:
        PostsError: there is none of the files, or a row of them is malformed; the message names it.
    """
    files = SetFolder(folder)
    present = {path: split for name, split in SPLITS.items() if (path := files.find(name))}
    if not present:
        raise PostsError(f"{folder}: there is none of {', '.join(SPLITS)} in it; give the folder that holds them")
    for path, split in present.items():
        utf8 = read_text(path)[1]
        remark = "" if utf8 else f"{path.name} is not UTF-8 and was read as Latin-1"
        for row in JsonlTable(path, "utf-8-sig" if utf8 else "latin-1").rows():
            yield Candidate(_post(row, split, files), "no label", remark)


def _post(row: Row, split: str, files: SetFolder) -> Post:
    where, values, problem = row
    if problem:
        raise PostsError(str(problem))
    name, text, said = values.get("img"), values.get("text"), values.get("label")
    if not isinstance(name, str) or not name.strip():
        raise _malformed(where, "img", "no picture is named", "name one, such as img/00001.png")
    if not isinstance(text, str | None):
        raise _malformed(where, "text", f"a {type(text).__name__} where a text is needed", "write a text")
    label = None
    if said is not None and said != "":
        label = LABELS.get(str(said).strip())
        if label is None:
            raise _malformed(where, "label", f"{str(said)[:80]!r} is not a label", f"use one of {', '.join(LABELS)}")
    number = values.get("id")
    picture = files.find(name.strip())
    return Post(
        (text or "").strip() or None,
        picture,
        label,
        split,
        problem=None if picture else missing(where, name),
        where=where,
        fields={"id": name if number is None else str(number)},
    )


def _malformed(where: str, what: str, reason: str, remedy: str) -> PostsError:
    return PostsError(str(Problem(where, what, reason, f"{remedy}, or remove the row")))
