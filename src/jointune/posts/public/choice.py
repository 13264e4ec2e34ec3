"""The public sets by name."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jointune.errors import PostsError, SettingsError
from jointune.posts.encoding import known_encoding
from jointune.posts.public import hateful_memes, memotion, mvsa
from jointune.posts.public.balance import balance
from jointune.posts.public.gather import Candidate, Gathered, gather
from jointune.posts.public.labelled_folders import load_labelled_folders


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
        raise SettingsError(f"on_missing={on_missing!r}: choose error or skip")
    if encoding is not None:
        known_encoding(encoding)
    if not folder.is_dir():
        raise PostsError(f"{folder}: no such folder; give the one that {name} was unpacked into")
    found = gather(known.load(folder.resolve(), encoding=encoding, **given), on_missing == "skip", keep_unlabelled)
    if balanced or given.get("label_rule") in mvsa.BALANCED_RULES:
        drawn = balance(found.posts, seed)
        undrawn = Counter({"not drawn, to balance the labels": len(found.posts) - len(drawn)})
        found = Gathered(drawn, found.left_out + undrawn)
    if not found.posts:
        reasons = "".join(f"; left out: {reason}: {count:,}" for reason, count in found.left_out.items())
        raise PostsError(f"{folder}: no posts to use in it{reasons}")
    return found
