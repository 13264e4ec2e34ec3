"""Divide posts into training, validation and test posts."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from jointune.data.label_checks import label_problems
from jointune.data.labelling import ONE_LABEL, Labelling
from jointune.data.post import Posts
from jointune.data.problems import raise_problems
from jointune.data.read import Columns
from jointune.data.records import USUAL, as_posts
from jointune.data.split import fraction_of_posts, group_notes, split_posts
from jointune.errors import PostsError, SettingsError, setting

VALIDATION = 0.1
"""The default share of the posts that is held out for validation."""


@dataclass(frozen=True)
class Division:
    """Posts by their use.

    Attributes:
        training: the training posts, of which ``fraction`` is still to be held out for validation.
        validation: the validation posts; none if there is a ``fraction``.
        test: the test posts, if any.
        fraction: the share of ``training`` that is still to be held out; None for none.
        notes: parts of the posts' own split that are not used.
        asked: what is asked of the posts.
    """

    training: Posts
    validation: Posts
    test: Posts
    fraction: float | None
    notes: tuple[str, ...]
    asked: Labelling = ONE_LABEL

    def held_out(self, seed: int) -> tuple[Posts, Posts]:
        """Return the training and the validation posts, after holding out ``fraction``."""
        if self.fraction is None:
            return self.training, self.validation
        training, validation = self.numbers(seed)
        return self.training.take(training), self.training.take(validation)

    def with_older(self, older: Posts, seed: int) -> "Division":
        """Hold out ``fraction``, and add older posts to those to learn from; of posts with a split, those for training.

        Raises:
            PostsError: there are none.
        """
        older = older.in_split("train") if any(post.split is not None for post in older) else older
        if not older:
            raise PostsError(f"{older.name}: no posts to learn from")
        training, validation = self.held_out(seed)
        joined = Posts([*training, *older], training.name, training.label_dtype)
        return replace(self, training=joined, validation=validation, fraction=None)

    def numbers(self, seed: int) -> tuple[list[int], list[int]]:
        """Return the indices in ``training`` of the posts to learn from, and of those to hold out for validation."""
        assert self.fraction is not None, "validation posts are still to be held out"
        return split_posts(self.training, self.fraction, seed, self.asked)


def divide(posts: Posts, validation: Any = None, test: Any = None, use: Columns = USUAL, seed: int = 0) -> Division:
    """Divide posts by their own split, or by the arguments in its place.

    What is held out shares no image, no text and no group with the rest, and is the latest if posts have times.

    Args:
        posts: labelled.
        validation: posts, or a fraction of ``posts``; by default the split of the posts decides, or, if no post has
            one, it is a tenth.
        test: posts, or a fraction of ``posts``; by default those of the split ``test``, if the split decides.
        use: the names of the columns of ``validation`` and ``test``, and what is asked of the posts.
        seed: decides which posts a fraction for testing holds out.

    Raises:
        PostsError: there are no posts, or the split that decides is missing or unknown for a post, or has no training
            or no validation post.
        SettingsError: a fraction is out of range, or the split decides on the test posts.
    """
    if not posts:
        raise PostsError(f"{posts.name}: no posts to learn from")
    tested = fraction_of_posts(test, "test")
    test_posts = as_posts(test, use=use, labelled=True) if test is not None and tested is None else Posts([])
    notes = group_notes(posts)
    if validation is None and any(post.split is not None for post in posts):
        raise_problems(list(label_problems(posts, split=True, asked=use.labelling)), posts.name)
        if tested is not None:
            raise SettingsError(
                f"{setting('test', test)}: the split that the posts carry decides",
                "mark test posts in it",
                setting="test",
            )
        if any(post.time is not None for post in posts):
            notes.append(f"{posts.name}: the times are not used; the split that the posts carry divides them")
        marked = posts.in_split("test")
        if test is None:
            test_posts = marked
        elif marked:
            notes.append(f"{posts.name}: posts marked test are not used ({len(marked):,}): other test posts were given")
        return Division(
            posts.in_split("train"), posts.in_split("validation"), test_posts, None, tuple(notes), use.labelling
        )
    fraction = VALIDATION if validation is None else fraction_of_posts(validation)
    if tested is not None:
        if (fraction or 0) + tested >= 1:
            raise SettingsError(
                f"{setting('test', test)}: with the validation posts, nothing is left to learn from", setting="test"
            )
        learned, latest = split_posts(posts, tested, seed, use.labelling)
        posts, test_posts = posts.take(learned), posts.take(latest)
        fraction = None if fraction is None else fraction / (1 - tested)
    held = Posts([]) if fraction is not None else as_posts(validation, use=use, labelled=True)
    if fraction is None and not held:
        raise PostsError(f"{held.name}: no validation posts")
    for part, own, purpose in ((posts, "train", "learned from"), (held, "validation", "used for validation")):
        if others := Counter(post.split for post in part if post.split not in (None, own)):
            counts = ", ".join(f"{count:,} {split}" for split, count in others.items())
            also = " or used for validation" if part is posts and fraction is not None else ""
            notes.append(
                f"{part.name}: the split that the posts carry is not used, since validation was given: "
                f"{purpose}{also} are posts marked otherwise ({counts})"
            )
    return Division(posts, held, test_posts, fraction, tuple(notes), use.labelling)
