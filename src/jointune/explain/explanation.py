"""The explanation of one answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jointune.data.post import Post
from jointune.explain.neighbours import Neighbour
from jointune.explain.shares import Shares
from jointune.modalities.parts import Parts
from jointune.targets.target import Target


@dataclass(frozen=True)
class Attribution:
    """How much each part of a post adds to a score.

    Attributes:
        column: of the answer, whose value is the score.
        score: of the post.
        parts: by modality, what each of its parts adds, float64 [P].
        heat: of the pixels of the images, float64 [I, H, W]; None where only its regions are told apart.
        base: the score from which the parts lead to that of the post; None where they need not add up.
        missing: how much of the difference between both the parts leave unexplained.
    """

    column: int
    score: float
    parts: Mapping[str, np.ndarray]
    heat: np.ndarray | None = None
    base: float | None = None
    missing: float = 0.0


@dataclass(frozen=True)
class Removal:
    """The fewest parts whose removal changes the answer.

    Attributes:
        parts: by modality, the numbers of the parts.
        answer: after that, float64 [C].
    """

    parts: Mapping[str, Sequence[int]]
    answer: np.ndarray


@dataclass(frozen=True)
class Explanation:
    """Why a model answered a post as it did.

    Attributes:
        post: the post.
        target: what is asked of it.
        answer: float64 [C].
        shares: how much each modality decided.
        parts: by modality that the post has, the parts of its content.
        attributions: of the parts, for each score that is explained.
        removal: what would change the answer; None where no removal does.
        images: as the model sees them, uint8 [H, W, 3].
        neighbours: the nearest training posts; None where these are not known.
        notes: what to know before it is trusted.
    """

    post: Post
    target: Target
    answer: np.ndarray
    shares: Shares
    parts: Mapping[str, Parts]
    attributions: Sequence[Attribution]
    removal: Removal | None
    images: Sequence[np.ndarray] = ()
    neighbours: Sequence[Neighbour] | None = None
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def sentence(self) -> str:
        """What each modality says alone, and together."""
        return self.shares.sentence(self.target)

    def name(self, column: int) -> str:
        """Return the name of a score: the label, or ``number``."""
        return self.target.labels[column] if self.target.labels else "number"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, without the image."""
        shares, removal = self.shares, self.removal
        columns = [one.column for one in self.attributions]

        def named(values: np.ndarray) -> dict[str, float]:
            return {self.name(column): float(values[column]) for column in columns}

        return {
            "answer": self.target.response(self.answer),
            "sentence": self.sentence,
            "modalities": {
                "base": named(shares.base),
                "alone": {name: self.target.response(shares.alone(name)) for name in shares.names},
                "shares": {name: named(values) for name, values in shares.values.items()},
                "interactions": {" and ".join(pair): named(values) for pair, values in shares.interactions.items()},
            },
            "parts": {
                modality: [
                    {
                        parts.kind: name,
                        **({"place": [int(edge) for edge in parts.places[number]]} if parts.places else {}),
                        "adds": {
                            self.name(one.column): float(one.parts[modality][number]) for one in self.attributions
                        },
                    }
                    for number, name in enumerate(parts.names)
                ]
                for modality, parts in self.parts.items()
            },
            "changes": None
            if removal is None
            else {
                "without": {
                    name: [self.parts[name].names[k] for k in numbers] for name, numbers in removal.parts.items()
                },
                "answer": self.target.response(removal.answer),
            },
            "neighbours": None if self.neighbours is None else [one.to_dict() for one in self.neighbours],
            "notes": list(self.notes),
        }
