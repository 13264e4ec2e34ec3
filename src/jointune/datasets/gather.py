"""Collect the usable posts of a published set; count those that are left out, by reason."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from jointune.data.post import Post
from jointune.data.problems import Problem
from jointune.errors import PostsError, setting

MISSING = "text or picture is missing"
UNREADABLE = "the text is in another encoding than the others"


class Candidate(NamedTuple):
    """A post as a set lists it.

    Attributes:
        post: its ``fields`` are ``id`` and the columns that only this set has; its ``problem`` is a missing file.
        unlabelled: why it has no label, if it has none.
        excluded: why it is no post at all, if it is none.
        fault: the reason under which posts with such a ``problem`` are counted.
    """

    post: Post
    unlabelled: str = ""
    excluded: str = ""
    fault: str = MISSING


class Gathered(NamedTuple):
    """The usable posts of a set, and the number of others by reason."""

    posts: list[Post]
    left_out: Counter[str]


def missing(where: str, name: str) -> Problem:
    """Return the problem of a file that a set names and does not hold."""
    return Problem(where, name, "no such file in the folder", f"restore it, or use {setting('on_missing', 'skip')}")


def malformed(where: str, what: str, reason: str, remedy: str) -> Candidate:
    """Return the candidate of a malformed row."""
    problem = Problem(where, what, reason, f"{remedy}, remove the row, or use {setting('on_missing', 'skip')}")
    return Candidate(Post(problem=problem, where=where, fields={"id": where}), fault="the row is malformed")


def gather(candidates: Iterable[Candidate], skip_missing: bool = False, keep_unlabelled: bool = False) -> Gathered:
    """Collect the usable posts; of several with the same id, the first one.

    Raises:
        PostsError: a file is missing or a row malformed, and ``skip_missing`` does not leave it out.
    """
    gathered = Gathered([], Counter())
    seen: set[object] = set()
    for post, unlabelled, excluded, fault in candidates:
        identity = post.fields["id"]
        if excluded:
            reason = excluded
        elif identity in seen:
            reason = "listed before, under the same id"
        elif post.label is None and unlabelled and not keep_unlabelled:
            reason = unlabelled
        elif post.problem:
            if not skip_missing:
                raise PostsError(str(post.problem))
            reason = fault
        else:
            seen.add(identity)
            gathered.posts.append(post)
            continue
        gathered.left_out[reason] += 1
    return gathered
