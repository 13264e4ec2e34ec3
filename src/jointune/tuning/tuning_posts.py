"""Which posts the trials learn from and are scored on: read, checked and divided once."""

import warnings
from dataclasses import replace
from typing import Any

from jointune.data.divide import divide as posts_by_use
from jointune.data.label_checks import check_parts
from jointune.data.post import Posts
from jointune.data.problems import OnBadImage, Problem
from jointune.data.read import Columns
from jointune.data.records import as_posts
from jointune.errors import JointuneWarning, PostsError
from jointune.modalities.check import usable
from jointune.utils.progress import progress_bar


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
    division = posts_by_use(as_posts(posts, use=use, labelled=True), validation, use=use)
    for note in division.notes:
        warnings.warn(note, JointuneWarning, stacklevel=3)
    learn, problems = _usable(division.training, policy, progress)
    if division.fraction is not None:
        check_parts(learn, None)
        learn, held = replace(division, training=learn).held_out(seed)
        return learn, held, problems
    held, more = _usable(division.validation, policy, progress)
    check_parts(learn, held)
    return learn, held, problems + more


def _usable(posts: Posts, policy: OnBadImage, progress: bool) -> tuple[Posts, list[Problem]]:
    with progress_bar("checking posts", "posts", progress) as bar:
        kept, passed = usable(posts, policy, bar)
    if not kept:
        raise PostsError(f"{posts.name}: no posts to tune on")
    return kept, passed
