"""A number a post, such as a price or a share: Huber's loss of the standardised number."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from jointune.data.label_checks import check_labels
from jointune.data.post import Post, Posts
from jointune.errors import PostsError, setting
from jointune.evaluation.measures import Measure, number_measures
from jointune.evaluation.notes import notes_on_few_numbers
from jointune.evaluation.score_table import ScoreTable
from jointune.evaluation.target_metrics import number_metrics
from jointune.targets.target import LinearFit, Target

if TYPE_CHECKING:
    from torch import Tensor

_BINS = 10
"""Strata of equally many posts by which numbers are divided, at most."""

_GREATEST = 1e30
"""Of a number; a greater one has no square in 32-bit floats."""


class Number(Target):
    """A target with a number a post.

    Attributes:
        mean: of the training posts.
        scale: their standard deviation. The model's output is standardised by both.
    """

    name = "number"
    metric_names: ClassVar = ("mae", "rmse", "pearson", "spearman", "r2")
    compared: ClassVar = ("mae", "rmse", "pearson", "spearman", "r2")
    refused_settings: ClassVar = ("class_weight", "label_smoothing")
    main = "r2"
    scores_explained = (
        "R² is at most 1, which is best, and 0 is no better than the mean of all posts: it is the share of the "
        "variance of the true numbers that a method explains.",
        "MAE is the mean distance from the true number, and RMSE the root of the mean squared one; less is better. "
        "Pearson is the correlation with the true numbers, Spearman that of ranks.",
    )
    tie = "rmse"
    abstains = False
    set_rules: ClassVar = ("residual",)
    set_columns: ClassVar = ("prediction_low", "prediction_high")
    graph_output = "the number, less the mean and divided by the scale that are under target"
    named = False
    wanted = "give a number a post"  # type: ignore[assignment]

    def __init__(self, labels: Sequence[str] = (), settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(labels, settings)
        self.mean, self.scale = 0.0, 1.0

    def check(self, posts: Sequence[Post]) -> None:
        given = [post for post in posts if post.label is not None]
        odd = [post for post in given if as_number(str(post.label)) is None]
        if odd and len(odd) * 2 > len(given):
            raise PostsError(
                f"{odd[0].where}: the label {odd[0].label!r} is no number, nor are {len(odd) - 1:,} others of "
                f"{len(given):,} labels",
                f"name another column of labels, or ask for another target than {setting('target', self.name)}",
                setting="target",
            )

    def fault(self, label: str) -> tuple[str, str] | None:
        if as_number(label) is not None:
            return None
        return f"{label!r} is no number", "correct it or remove the row"

    def parts(self, label: str) -> tuple[str, ...]:
        return ()

    def names(self, posts: Posts) -> list[str]:
        if len({as_number(str(post.label)) for post in posts}) == 1:
            raise PostsError(
                f"{posts.name}: every post has the number {posts[0].label}", "add posts with other numbers"
            )
        return []

    def counts(self, posts: Iterable[Post]) -> dict[str, int]:
        return {}

    def strata(self, posts: Sequence[Post]) -> list[tuple[str | None, ...]]:
        """Return the tenth, by size, that each post's number belongs to."""
        values = np.array([as_number(str(post.label)) or 0.0 for post in posts])
        bins = max(1, min(_BINS, len(posts) // 10))
        place = np.searchsorted(np.sort(values), values) * bins // max(len(values), 1)
        return [(str(number),) for number in place]

    def summary(self, counts: Counter[str]) -> str:
        values = np.array([as_number(label) or 0.0 for label in counts.elements() if as_number(label) is not None])
        return (
            f"numbers from {values.min():g} to {values.max():g}, {values.mean():.4g} on average" if len(values) else ""
        )

    def likeness(self, counts: Counter[str]) -> str | None:
        return None

    def note(self, counts: Counter[str]) -> str | None:
        return None

    def fitted(self, posts: Posts) -> "Number":
        made, values = Number((), self.settings), self.encode(posts)
        made.mean, made.scale = float(values.mean()), float(values.std()) or 1.0
        return made

    def description(self) -> dict[str, Any]:
        return {"mean": self.mean, "scale": self.scale}

    def restore(self, values: Mapping[str, Any]) -> None:
        self.mean, self.scale = (float(values.get(name, math.nan)) for name in ("mean", "scale"))
        if not (math.isfinite(self.mean) and math.isfinite(self.scale) and self.scale > 0):
            raise ValueError("its mean and its scale are no numbers")

    @property
    def outputs(self) -> int:
        return 1

    def about(self, spelled: Callable[[str], str] = str) -> str:
        return f"It gives a number; those of the training posts have the mean {self.mean:.4g} and the standard " + (
            f"deviation {self.scale:.4g}."
        )

    def encode(self, posts: Posts) -> np.ndarray:
        """Return the number of each post, float64 [N]."""
        check_labels(posts, (), self)
        return np.array([as_number(str(post.label)) for post in posts], dtype=np.float64)

    def weights(self, encoded: np.ndarray, class_weight: str | Mapping[Any, float] | None) -> np.ndarray | None:
        return None

    def loss(self, weights: "Tensor | None", label_smoothing: float) -> Callable[["Tensor", "Tensor"], "Tensor"]:
        """Return Huber's loss (1964) of the standardised numbers, added up over posts.

        It is half the square up to one standard deviation, and linear beyond: outliers do not rule.
        """
        from torch.nn import functional

        def loss(logits: "Tensor", encoded: "Tensor") -> "Tensor":
            wanted = ((encoded - self.mean) / self.scale).to(logits.dtype)
            return functional.huber_loss(logits[:, 0], wanted, reduction="sum")

        return loss

    def linear_fits(
        self, features: np.ndarray, encoded: np.ndarray, post_weights: np.ndarray, strengths: Sequence[float]
    ) -> Iterator[LinearFit]:
        from sklearn.linear_model import Ridge

        wanted = (encoded - self.mean) / self.scale
        for strength in strengths:
            model = Ridge(alpha=1 / strength).fit(features.astype(np.float64), wanted, sample_weight=post_weights)
            yield LinearFit(model.coef_[None].astype(np.float32), np.array([model.intercept_], np.float32), strength)

    def rarest(self, encoded: np.ndarray) -> np.ndarray:
        return np.zeros(len(encoded), dtype=np.int64)

    def activate(self, logits: np.ndarray) -> np.ndarray:
        return logits.astype(np.float64) * self.scale + self.mean

    def at_temperature(self, answers: np.ndarray, temperature: float) -> np.ndarray:
        return answers

    def choose(self, answers: np.ndarray) -> np.ndarray:
        """Return the number of each post, float64 [N]."""
        return answers[:, 0].astype(np.float64)

    def same(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return whether two answers differ by less than a tenth of a standard deviation, bool [N]."""
        return np.abs(self.choose(first) - self.choose(second)) < 0.1 * self.scale

    def texts(self, chosen: np.ndarray) -> list[str]:
        return [f"{number:.6g}" for number in chosen]

    def decided(self, row: np.ndarray) -> list[int]:
        return [0]

    def without_posts(self, counts: Mapping[str, int]) -> np.ndarray | None:
        """Return the mean of the training posts."""
        return np.array([self.mean])

    def python(self, chosen: np.ndarray, classes: np.ndarray) -> np.ndarray:
        return chosen

    def added_columns(self) -> list[str]:
        return ["prediction"]

    def cells(self, row: np.ndarray, least_confidence: float = 0.0) -> list[str | float]:
        return [_of_seven_digits(row[0])]

    def response(self, row: np.ndarray, least_confidence: float = 0.0) -> dict[str, Any]:
        return {"value": _of_seven_digits(row[0])}

    def conformity(self, encoded: np.ndarray, answers: np.ndarray) -> dict[str, np.ndarray]:
        """Return the distance of each true number from its answer."""
        return {"residual": np.abs(encoded - self.choose(answers))}

    def prediction_sets(self, answers: np.ndarray, bounds: np.ndarray, rule: str) -> np.ndarray:
        """Return the ends of an interval around each answer, float [N, 2]."""
        numbers = self.choose(answers)
        return np.stack([numbers - bounds, numbers + bounds], axis=1)

    def set_cells(self, held: np.ndarray) -> list[str | float]:
        return [_of_seven_digits(end) for end in held]

    def set_response(self, held: np.ndarray) -> dict[str, Any]:
        return dict(zip(self.set_columns, self.set_cells(held), strict=True))

    def python_sets(self, held: np.ndarray, classes: np.ndarray) -> np.ndarray:
        return held

    def sentence(self, row: np.ndarray) -> str:
        return f"{row[0]:.4g}."

    def bars(self, row: np.ndarray) -> dict[str, float]:
        return {}

    def metrics(
        self, encoded: np.ndarray, answers: np.ndarray, repeats: float = 1, chosen: np.ndarray | None = None
    ) -> ScoreTable:
        return number_metrics(encoded, self.choose(answers) if chosen is None else chosen, repeats)

    def divergence(self, answers: np.ndarray) -> np.ndarray:
        """Return the standard deviation of the numbers of all methods."""
        return np.asarray(answers[:, :, 0].std(0))

    def log_loss(self, encoded: np.ndarray, answers: np.ndarray) -> float:
        return float(((encoded - self.choose(answers)) ** 2).mean())

    @property
    def shown(self) -> tuple[str, ...]:
        return ("mae", "spearman", "r2")

    def measure(self, metric: str) -> str | Measure:
        return number_measures()[metric]

    def standard_error(self, metric: str, scores: ScoreTable, encoded: np.ndarray, answers: np.ndarray) -> float:
        return number_measures()[metric].standard_error(encoded, self.choose(answers))

    def notes_on_few(self, part: str, counts: Mapping[str, int], posts: int, rests: str = "") -> list[str]:
        return notes_on_few_numbers(part, posts, rests)


def _of_seven_digits(value: float) -> float:
    return float(f"{value:.7g}")  # 32-bit floats have no more


def as_number(text: str) -> float | None:
    """Return the number that a text spells; None for none, and for one without end or beyond 1e30."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= _GREATEST and "_" not in text else None


def spelled(text: str) -> str:
    """Return a number as Python spells it, so that 3.0 and 3 are the same label; another text as it is."""
    value = as_number(text)
    return text if value is None else str(int(value) if value.is_integer() else value)
