"""Any number of labels a post: a sigmoid each, cross-entropy, and thresholds chosen on validation posts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from jointune.data.label_checks import check_labels
from jointune.data.labels import absent, label_text
from jointune.data.post import Post, Posts
from jointune.errors import PostsError
from jointune.evaluation.calibration import Calibration, at_temperature, calibrate
from jointune.evaluation.conformal import label_scores
from jointune.evaluation.intervals import Z
from jointune.evaluation.measures import Measure, several_measures
from jointune.evaluation.notes import notes_on_few_of_several
from jointune.evaluation.score_table import ScoreTable
from jointune.evaluation.target_metrics import several_log_loss, several_metrics
from jointune.targets.single_label import SingleLabel, named_weights
from jointune.targets.target import SEPARATOR, LinearFit, Target
from jointune.targets.thresholds import Wanted, best_threshold

if TYPE_CHECKING:
    from torch import Tensor

_FEW = 10
"""Posts with a label on which a threshold of its own rests; rarer labels share one."""

_MOST_WEIGHT = 100.0
"""Of the posts with a rare label, if labels are balanced."""

_YES, _NO = {"1", "true", "yes"}, {"0", "false", "no"}


class SeveralLabels(Target):
    """A target with any number of L labels a post, none among them.

    In a cell, labels are joined by ``|``, or a list; a list may be empty. With several columns, one for each label, a
    cell says 1 or 0. An empty cell is a missing label, not a post without labels.

    Attributes:
        thresholds: the probability from which each label is predicted, float [L].
    """

    name = "multi"
    metric_names: ClassVar = ("macro_f1", "micro_f1", "map", "subset_accuracy", "log_loss")
    compared: ClassVar = ("micro_f1", "macro_f1", "subset_accuracy")
    main = "macro_f1"
    scores_explained = (
        SingleLabel.scores_explained[0],
        "Micro F1 is that of all decisions about labels together. Subset accuracy is the share of posts whose labels "
        "are all predicted correctly.",
    )
    abstains = False
    set_rules: ClassVar = ("lac",)
    graph_output = "their logistic function is the calibrated probability of each label"
    several = True
    each_needed = False
    wanted = "give a list of labels a post, or texts such as 'a|b'"  # type: ignore[assignment]

    def __init__(self, labels: Sequence[str] = (), settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(labels, settings)
        self.thresholds = np.full(len(self.labels), 0.5)

    def label_columns(self, column: str) -> tuple[str, ...]:
        return tuple(name for part in column.split(",") if (name := part.strip()))

    def read(self, cell: Any) -> str | None:
        if isinstance(cell, Mapping):  # several columns of 0 and 1
            values = {name: label_text(value) for name, value in cell.items()}
            if any(value is None for value in values.values()):
                if all(value is None for value in values.values()):
                    return None
                raise TypeError(f"no value for {', '.join(name for name, value in values.items() if value is None)}")
            if odd := [value for value in values.values() if str(value).casefold() not in _YES | _NO]:
                raise TypeError(f"{odd[0]!r} where 0 or 1 is needed")
            return self._joined(name for name, value in values.items() if str(value).casefold() in _YES)
        if isinstance(cell, list | tuple | set | frozenset | np.ndarray):
            entries = sorted(cell) if isinstance(cell, set | frozenset) else list(cell)
            labels = [label_text(entry) for entry in entries]
            if None in labels:
                raise TypeError("a list with an empty label")
            if odd := [label for label in labels if SEPARATOR in str(label)]:
                raise TypeError(f"the label {odd[0]!r} holds {SEPARATOR!r}, which separates labels")
            return self._joined(map(str, labels))
        if absent(cell):
            return None
        text = str(label_text(cell))
        if text.startswith("[") and text.endswith("]"):
            return self.read(_json_list(text))
        parts = [part.strip() for part in text.split(SEPARATOR)]
        if not all(parts):
            raise TypeError(f"{text!r} has an empty label")
        return self._joined(parts)

    @staticmethod
    def _joined(labels: Iterable[str]) -> str:
        return SEPARATOR.join(dict.fromkeys(labels))

    def dtype(self, labels: Iterable[Any]) -> str | None:
        return None

    def parts(self, label: str) -> tuple[str, ...]:
        return tuple(label.split(SEPARATOR)) if label else ()

    def names(self, posts: Posts) -> list[str]:
        labels = super().names(posts)
        if not labels:
            raise PostsError(f"{posts.name}: no post has a label", "add posts with labels")
        return labels

    def strata(self, posts: Sequence[Post]) -> list[tuple[str | None, ...]]:
        return [self.parts(str(post.label)) or ("",) for post in posts]

    def likeness(self, counts: Counter[str]) -> str | None:
        return None

    def note(self, counts: Counter[str]) -> str | None:
        return None

    def description(self) -> dict[str, Any]:
        return {"thresholds": self.thresholds.tolist()}

    def restore(self, values: Mapping[str, Any]) -> None:
        thresholds = np.array(values.get("thresholds"), dtype=np.float64)
        if thresholds.shape != (len(self.labels),) or not ((thresholds >= 0) & (thresholds <= 1)).all():
            raise ValueError("its thresholds are not one for each label")
        self.thresholds = thresholds

    def about(self, spelled: Callable[[str], str] = str) -> str:
        return (
            "It gives a post any number of labels, each from a probability on that suited the validation posts: "
            + ", ".join(f"{spelled(label)} ({at:.2f})" for label, at in zip(self.labels, self.thresholds, strict=True))
            + "."
        )

    def encode(self, posts: Posts) -> np.ndarray:
        """Return whether each post has each label, float32 [N, L]."""
        check_labels(posts, self.labels, self)
        number = {label: place for place, label in enumerate(self.labels)}
        encoded = np.zeros((len(posts), len(self.labels)), dtype=np.float32)
        for row, post in zip(encoded, posts, strict=True):
            row[[number[label] for label in self.parts(str(post.label))]] = 1
        return encoded

    def weights(self, encoded: np.ndarray, class_weight: str | Mapping[Any, float] | None) -> np.ndarray | None:
        """Return the weight of the posts that have each label, float [L]; ``balanced`` makes them weigh as the others.

        That is at most a hundredfold.
        """
        if class_weight in (None, "auto"):
            return None
        if class_weight not in ("root", "balanced"):
            return named_weights(self.labels, class_weight)
        having = encoded.sum(0)
        rarity = (len(encoded) - having) / np.maximum(having, 1)
        return np.clip(rarity ** (0.5 if class_weight == "root" else 1), 1 / _MOST_WEIGHT, _MOST_WEIGHT)

    def loss(self, weights: "Tensor | None", label_smoothing: float) -> Callable[["Tensor", "Tensor"], "Tensor"]:
        """Return the cross-entropy of the decisions on all labels, added up over posts and divided by L."""
        from torch.nn import functional

        def loss(logits: "Tensor", encoded: "Tensor") -> "Tensor":
            wanted = encoded * (1 - label_smoothing) + label_smoothing / 2
            total = functional.binary_cross_entropy_with_logits(logits, wanted, pos_weight=weights, reduction="sum")
            return total / len(self.labels)

        return loss

    def linear_fits(
        self, features: np.ndarray, encoded: np.ndarray, post_weights: np.ndarray, strengths: Sequence[float]
    ) -> Iterator[LinearFit]:
        everyone = np.arange(len(encoded))
        yield from binary_fits(features, [(everyone, column > 0.5) for column in encoded.T], post_weights, strengths)

    def rarest(self, encoded: np.ndarray) -> np.ndarray:
        rarity = np.where(encoded > 0.5, encoded.sum(0), np.inf)
        return np.where(np.isfinite(rarity).any(1), rarity.argmin(1), -1)

    def activate(self, logits: np.ndarray) -> np.ndarray:
        return sigmoid(logits)

    def at_temperature(self, answers: np.ndarray, temperature: float) -> np.ndarray:
        return _unpaired(at_temperature(_paired(answers), temperature), answers)

    def choose(self, answers: np.ndarray) -> np.ndarray:
        """Return whether each label is predicted, bool [N, L]."""
        return answers >= self.thresholds

    def texts(self, chosen: np.ndarray) -> list[str]:
        return [SEPARATOR.join(np.array(self.labels, dtype=object)[row]) for row in chosen]

    def decided(self, row: np.ndarray) -> list[int]:
        """Return the numbers of the post's labels; of the most probable one where it has none."""
        return np.flatnonzero(self.choose(row[None])[0]).tolist() or [int(row.argmax())]

    def without_posts(self, counts: Mapping[str, int]) -> np.ndarray | None:
        return None  # a post counts once for each of its labels

    def python(self, chosen: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return a tuple of labels a post, object [N]."""
        return self.python_sets(chosen, classes)

    def response(self, row: np.ndarray, least_confidence: float = 0.0) -> dict[str, Any]:
        labels = [label for label, chosen in zip(self.labels, self.choose(row[None])[0], strict=True) if chosen]
        return {"labels": labels, "probabilities": self.bars(row)}

    def sentence(self, row: np.ndarray) -> str:
        labels = self.response(row)["labels"]
        return f"{', '.join(labels)}." if labels else "None of the labels."

    def metrics(
        self, encoded: np.ndarray, answers: np.ndarray, repeats: float = 1, chosen: np.ndarray | None = None
    ) -> ScoreTable:
        chosen = self.choose(answers) if chosen is None else chosen
        return several_metrics(encoded > 0.5, answers, chosen, self.labels, repeats)

    def divergence(self, answers: np.ndarray) -> np.ndarray:
        return super().divergence(np.stack([1 - answers, answers], axis=-1)).sum(1)

    def log_loss(self, encoded: np.ndarray, answers: np.ndarray) -> float:
        return several_log_loss(answers, encoded > 0.5)

    def measure(self, metric: str) -> str | Measure:
        return several_measures(len(self.labels))[metric]

    def standard_error(self, metric: str, scores: ScoreTable, encoded: np.ndarray, answers: np.ndarray) -> float:
        if metric == "map":  # no sum over posts
            low, high = scores.map_ci
            return float(high - low) / (2 * Z)
        if metric == "log_loss":
            each = [several_log_loss(row, right) for row, right in zip(answers, encoded > 0.5, strict=True)]
            return float(np.std(each) / np.sqrt(len(each)))
        return several_measures(len(self.labels))[metric].standard_error(encoded > 0.5, self.choose(answers))

    def tuned(self, encoded: np.ndarray, answers: np.ndarray) -> "SeveralLabels":
        """Return the target with the threshold of each label that has the best F1 on validation posts.

        Labels of fewer than ten posts share the threshold with the best F1 of all decisions together, since one of
        their own would rest on too little.
        """
        made, right, wanted = SeveralLabels(self.labels, self.settings), encoded > 0.5, Wanted("f1")
        common = best_threshold(answers.ravel(), right.ravel(), wanted)
        made.thresholds = np.array(
            [
                best_threshold(answers[:, i], right[:, i], wanted) if right[:, i].sum() >= _FEW else common
                for i in range(len(self.labels))
            ]
        )
        return made

    def calibrate(self, encoded: np.ndarray, answers: np.ndarray, held: Sequence[str]) -> Calibration | None:
        """Return the calibration of the decisions on all labels together."""
        repeated = np.repeat(np.array(held, dtype=object), len(self.labels)).tolist()
        found = calibrate(_paired(answers), (encoded > 0.5).astype(np.int64).ravel(), repeated)
        return replace(found, out_of_fold=_unpaired(found.out_of_fold, answers))

    def conformity(self, encoded: np.ndarray, answers: np.ndarray) -> dict[str, np.ndarray]:
        """Return the score of each post's label that conforms worst, so that a set holds all its labels."""
        scores = label_scores(answers, "lac")
        return {"lac": np.where(encoded > 0.5, scores, 0.0).max(1)}

    def notes_on_few(self, part: str, counts: Mapping[str, int], posts: int, rests: str = "") -> list[str]:
        return notes_on_few_of_several(part, counts, posts, self.labels, rests)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return the logistic function of logits, float64, without overflow."""
    exact = logits.astype(np.float64)
    small = np.exp(-np.abs(exact))
    return np.where(exact >= 0, 1 / (1 + small), small / (1 + small))


def binary_fits(
    features: np.ndarray,
    tasks: Sequence[tuple[np.ndarray, np.ndarray]],
    post_weights: np.ndarray,
    strengths: Sequence[float],
) -> Iterator[LinearFit]:
    """Fit a logistic regression for each task, with a penalty of each strength.

    Args:
        features: standardised, float [N, D].
        tasks: O pairs of the numbers of posts, int [M], and whether each of them counts as one, bool [M].
        post_weights: float [N].
        strengths: inverse strengths of the penalty.
    """
    from sklearn.linear_model import LogisticRegression

    models = [LogisticRegression(max_iter=300, warm_start=True) for _ in tasks]
    for strength in strengths:
        weight, bias = np.zeros((len(tasks), features.shape[1])), np.zeros(len(tasks))
        for place, (model, (posts, right)) in enumerate(zip(models, tasks, strict=True)):
            if right.all() or not right.any():  # nothing to tell apart: the odds with half a post of each kind
                bias[place] = np.log((right.sum() + 0.5) / ((~right).sum() + 0.5))
                continue
            model.set_params(C=strength).fit(features[posts], right, sample_weight=post_weights[posts])
            weight[place], bias[place] = model.coef_[0], model.intercept_[0]
        yield LinearFit(weight.astype(np.float32), bias.astype(np.float32), strength)


def _paired(answers: np.ndarray) -> np.ndarray:
    """Return the probabilities of no and yes for each decision, float [N * L, 2]."""
    return np.stack([1 - answers, answers], axis=-1).reshape(-1, 2)


def _unpaired(pairs: np.ndarray, like: np.ndarray) -> np.ndarray:
    return pairs[:, 1].reshape(like.shape).astype(like.dtype)


def _json_list(text: str) -> list[Any]:
    import json

    try:
        values = json.loads(text)
    except ValueError:
        try:
            values = json.loads(text.replace("'", '"'))  # as Python writes a list
        except ValueError:
            raise TypeError(f"{text!r} is no list of labels") from None
    if any(isinstance(value, list | dict) for value in values):
        raise TypeError(f"{text!r} is no list of labels")
    return values
