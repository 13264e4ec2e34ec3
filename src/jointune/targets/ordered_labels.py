"""One of several labels in an order, such as stars: conditional logits, and the median label as the answer."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from jointune.data.labels import order_labels
from jointune.data.post import Post, Posts
from jointune.errors import PostsError, SettingsError, setting
from jointune.evaluation.calibration import Calibration, calibrate
from jointune.evaluation.measures import Measure, ordered_measures
from jointune.evaluation.metrics import log_loss, standard_error
from jointune.evaluation.notes import notes_on_answers, notes_on_few
from jointune.evaluation.score_table import ScoreTable
from jointune.evaluation.target_metrics import ordered_metrics
from jointune.targets.numbers import as_number, spelled
from jointune.targets.one_label import OneLabel
from jointune.targets.several_labels import binary_fits, sigmoid
from jointune.targets.single_label import label_weights
from jointune.targets.target import LinearFit

if TYPE_CHECKING:
    from torch import Tensor


class OrderedLabels(OneLabel):
    """A target with one of K labels in an order.

    Its K - 1 logits are conditional, as in CORN (Shi, Cao and Raschka, 2021, arXiv 2111.08851): logit k is that of the
    chance that a label is above the k-th, if it is at least the k-th. By the chain rule they give a probability for
    each label, which sum to one, and the chances to exceed a label fall from label to label. Cumulative logits
    (McCullagh, 1980) would need the same weights for all thresholds to make sure of that; here each is free. Each is
    plain logistic regression on some of the posts, so that the linear probe starts training where it would end alone.
    The loss is the negative log-likelihood of the label.

    The prediction is the median: the first label that is not exceeded with a probability of one half or more. It makes
    the least expected distance from the true label.
    """

    name = "ordered"
    metric_names: ClassVar = ("quadratic_kappa", "mae", "accuracy", "macro_f1", "log_loss")
    compared: ClassVar = ("quadratic_kappa", "mae", "accuracy", "macro_f1")
    main = "quadratic_kappa"
    scores_explained = (
        "Quadratic kappa is at most 1, which is best, and 0 is no better than chance: it is the agreement with the "
        "true labels, where a label that is twice as far off counts four times.",
        "MAE is the mean distance from the true label; less is better. Accuracy is the share of posts predicted "
        "correctly. Macro F1 counts every label alike.",
    )
    own_settings: ClassVar = ("label_order",)
    graph_output = "the logistic function of each is the calibrated chance to be above a label, once it is reached"

    def __init__(self, labels: Sequence[str] = (), settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(labels, settings)
        self._order = [spelled(str(label).strip()) for label in self.settings["label_order"] or ()]
        if repeated := next((label for label in self._order if self._order.count(label) > 1), None):
            raise SettingsError(
                f"{setting('label_order', self._order)}: {repeated!r} is there twice",
                "name each label once",
                setting="label_order",
            )
        if len(self._order) == 1 or not all(self._order):
            raise SettingsError(
                f"{setting('label_order', self._order)}: at least two labels have an order",
                "name all of them, the lowest first",
                setting="label_order",
            )

    def read(self, cell: Any) -> str | None:
        label = super().read(cell)
        return label and spelled(label)

    def check(self, posts: Sequence[Post]) -> None:
        odd = [post for post in posts if post.label is not None and as_number(post.label) is None]
        if odd and not self._order:
            raise SettingsError(
                f"{odd[0].where}: the label {odd[0].label!r} is no number, and the order of the labels is not given",
                f"name all labels, the lowest first, with {setting('label_order', ['a', 'b', 'c'])}",
                setting="label_order",
            )

    def fault(self, label: str) -> tuple[str, str] | None:
        if not self._order or label in self._order:
            return None
        return (
            f"{label!r} is not in the order of the labels ({', '.join(self._order)})",
            f"correct it, or add it to {setting('label_order')}",
        )

    def order(self, labels: Iterable[str], dtype: str | None) -> list[str]:
        return self._order or order_labels(labels, "float64")

    def names(self, posts: Posts) -> list[str]:
        labels = {str(post.label) for post in posts}
        if lacking := [label for label in self._order if label not in labels]:
            raise PostsError(
                f"{posts.name}: no post to learn from is labelled {lacking[0]!r}, which the order of the labels names",
                "add some, or leave the label out of the order",
            )
        return self.order(labels, posts.label_dtype)

    def likeness(self, counts: Counter[str]) -> str | None:
        return None

    def note(self, counts: Counter[str]) -> str | None:
        return None

    @property
    def outputs(self) -> int:
        return len(self.labels) - 1

    def about(self, spelled: Callable[[str], str] = str) -> str:
        return (
            f"It gives a probability for each label, of which the order counts: {', '.join(map(spelled, self.labels))}."
        )

    def weights(self, encoded: np.ndarray, class_weight: str | Mapping[Any, float] | None) -> np.ndarray | None:
        return label_weights(self.labels, encoded, class_weight)

    def loss(self, weights: "Tensor | None", label_smoothing: float) -> Callable[["Tensor", "Tensor"], "Tensor"]:
        """Return the negative log-likelihood of the labels, added up over posts."""
        import torch
        from torch.nn import functional

        def loss(logits: "Tensor", encoded: "Tensor") -> "Tensor":
            ranks = torch.arange(self.outputs, device=logits.device)
            above = (encoded[:, None] > ranks).float() * (1 - label_smoothing) + label_smoothing / 2
            each = functional.binary_cross_entropy_with_logits(logits, above, reduction="none")
            # Whether a label is above the k-th says nothing of one that is below it.
            of_posts = (each * (encoded[:, None] >= ranks)).sum(1)
            return (of_posts if weights is None else of_posts * weights[encoded]).sum()

        return loss

    def linear_fits(
        self, features: np.ndarray, encoded: np.ndarray, post_weights: np.ndarray, strengths: Sequence[float]
    ) -> Iterator[LinearFit]:
        reached = [np.flatnonzero(encoded >= rank) for rank in range(self.outputs)]
        tasks = [(posts, encoded[posts] > rank) for rank, posts in enumerate(reached)]
        yield from binary_fits(features, tasks, post_weights, strengths)

    def activate(self, logits: np.ndarray) -> np.ndarray:
        above = np.cumprod(sigmoid(logits), axis=1)
        one, none = np.ones((len(above), 1)), np.zeros((len(above), 1))
        return np.concatenate([one, above], axis=1) - np.concatenate([above, none], axis=1)

    def at_temperature(self, answers: np.ndarray, temperature: float) -> np.ndarray:
        least = 1e-30
        reached = np.cumsum(answers[:, ::-1].astype(np.float64), axis=1)[:, ::-1]
        above, stays = np.maximum(reached[:, 1:], least), np.maximum(answers[:, :-1].astype(np.float64), least)
        return self.activate((np.log(above) - np.log(stays)) / temperature).astype(answers.dtype)

    def choose(self, answers: np.ndarray) -> np.ndarray:
        """Return the number of each post's median label, int64 [N]."""
        above = 1 - np.cumsum(answers[:, :-1].astype(np.float64), axis=1)
        return (above >= 0.5).sum(1)

    def metrics(
        self, encoded: np.ndarray, answers: np.ndarray, repeats: float = 1, chosen: np.ndarray | None = None
    ) -> ScoreTable:
        chosen = self.choose(answers) if chosen is None else chosen
        return ordered_metrics(encoded, answers, chosen, self.labels, repeats)

    def log_loss(self, encoded: np.ndarray, answers: np.ndarray) -> float:
        return log_loss(answers, encoded)

    def measure(self, metric: str) -> str | Measure:
        return ordered_measures(len(self.labels)).get(metric, metric)

    def standard_error(self, metric: str, scores: ScoreTable, encoded: np.ndarray, answers: np.ndarray) -> float:
        if (measure := ordered_measures(len(self.labels)).get(metric)) is not None:
            return measure.standard_error(encoded, self.choose(answers))
        return standard_error(metric, scores, encoded, answers)

    def prediction_sets(self, answers: np.ndarray, bounds: np.ndarray, rule: str) -> np.ndarray:
        """Return sets without gaps: the labels between two that are inside are inside, too."""
        inside = super().prediction_sets(answers, bounds, rule)
        return np.logical_or.accumulate(inside, 1) & np.logical_or.accumulate(inside[:, ::-1], 1)[:, ::-1]

    def calibrate(self, encoded: np.ndarray, answers: np.ndarray, held: Sequence[str]) -> Calibration | None:
        return calibrate(answers, encoded, held, self.at_temperature, self.choose)

    def notes_on_answers(self, scores: ScoreTable, part: str = "") -> list[str]:
        return notes_on_answers(scores, part)

    def notes_on_few(self, part: str, counts: Mapping[str, int], posts: int, rests: str = "") -> list[str]:
        return notes_on_few(part, counts, self.labels, rests)
