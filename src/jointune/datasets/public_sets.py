"""The public sets by name."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jointune.data.post import Post
from jointune.data.tables.encoding import known_encoding
from jointune.data.tables.table import Row
from jointune.datasets import hateful_memes, memotion, mvsa
from jointune.datasets.gather import Candidate, Gathered, gather
from jointune.datasets.labelled_folders import load_labelled_folders
from jointune.errors import PostsError, SettingsError
from jointune.output.writers import open_writer


class PublicSet(NamedTuple):
    """How a set is read.

    Attributes:
        load: turns its folder, and its options, into posts.
        files: those that hold its labels, which no output may replace.
        options: the arguments of ``load`` that are a matter of choice.
    """

    load: Callable[..., Iterator[Candidate]]
    files: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


SETS: dict[str, PublicSet] = {
    "mvsa-single": PublicSet(partial(mvsa.load_mvsa, annotators=1), (mvsa.LABELS,), ("label_rule",)),
    "mvsa-multiple": PublicSet(partial(mvsa.load_mvsa, annotators=3), (mvsa.LABELS,), ("label_rule",)),
    "hateful-memes": PublicSet(hateful_memes.load_hateful_memes, tuple(hateful_memes.FILES)),
    "memotion": PublicSet(memotion.load_memotion, (memotion.LABELS,), ("task", "keep_very")),
    "folders": PublicSet(load_labelled_folders),
}


def find_set(name: str) -> PublicSet:
    """The set of a name.

    Raises:
        SettingsError: there is none.
    """
    if name not in SETS:
        raise SettingsError(f"there is no public set {name!r}: choose one of {', '.join(SETS)}")
    return SETS[name]


def load_public(
    name: str,
    folder: Path,
    on_missing: str = "error",
    keep_unlabelled: bool = False,
    balanced: bool = False,
    seed: int = 42,
    encoding: str | None = None,
    **options: str | bool | None,
) -> Gathered:
    """The posts of a public set.

    Args:
        name: one of ``SETS``.
        folder: where the set lies, as published.
        on_missing: what to do about a post whose text or picture is not there, or whose row is malformed: ``error`` or
            ``skip``.
        keep_unlabelled: whether posts without a label are used all the same.
        balanced: whether to draw as many posts of each label as the rarest one has; always with a label rule whose
            authors do so.
        seed: of that draw.
        encoding: of texts that are not UTF-8; the one that the set is known to have, or else a guess, by default.
        options: of the set; ``None`` or ``False`` for one that was not given.

    Raises:
        SettingsError: an option is not of this set, or not known.
        PostsError: the set is not there, damaged, or without a post to use; the message names file and row.
    """
    known = find_set(name)
    given = {option: value for option, value in options.items() if value not in (None, False)}
    foreign = next((option for option in given if option not in known.options), None)
    if foreign is not None:
        owners = ", ".join(name for name, one in SETS.items() if foreign in one.options)
        raise SettingsError(f"--{foreign.replace('_', '-')} is an option of {owners}, not of {name}")
    if on_missing not in ("error", "skip"):
        raise SettingsError(f"on_missing={on_missing!r}: choose error or skip", setting="on_missing")
    if encoding is not None:
        known_encoding(encoding)
    if not folder.is_dir():
        raise PostsError(f"{folder}: no such folder", f"give the one that {name} was unpacked into")
    found = gather(known.load(folder.resolve(), encoding=encoding, **given), on_missing == "skip", keep_unlabelled)
    if balanced or given.get("label_rule") in mvsa.BALANCED_RULES:
        drawn = balance(found.posts, seed)
        undrawn = Counter({"not drawn, to balance the labels": len(found.posts) - len(drawn)})
        found = Gathered(drawn, found.left_out + undrawn)
    if not found.posts:
        reasons = "".join(f"; left out: {reason}: {count:,}" for reason, count in found.left_out.items())
        raise PostsError(f"{folder}: no posts to use in it{reasons}")
    return found


def balance(posts: Sequence[Post], seed: int) -> list[Post]:
    """Draw from each label as many posts as the rarest one has, within each split.

    Args:
        posts: the posts; those without a label are all kept.
        seed: of the draw.

    Returns:
        The posts drawn, in their order.
    """
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    kept = {index for index, post in enumerate(posts) if post.label is None}
    for index, post in enumerate(posts):
        if post.label is not None:
            groups[post.split or ""][post.label].append(index)
    drawing = random.Random(seed)
    for _, labels in sorted(groups.items()):
        rarest = min(map(len, labels.values()))
        for _, members in sorted(labels.items()):
            kept.update(drawing.sample(members, rarest))
    return [posts[index] for index in sorted(kept)]


def write_posts(path: Path, posts: Sequence[Post]) -> None:
    """Write a table with ``id``, ``text``, ``image``, ``label``, ``split`` if there are splits, and the set's columns.

    Args:
        path: ends in .csv, .tsv, .jsonl or .parquet; appears whole or not at all.
        posts: one or more; their pictures are absolute paths, their fields ``id`` and what else the set tells.

    Raises:
        OutputError: the disk is full or the like.
    """
    own = [name for name in posts[0].fields if name != "id"]
    split = ["split"] if any(post.split for post in posts) else []
    columns = ["id", "text", "image", "label", *split, *own]
    # The writer is one that adds columns to a table: here the last one, of texts like all the others.
    with open_writer(path, _PostsTable(path, columns[:-1], posts), columns[-1:]) as writer:
        for post in posts:
            writer.write(_values(post, columns, path.parent.resolve()))


def picture_path(picture: Path, base: Path) -> str:
    """How a table in the folder ``base`` names a picture.

    Relative where the picture lies below the folder or beside it, one level up, so that both can be moved together;
    absolute elsewhere.
    """
    if picture.is_relative_to(base):
        return picture.relative_to(base).as_posix()
    beside = base.parent
    if beside != beside.parent and picture.is_relative_to(beside):
        return f"../{picture.relative_to(beside).as_posix()}"
    return str(picture)


class _PostsTable:
    """What the writer asks: which columns there are, and what is in them."""

    def __init__(self, path: Path, columns: list[str], posts: Sequence[Post]) -> None:
        self.path, self.columns, self._posts = path, columns, posts

    def rows(self) -> Iterator[Row]:
        for post in self._posts:
            yield Row(post.where, _values(post, self.columns, self.path.parent.resolve()))

    def untyped_rows(self) -> Iterator[Row]:
        return iter(())

    def count(self) -> int:
        return len(self._posts)


def _values(post: Post, columns: Sequence[str], base: Path) -> dict[str, object]:
    image = picture_path(post.image, base) if isinstance(post.image, Path) else None
    values = {"text": post.text, "image": image, "label": post.label, "split": post.split, **post.fields}
    return {name: values[name] for name in columns}
