"""Parts of the posts on which answers are less often right than on the others."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jointune.audit.out_of_fold import Judged
from jointune.evaluation.intervals import wilson

_FEWEST = 20
"""Posts of a slice, at least."""
_HASHTAGS = 15
"""The most frequent ones are slices."""
_HASHTAG = re.compile(r"#\w+")


@dataclass(frozen=True)
class Slice:
    """Posts that have something in common.

    Attributes:
        name: what they have.
        posts: how many they are.
        accuracy: the share of right answers.
        low: of its interval, which is corrected for the number of slices after Bonferroni.
        high: likewise.
        rest: the accuracy on all other posts.
    """

    name: str
    posts: int
    accuracy: float
    low: float
    high: float
    rest: float

    @property
    def weak(self) -> bool:
        """Whether the whole interval is below the accuracy on the other posts."""
        return self.high < self.rest


def slices(judged: Judged) -> list[Slice]:
    """Return slices by length of the text, missing modalities and frequent hashtags, the least accurate first."""
    from scipy.stats import norm

    right = judged.answers.argmax(1) == judged.labels
    members = [(name, chosen) for name, chosen in _members(judged) if _FEWEST <= chosen.sum() <= len(right) - _FEWEST]
    quantile = float(norm.isf(0.025 / max(len(members), 1)))
    found = []
    for name, chosen in members:
        low, high = wilson(int(right[chosen].sum()), int(chosen.sum()), quantile)
        found.append(
            Slice(name, int(chosen.sum()), float(right[chosen].mean()), low, high, float(right[~chosen].mean()))
        )
    return sorted(found, key=lambda one: one.accuracy)


def _members(judged: Judged) -> Iterator[tuple[str, np.ndarray]]:
    texts = [post.whole_text or "" for post in judged.posts]
    lengths = np.array([len(text.split()) for text in texts])
    having = lengths > 0
    yield "no text", ~having
    yield "no image", ~judged.rows.rows["image"].present
    if having.any():
        short, long = np.quantile(lengths[having], [0.25, 0.75])
        yield f"texts of at most {short:.0f} words", having & (lengths <= short)
        yield f"texts of {long:.0f} words or more", having & (lengths >= long)
    tags = [set(map(str.casefold, _HASHTAG.findall(text))) for text in texts]
    for tag, _ in Counter(tag for own in tags for tag in own).most_common(_HASHTAGS):
        yield tag, np.array([tag in own for own in tags])
