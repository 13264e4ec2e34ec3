"""How labels are read, checked and kept in proportion: by default, one label a post."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from jointune.data.labels import label_dtype, label_text, number_labels, order_labels, several_labels
from jointune.data.post import Post, Posts
from jointune.errors import setting
from jointune.utils.wording import listed


class Labelling:
    """One label a post; targets that ask for something else override what differs.

    Attributes:
        named: whether labels are names; numbers are not.
        several: whether a post may have several labels.
        each_needed: whether training needs two posts of each label.
    """

    named = True
    several = False
    each_needed = True

    @property
    def wanted(self) -> str:
        """The remedy for labels of another type."""
        return f"give one text, number or boolean a post; {setting('target', 'multi')} takes lists of labels"

    def label_columns(self, column: str) -> tuple[str, ...]:
        """Return the columns that hold the labels, from the setting ``label_column``."""
        return (column,)

    def read(self, cell: Any) -> str | None:
        """Return the text of a cell's label; None for an empty cell.

        Raises:
            TypeError: the cell holds no label.
        """
        return label_text(cell)

    def dtype(self, labels: Iterable[Any]) -> str | None:
        """Return the name of the NumPy type of labels from Python; see ``label_dtype``."""
        return label_dtype(labels)

    def parts(self, label: str) -> tuple[str, ...]:
        """Return the labels that the text of a post's label consists of."""
        return (label,)

    def fault(self, label: str) -> tuple[str, str] | None:
        """Return why the text is no label, and a remedy; None if it is one."""
        return None

    def check(self, posts: Sequence[Post]) -> None:
        """Check the labels of posts as a whole.

        Raises:
            PostsError: they are of another kind.
            SettingsError: a setting is needed to read them.
        """

    def order(self, labels: Iterable[str], dtype: str | None) -> list[str]:
        """Return each label once, in the order of a classifier's classes; see ``order_labels``."""
        return order_labels(labels, dtype)

    def names(self, posts: Posts) -> list[str]:
        """Return the labels of posts, in the order of a classifier's classes."""
        labels = {part for post in posts if post.label is not None for part in self.parts(post.label)}
        return self.order(labels, posts.label_dtype)

    def counts(self, posts: Iterable[Post]) -> dict[str, int]:
        """Return the number of posts with each label."""
        return dict(Counter(part for post in posts for part in self.parts(str(post.label))))

    def strata(self, posts: Sequence[Post]) -> list[tuple[str | None, ...]]:
        """Return the strata of each post, whose shares are to be the same in each part of the posts."""
        return [(post.label,) for post in posts]

    def kinds(self, posts: Sequence[Post]) -> list[str]:
        """Return the rarest stratum of each post."""
        strata = self.strata(posts)
        counts = Counter(one for own in strata for one in own)
        return [str(min(own, key=lambda one: (counts[one], str(one)))) for own in strata]

    def note(self, counts: Counter[str]) -> str | None:
        """Return a note if labels, counted by their texts, look like several in one."""
        return several_labels(counts)

    def likeness(self, counts: Counter[str]) -> str | None:
        """Return a note if labels, counted by their texts, look like those of another target."""
        return self.note(counts) or number_labels(counts)

    def summary(self, counts: Counter[str]) -> str:
        """Return how many posts have each label, from the counts of their texts; empty without any."""
        by_part: Counter[str] = Counter()
        for label, number in counts.items():
            by_part.update(dict.fromkeys(self.parts(label), number))
        named = listed((f"{label} {number:,}" for label, number in by_part.most_common()), len(by_part))
        return f"labels: {named}" if named else ""


ONE_LABEL = Labelling()
