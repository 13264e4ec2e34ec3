"""Split conformal prediction: sets of labels, or intervals, that hold the truth as often as is asked."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jointune.errors import SettingsError, setting
from jointune.utils.files import clear_read_errors, read_json

CONFORMITY = "conformity.json"
"""The file of a bundle or an export that holds the scores; those of earlier versions have none."""

OWN = 100
"""Posts of one combination of modalities on which a bound of its own rests; rarer ones share that of all posts."""

_ROUNDING = 1e-6  # probabilities are 32-bit floats


@dataclass(frozen=True)
class Bounds:
    """The greatest conformity score that a label of a prediction set has.

    Attributes:
        coverage: the share of posts whose truth is to be held.
        rule: of the scores.
        pooled: of all posts.
        own: of posts with a combination of modalities, as ``presence`` names them, where there were enough.
    """

    coverage: float
    rule: str
    pooled: float
    own: Mapping[str, float]

    def of(self, held: Sequence[str]) -> np.ndarray:
        """Return the bound of each post, float [N], by its modalities."""
        return np.array([self.own.get(name, self.pooled) for name in held]) + _ROUNDING


@dataclass(frozen=True)
class Conformity:
    """How badly the true labels of validation posts conformed to the model, one post of those that share content.

    Attributes:
        scores: by rule, one a post, float [N]; greater is worse.
        held: the modalities of each post, as ``presence`` names them, [N].
    """

    scores: Mapping[str, np.ndarray]
    held: Sequence[str]

    @property
    def enough(self) -> dict[str, int]:
        """The number of posts by combination of modalities, where a bound of its own rests on them."""
        counts = {name: self.held.count(name) for name in sorted(set(self.held))}
        return {name: count for name, count in counts.items() if OWN <= count < len(self.held)}

    def bounds(self, coverage: float, rule: str) -> Bounds:
        """Return the bounds that hold the truth of posts like these with a probability of at least ``coverage``.

        It is the k-th smallest score, k = ⌈(n + 1) coverage⌉ (Vovk et al., 2005; Papadopoulos et al., 2002), and where
        there are ``OWN`` posts of one combination of modalities, that of these alone (Vovk, 2012, arXiv 1209.2673).

        Raises:
            SettingsError: there are too few posts for that.
        """
        scores, held = self.scores[rule], np.array(self.held)
        if rank(len(scores), coverage) > len(scores):
            fewest = math.ceil(coverage / (1 - coverage) - 1e-9)
            raise SettingsError(
                f"{setting('coverage', coverage)}: sets that cover so much take {fewest:,} validation posts, and the "
                f"model has {len(scores):,} that differ",
                f"ask for at most {math.floor(1000 * len(scores) / (len(scores) + 1)) / 1000}, or train it with more "
                "validation posts",
                setting="coverage",
            )
        own = {
            name: _bound(scores[held == name], coverage)
            for name, count in self.enough.items()
            if rank(count, coverage) <= count
        }
        return Bounds(coverage, rule, _bound(scores, coverage), own)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"scores": {rule: scores.tolist() for rule, scores in self.scores.items()}, "held": list(self.held)}

    @classmethod
    def from_dict(cls, values: Any) -> "Conformity":
        """Restore what ``to_dict`` returned.

        Raises:
            ValueError: the values are others.
        """
        try:
            held = [str(name) for name in values["held"]]
            scores = {str(rule): np.array(row, dtype=np.float64) for rule, row in values["scores"].items()}
        except (AttributeError, KeyError, TypeError) as reason:
            raise ValueError(f"no scores: {reason}") from reason
        if not scores or not all(row.shape == (len(held),) and np.isfinite(row).all() for row in scores.values()):
            raise ValueError("its scores are not one for each post")
        return cls(scores, held)


def read_conformity(folder: Path, whole: str) -> Conformity | None:
    """Read the scores of a bundle or an export; None if it has none.

    Raises:
        BundleError: the file is damaged, and the ``whole`` of the folder should be copied again.
    """
    path = folder / CONFORMITY
    if not os.path.lexists(path):
        return None
    with clear_read_errors(path, whole):
        return Conformity.from_dict(read_json(path, whole))


def check_coverage(coverage: Any) -> None:
    """Refuse a coverage that is not between 0 and 1.

    Raises:
        SettingsError: it is not.
    """
    if isinstance(coverage, bool) or not isinstance(coverage, int | float | np.number) or not 0 < coverage < 1:
        raise SettingsError(
            f"{setting('coverage', coverage)}: a share of posts between 0 and 1",
            "such as 0.9 for sets that hold the truth in nine posts of ten",
            setting="coverage",
        )


def rank(posts: int, coverage: float) -> int:
    """Return the place, from 1, of the bound among the sorted scores of n posts; more than n where these are too few.

    It is the least k with a probability of k / (n + 1) that the score of another post is no greater.
    """
    return math.ceil((posts + 1) * coverage - 1e-9)


def coverage_interval(posts: int, coverage: float) -> tuple[float, float]:
    """Return the interval in which the share of later posts that are covered lies, with a probability of 95 %.

    Over draws of n validation posts, it is distributed as Beta(k, n + 1 - k) (Vovk, 2012, arXiv 1209.2673).
    """
    from scipy.stats import beta

    place = rank(posts, coverage)
    low, high = beta.ppf([0.025, 0.975], place, posts + 1 - place)
    return float(low), float(high)


def label_scores(probabilities: np.ndarray, rule: str) -> np.ndarray:
    """Return the conformity score of each label of each post, float64 [N, L].

    Args:
        probabilities: float [N, L].
        rule: ``lac``, one less the probability, which makes the smallest sets on average (Sadinle et al., 2019, arXiv
            1609.00451); or ``adaptive``, the probability of it and of all that are more probable, which makes small
            sets for easy posts and large ones for hard ones (Romano et al., 2020, arXiv 2006.02544, without its random
            numbers).
    """
    exact = probabilities.astype(np.float64)
    if rule == "lac":
        return 1 - exact
    order = np.argsort(-exact, axis=1, kind="stable")
    summed = np.cumsum(np.take_along_axis(exact, order, 1), axis=1)
    scores = np.empty_like(exact)
    np.put_along_axis(scores, order, summed, 1)
    return scores


def _bound(scores: np.ndarray, coverage: float) -> float:
    return float(np.sort(scores)[rank(len(scores), coverage) - 1])
