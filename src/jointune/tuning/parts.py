"""Which posts the trials learn from and are scored on: read, checked and divided once."""

from typing import Any

from jointune.errors import PostsError
from jointune.posts.check import check_parts, usable
from jointune.posts.post import Posts
from jointune.posts.problems import OnBadImage, Problem
from jointune.posts.read import Columns
from jointune.posts.records import as_posts
from jointune.posts.split import split_posts, validation_fraction
from jointune.progress import progress_bar


def divide(
    posts: Any, validation: Any, use: Columns, policy: OnBadImage, seed: int, progress: bool
) -> tuple[Posts, Posts, list[Problem]]:
    """Training posts, validation posts, and the bad pictures that ``policy`` passed.

    The division is that of ``JointClassifier.fit``, so that a later training with the same arguments repeats a trial:
    posts that are skipped go before it.

    Args:
        posts: as for ``fit``.
        validation: posts, or a fraction, as for ``fit``.
        use: which column holds what.
        policy: what to do about a picture that cannot be read.
        seed: of the division.
        progress: whether to show progress.

    Raises:
        PostsError: posts that cannot be learned from.
        SettingsError: the fraction is out of range.
    """
    fraction = validation_fraction(validation)
    learn, problems = _usable(as_posts(posts, use=use, labelled=True), policy, progress)
    if fraction is not None:
        check_parts(learn, None)
        chosen, held_out = split_posts(learn, fraction, seed)
        return learn.take(chosen), learn.take(held_out), problems
    held, more = _usable(as_posts(validation, use=use, labelled=True), policy, progress)
    check_parts(learn, held)
    return learn, held, problems + more


def _usable(posts: Posts, policy: OnBadImage, progress: bool) -> tuple[Posts, list[Problem]]:
    with progress_bar("checking posts", "posts", progress) as bar:
        kept, passed = usable(posts, policy, bar)
    if not kept:
        raise PostsError(f"{posts.name}: no posts to tune on")
    return kept, passed
