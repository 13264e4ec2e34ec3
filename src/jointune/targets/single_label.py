"""One label a post: softmax over the labels, cross-entropy, and the most probable label as the answer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from jointune.data.labels import label_text
from jointune.errors import SettingsError, setting
from jointune.evaluation import metrics as scoring
from jointune.evaluation.calibration import Calibration, at_temperature, calibrate
from jointune.evaluation.notes import notes_on_answers, notes_on_few
from jointune.evaluation.score_table import ScoreTable
from jointune.targets.one_label import OneLabel
from jointune.targets.target import LinearFit
from jointune.targets.thresholds import Wanted, best_threshold

if TYPE_CHECKING:
    from torch import Tensor


FEW_TO_LEARN = 2000
"""With fewer training posts, ``class_weight="auto"`` weighs labels: they gain macro F1, and lose little accuracy."""


class SingleLabel(OneLabel):
    """A target with exactly one of C labels a post.

    Args:
        labels: their names, in the order of the logits; none before they are known.
        settings: of which ``threshold`` counts.

    Attributes:
        threshold: of two labels, the number of the rarer one and the probability from which it is the answer.
    """

    name = "single"
    metric_names: ClassVar = ("accuracy", "macro_f1", "weighted_f1", "log_loss")
    compared: ClassVar = ("accuracy", "macro_f1", "weighted_f1")
    main = "macro_f1"
    scores_explained = (
        "Macro F1 is between 0 and 1, and 1 is best: for each label, F1 says how completely and how purely a method "
        "finds the posts that have it, and macro F1 is the mean over the labels, so that rare ones count as much as "
        "frequent ones.",
        "Accuracy is the share of posts predicted correctly. Macro F1 counts every label alike, weighted F1 every "
        "post.",
    )
    own_settings: ClassVar = ("threshold",)
    softmax = True
    graph_output = "their softmax is the calibrated probabilities"

    def __init__(self, labels: Sequence[str] = (), settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(labels, settings)
        self.threshold: tuple[int, float] | None = None
        self._wanted = Wanted.of(self.settings["threshold"])

    def check(self, posts: Sequence[Any]) -> None:
        labels = {post.label for post in posts if post.label is not None}
        if self._wanted and len(labels) > 2:
            raise SettingsError(
                f"{setting('threshold', self._wanted.text)}: a threshold is of two labels, and there are "
                f"{len(labels):,}",
                "leave it out",
                setting="threshold",
            )

    def about(self, spelled: Callable[[str], str] = str) -> str:
        if self.threshold is None:
            return super().about(spelled)
        label, least = self.threshold
        rarer = f"{spelled(self.labels[label])} is the answer from a probability of {least:.2f} on"
        return f"{super().about(spelled)} {rarer}, which suited the validation posts."

    def description(self) -> dict[str, Any]:
        return {} if self.threshold is None else {"threshold": list(self.threshold)}

    def restore(self, values: Mapping[str, Any]) -> None:
        if (stored := values.get("threshold")) is not None:
            label, threshold = stored
            if len(self.labels) != 2 or label not in (0, 1) or not 0 <= threshold <= 1:
                raise ValueError("its threshold is none of two labels")
            self.threshold = int(label), float(threshold)

    def weights(self, encoded: np.ndarray, class_weight: str | Mapping[Any, float] | None) -> np.ndarray | None:
        """Return the weight of each label in the loss, float [C]; None where all weigh alike.

        Args:
            encoded: of the training posts, int64 [N].
            class_weight: ``balanced`` for weights by rarity, ``root`` for their roots, both with a mean of 1 over the
                posts; ``auto`` for ``root`` with fewer than ``FEW_TO_LEARN`` posts; or a weight for some labels, where
                the others weigh 1.

        Raises:
            SettingsError: there is no such label, or a weight is negative or not finite.
        """
        if class_weight == "auto":
            class_weight = "root" if len(encoded) < FEW_TO_LEARN else None
        return label_weights(self.labels, encoded, class_weight)

    def loss(self, weights: "Tensor | None", label_smoothing: float) -> Callable[["Tensor", "Tensor"], "Tensor"]:
        """Return the cross-entropy of logits [B, C] and encoded labels [B], added up over posts."""
        from torch import nn

        return nn.CrossEntropyLoss(weights, label_smoothing=label_smoothing, reduction="sum")

    def linear_fits(
        self, features: np.ndarray, encoded: np.ndarray, post_weights: np.ndarray, strengths: Sequence[float]
    ) -> Iterator[LinearFit]:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(max_iter=300, warm_start=True)
        for strength in strengths:
            model.set_params(C=strength).fit(features, encoded, sample_weight=post_weights)
            yield LinearFit(*_one_row_a_class(model.coef_, model.intercept_, len(self.labels)), strength)

    def activate(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities, float64 [B, C]: in double, so that no row sums to anything but one."""
        powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    def at_temperature(self, answers: np.ndarray, temperature: float) -> np.ndarray:
        return at_temperature(answers, temperature)

    def choose(self, answers: np.ndarray) -> np.ndarray:
        """Return the number of each post's label, int64 [N]: the most probable one, or by the threshold."""
        if self.threshold is None:
            return answers.argmax(1)
        label, least = self.threshold
        return np.where(answers[:, label] >= least, label, 1 - label)

    def metrics(
        self, encoded: np.ndarray, answers: np.ndarray, repeats: float = 1, chosen: np.ndarray | None = None
    ) -> ScoreTable:
        chosen = self.choose(answers) if chosen is None else chosen
        return scoring.compute_metrics(encoded, answers, self.labels, repeats, chosen)

    def log_loss(self, encoded: np.ndarray, answers: np.ndarray) -> float:
        return scoring.log_loss(answers, encoded)

    def standard_error(self, metric: str, scores: ScoreTable, encoded: np.ndarray, answers: np.ndarray) -> float:
        return scoring.standard_error(metric, scores, encoded, answers)

    def tuned(self, encoded: np.ndarray, answers: np.ndarray) -> "SingleLabel":
        if self._wanted is None:
            return self
        rarer = int(np.bincount(encoded, minlength=2).argmin())
        made = SingleLabel(self.labels, self.settings)
        made.threshold = rarer, best_threshold(answers[:, rarer], encoded == rarer, self._wanted)
        return made

    def calibrate(self, encoded: np.ndarray, answers: np.ndarray, held: Sequence[str]) -> Calibration | None:
        return calibrate(answers, encoded, held)

    def notes_on_few(self, part: str, counts: Mapping[str, int], posts: int, rests: str = "") -> list[str]:
        return notes_on_few(part, counts, self.labels, rests)

    def notes_on_answers(self, scores: ScoreTable, part: str = "") -> list[str]:
        return notes_on_answers(scores, part)


def label_weights(
    labels: Sequence[str], encoded: np.ndarray, class_weight: str | Mapping[Any, float] | None
) -> np.ndarray | None:
    """Return the weight of each label where posts have one, float [C]; see ``SingleLabel.weights``."""
    if class_weight in (None, "auto"):
        return None
    if class_weight in ("root", "balanced"):
        counts = np.bincount(encoded, minlength=len(labels))
        rarity = (len(encoded) / (len(labels) * np.maximum(counts, 1))) ** (0.5 if class_weight == "root" else 1)
        return rarity / np.average(rarity, weights=counts)
    return named_weights(labels, class_weight)


def named_weights(labels: Sequence[str], class_weight: str | Mapping[Any, float]) -> np.ndarray:
    """Return a weight for each label, float [C]; those that are not named weigh 1.

    Raises:
        SettingsError: there is no such label, or a weight is negative or not finite.
    """
    weights = {label_text(label): weight for label, weight in dict(class_weight).items()}  # type: ignore[arg-type]
    unknown = set(weights) - set(labels)
    if unknown or not all(isinstance(weight, int | float) and 0 <= weight < np.inf for weight in weights.values()):
        raise SettingsError(
            f"class_weight={class_weight!r}: give 'auto', 'root' or 'balanced', or a weight for labels of the "
            f"posts ({', '.join(labels)})",
            setting="class_weight",
        )
    return np.array([weights.get(label, 1.0) for label in labels])


def _one_row_a_class(weight: np.ndarray, bias: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a row for each class: two come as one row, and half of it for each gives the same probabilities."""
    if classes == 2:
        weight, bias = np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    return weight.astype(np.float32), bias.astype(np.float32)
