"""Read public sets by name, and write them as tables of posts."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jointune.data.post import Post
from jointune.data.tables.encoding import known_encoding
from jointune.datasets import hateful_memes, memotion, mvsa
from jointune.datasets.gather import Candidate, Gathered, gather
from jointune.datasets.labelled_folders import load_labelled_folders
from jointune.errors import PostsError, SettingsError, setting
from jointune.output.writers import open_writer, text_layout


class PublicSet(NamedTuple):
    """The function that loads a set, the files of its labels, which no output may replace, and its options."""

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
    """Return the set of a name, or raise a ``SettingsError``."""
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
    """Read the posts of a public set.

    Args:
        name: one of ``SETS``.
        folder: the set as published.
        on_missing: ``error`` or ``skip``, for a post with a missing file or a malformed row.
        keep_unlabelled: whether posts without a label are used.
        balanced: whether to draw as many posts of each label as the rarest one has; always with a label rule whose
            authors do so.
        seed: of that draw.
        encoding: of texts that are not UTF-8; by default that of the set, if it is known, or else detected.
        options: of the set; ``None`` or ``False`` for the default.

    Raises:
        SettingsError: an option is not of this set, or not known.
        PostsError: the set is not there, damaged, or without a usable post; the message names file and row.
    """
    public = find_set(name)
    chosen = {option: value for option, value in options.items() if value not in (None, False)}
    foreign = next((option for option in chosen if option not in public.options), None)
    if foreign is not None:
        owners = ", ".join(name for name, one in SETS.items() if foreign in one.options)
        raise SettingsError(f"{setting(foreign)} is an option of {owners}, not of {name}", setting=foreign)
    if on_missing not in ("error", "skip"):
        raise SettingsError(f"on_missing={on_missing!r}: choose error or skip", setting="on_missing")
    if encoding is not None:
        known_encoding(encoding)
    if not folder.is_dir():
        raise PostsError(f"{folder}: no such folder", f"give the one that {name} was unpacked into")
    candidates = public.load(folder.resolve(), encoding=encoding, **chosen)
    posts, left_out = gather(candidates, on_missing == "skip", keep_unlabelled)
    if balanced or chosen.get("label_rule") in mvsa.BALANCED_RULES:
        drawn = balance(posts, seed)
        left_out += Counter({"not drawn, to balance the labels": len(posts) - len(drawn)})
        posts = drawn
    if not posts:
        reasons = "".join(f"; left out: {reason}: {count:,}" for reason, count in left_out.items())
        raise PostsError(f"{folder}: no posts to use in it{reasons}")
    return Gathered(posts, left_out)


def balance(posts: Sequence[Post], seed: int) -> list[Post]:
    """Draw as many posts of each label as the rarest one has, within each split; keep those without a label."""
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    drawn = {index for index, post in enumerate(posts) if post.label is None}
    for index, post in enumerate(posts):
        if post.label is not None:
            groups[post.split or ""][post.label].append(index)
    generator = random.Random(seed)
    for _, labels in sorted(groups.items()):
        rarest = min(map(len, labels.values()))
        for _, members in sorted(labels.items()):
            drawn.update(generator.sample(members, rarest))
    return [posts[index] for index in sorted(drawn)]


def write_posts(path: Path, posts: Sequence[Post]) -> None:
    """Write a table with ``id``, ``text``, ``image``, ``label``, ``split`` if there are splits, and the set's columns.

    Raises:
        OutputError: the disk is full or the like.
    """
    own = [name for name in posts[0].fields if name != "id"]
    split = ["split"] if any(post.split for post in posts) else []
    columns = ["id", "text", "image", "label", *split, *own]
    base = path.parent.resolve()
    with open_writer(path, text_layout(path, columns)) as writer:
        for post in posts:
            image = image_path(post.image, base) if isinstance(post.image, Path) else None
            values = {"text": post.text, "image": image, "label": post.label, "split": post.split, **post.fields}
            writer.write({name: values[name] for name in columns})


def image_path(image: Path, base: Path) -> str:
    """Return the path of an image in a table of the folder ``base``.

    It is relative if the image is in the folder or in the one above, so that both can be moved together; and absolute
    otherwise.
    """
    if image.is_relative_to(base):
        return image.relative_to(base).as_posix()
    above = base.parent
    if above != above.parent and image.is_relative_to(above):
        return f"../{image.relative_to(above).as_posix()}"
    return str(image)
