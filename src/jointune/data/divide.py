"""Which posts are learned from, which validate and which test, as the arguments of ``fit`` say it."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from jointune.data.label_checks import label_problems
from jointune.data.post import Posts
from jointune.data.problems import raise_problems
from jointune.data.read import Columns
from jointune.data.records import USUAL, as_posts
from jointune.data.split import split_posts, validation_fraction
from jointune.errors import PostsError

VALIDATION = 0.1
"""The share of the posts that is held out for validation, by default."""


@dataclass(frozen=True)
class Division:
    """Posts by what they are for.

    Attributes:
        training: the posts to learn from; and to hold validation posts out of, where there is a ``fraction``.
        validation: the posts to choose on; none where there is a ``fraction``.
        test: the posts to be scored once; perhaps none.
        fraction: the share of ``training`` that is still to be held out for validation.
        notes: what of the posts' own split is not used.
    """

    training: Posts
    validation: Posts
    test: Posts
    fraction: float | None
    notes: tuple[str, ...]

    def held_out(self, seed: int) -> tuple[Posts, Posts]:
        """The training posts and the validation posts, with ``fraction`` of the former among the latter."""
        if self.fraction is None:
            return self.training, self.validation
        learned, checked = self.numbers(seed)
        return self.training.take(learned), self.training.take(checked)

    def numbers(self, seed: int) -> tuple[list[int], list[int]]:
        """The numbers of the posts of ``training`` to learn from, and of those to hold out for validation."""
        assert self.fraction is not None, "validation posts are still to be held out"
        return split_posts(self.training, self.fraction, seed)


def divide(posts: Posts, validation: Any = None, test: Any = None, use: Columns = USUAL) -> Division:
    """Divide posts by the split that they carry, or by what is given in its place.

    Args:
        posts: labelled.
        validation: posts, or a fraction of ``posts``; by default the split that the posts carry decides, or, where no
            post carries one, it is a tenth.
        test: posts; by default those that the split marks so, where the split decides.
        use: which column of ``validation`` and ``test`` holds what.

    Raises:
        PostsError: there are no posts, or the split that decides is missing or unknown for a post, or marks no post for
            training, or none for validation.
    """
    if not posts:
        raise PostsError(f"{posts.name}: no posts to learn from")
    tested = as_posts(test, use=use, labelled=True) if test is not None else Posts([])
    notes: list[str] = []
    if validation is None and any(post.split is not None for post in posts):
        raise_problems(list(label_problems(posts, split=True)), posts.name)
        marked = posts.in_split("test")
        if test is None:
            tested = marked
        elif marked:
            notes.append(f"{posts.name}: posts marked test are not used ({len(marked):,}): other test posts were given")
        return Division(posts.in_split("train"), posts.in_split("validation"), tested, None, tuple(notes))
    fraction = VALIDATION if validation is None else validation_fraction(validation)
    held = Posts([]) if fraction is not None else as_posts(validation, use=use, labelled=True)
    if fraction is None and not held:
        raise PostsError(f"{held.name}: no validation posts")
    for part, own, purpose in ((posts, "train", "learned from"), (held, "validation", "used for validation")):
        if strangers := Counter(post.split for post in part if post.split not in (None, own)):
            said = ", ".join(f"{count:,} {split}" for split, count in strangers.items())
            also = " or used for validation" if part is posts and fraction is not None else ""
            notes.append(
                f"{part.name}: the split that the posts carry is not used, since validation was given: "
                f"{purpose}{also} are posts marked otherwise ({said})"
            )
    return Division(posts, held, tested, fraction, tuple(notes))
