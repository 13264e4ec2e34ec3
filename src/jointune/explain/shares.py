"""How much each modality of a post decided: exact Shapley values of its modalities, and their interactions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np

from jointune.errors import SettingsError
from jointune.targets.target import Target

Coalition = frozenset[str]

MOST = 8
"""Modalities of a post: each more doubles the answers that are needed."""


def coalitions(names: Sequence[str]) -> list[Coalition]:
    """Return all sets of the names but the empty one, the smallest first.

    Raises:
        SettingsError: there are too many modalities.
    """
    if len(names) > MOST:
        raise SettingsError(f"a post has {len(names)} modalities, and shares are exact up to {MOST}", "leave some out")
    return [frozenset(chosen) for size in range(1, len(names) + 1) for chosen in combinations(names, size)]


def shapley_values(answers: Mapping[Coalition, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the Shapley value of each modality (Shapley, 1953), float [C]; they add up to the whole less nothing.

    Args:
        answers: float [C], of each coalition, the empty one included.
        names: of the modalities.
    """
    return {name: _interaction(answers, names, (name,)) for name in names}


def interactions(answers: Mapping[Coalition, np.ndarray], names: Sequence[str]) -> dict[tuple[str, str], np.ndarray]:
    """Return the Shapley interaction index of each pair (Grabisch and Roubens, 1999), float [C].

    It is more than 0 where two modalities say more together than the sum of what each says.
    """
    pairs: Iterable[tuple[str, str]] = combinations(names, 2)
    return {pair: _interaction(answers, names, pair) for pair in pairs}


def _interaction(answers: Mapping[Coalition, np.ndarray], names: Sequence[str], chosen: Sequence[str]) -> np.ndarray:
    """Return the weighted mean of the discrete derivative of the answers by the chosen modalities."""
    others = [name for name in names if name not in chosen]
    total = np.zeros_like(answers[frozenset()])
    for size in range(len(others) + 1):
        weight = factorial(size) * factorial(len(others) - size) / factorial(len(others) + 1)
        for rest in combinations(others, size):
            for count in range(len(chosen) + 1):
                sign = (-1) ** (len(chosen) - count)
                for some in combinations(chosen, count):
                    total = total + sign * weight * answers[frozenset((*rest, *some))]
    return total


@dataclass(frozen=True)
class Shares:
    """How much each modality of a post decided.

    Attributes:
        names: the modalities that the post has.
        answers: of each coalition of them, float64 [C]; that of none is ``base``.
        from_training: whether ``base`` is the mean of the training posts; otherwise it is what the model answers where
            it is shown nothing.
    """

    names: tuple[str, ...]
    answers: Mapping[Coalition, np.ndarray]
    from_training: bool

    @property
    def base(self) -> np.ndarray:
        """The answer before anything is known of the post, float [C]."""
        return self.answers[frozenset()]

    @property
    def values(self) -> dict[str, np.ndarray]:
        """The Shapley value of each modality, float [C]."""
        return shapley_values(self.answers, self.names)

    @property
    def interactions(self) -> dict[tuple[str, str], np.ndarray]:
        """The interaction of each pair of modalities, float [C]."""
        return interactions(self.answers, self.names)

    def alone(self, name: str) -> np.ndarray:
        """Return the answer where the other modalities are hidden, float [C]."""
        return self.answers[frozenset((name,))]

    def sentence(self, target: Target) -> str:
        """Say in a sentence what each modality says alone, and whether they agree."""
        together = self.answers[frozenset(self.names)]
        if len(self.names) == 1:
            return f"The post has only {_listed(self.names, article=True)}: it says {_said(target, together)}."
        alone = [self.alone(name) for name in self.names]
        agree = all(target.same(alone[0][None], row[None])[0] for row in alone[1:])
        first, *others = self.names
        said = [f"{first} alone says {_said(target, alone[0])}"]
        said += [f"{name} alone {_said(target, row)}" for name, row in zip(others, alone[1:], strict=True)]
        judged = "agree" if agree else "disagree"
        names = _listed(self.names)
        return f"{names[0].upper()}{names[1:]} {judged}: {', '.join(said)}, together {_said(target, together)}."


def _listed(names: Sequence[str], article: bool = False) -> str:
    spelled = [f"{'an' if name[0] in 'aeiou' else 'a'} {name}" if article else name for name in names]
    return " and ".join(filter(None, (", ".join(spelled[:-1]), spelled[-1])))


def _said(target: Target, row: np.ndarray) -> str:
    answer, confidence = target.answer(row)
    return (answer or "none of the labels") + ("" if confidence is None else f" ({confidence:.2f})")
