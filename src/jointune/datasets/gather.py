"""What becomes of the posts that a set lists: used, or left out and counted by reason."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from jointune.data.post import Post
from jointune.data.problems import Problem
from jointune.errors import PostsError, setting

MISSING = "text or picture is missing"
UNREADABLE = "the text is in another encoding than the others"


class Candidate(NamedTuple):
    """A post as a set lists it.

    Attributes:
        post: its ``fields`` are ``id`` and the columns that only this set has; its ``problem`` is a file it lacks.
        unlabelled: why it has no label, where it has none.
        useless: why it is no post at all, where it is none.
        fault: by what name posts with such a ``problem`` are counted.
    """

    post: Post
    unlabelled: str = ""
    useless: str = ""
    fault: str = MISSING


@dataclass(frozen=True)
class Gathered:
    """The posts of a set.

    Attributes:
        posts: those to use.
        left_out: how many are not among them, by reason.
    """

    posts: list[Post] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def missing(where: str, name: str) -> Problem:
    """A file that a set names and does not hold."""
    return Problem(where, name, "no such file in the folder", f"restore it, or use {setting('on_missing', 'skip')}")


def malformed(where: str, what: str, reason: str, remedy: str) -> Candidate:
    """A row that says nothing of use."""
    problem = Problem(where, what, reason, f"{remedy}, remove the row, or use {setting('on_missing', 'skip')}")
    return Candidate(Post(problem=problem, where=where, fields={"id": where}), fault="the row is malformed")


def gather(candidates: Iterable[Candidate], skip_missing: bool = False, keep_unlabelled: bool = False) -> Gathered:
    """Take what can be used. Of posts with the same id the first that can be used is taken.

    Args:
        candidates: the posts as the set lists them.
        skip_missing: whether a post that lacks its text or its picture, or whose row is malformed, is left out instead
            of being an error.
        keep_unlabelled: whether a post without a label is used all the same.

    Raises:
        PostsError: a file is missing or a row malformed; or what the set itself raises.
    """
    found = Gathered()
    seen: set[object] = set()
    for post, unlabelled, useless, fault in candidates:
        identity = post.fields["id"]
        if useless:
            found.left_out[useless] += 1
        elif identity in seen:
            found.left_out["listed before, under the same id"] += 1
        elif post.label is None and unlabelled and not keep_unlabelled:
            found.left_out[unlabelled] += 1
        elif post.problem:
            if not skip_missing:
                raise PostsError(str(post.problem))
            found.left_out[fault] += 1
        else:
            seen.add(identity)
            found.posts.append(post)
    return found
