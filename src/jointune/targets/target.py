"""What is asked of a post: the contract of all targets."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from jointune.data.labelling import Labelling
from jointune.data.post import Posts
from jointune.errors import SettingsError, setting
from jointune.evaluation.calibration import Calibration
from jointune.evaluation.conformal import label_scores
from jointune.evaluation.measures import Measure
from jointune.evaluation.score_table import ScoreTable

if TYPE_CHECKING:
    from torch import Tensor

SEPARATOR = "|"
"""Between labels in a cell."""

FALLING = ("log_loss", "mae", "rmse")
"""Scores of which less is better."""


@dataclass(frozen=True)
class LinearFit:
    """A linear model of features.

    Attributes:
        weight: float [O, D].
        bias: float [O].
        strength: the inverse strength of its penalty.
    """

    weight: np.ndarray
    bias: np.ndarray
    strength: float


class Target(Labelling):
    """What is asked of a post.

    It is made twice: from the settings, before posts are read, and with ``fitted``, once their labels are known. An
    answer is a row of a model's activated logits: probabilities of labels, or a number.

    Args:
        labels: their names, in the order of the answers' columns; none before they are known, or where they are
            numbers.
        settings: of the classifier; see ``own_settings``.

    Attributes:
        name: value of the setting ``target``.
        metric_names: the scores that can choose between weights, the default first.
        compared: the scores that a comparison has intervals and differences of.
        scores_explained: what the main score is, and what the others are, for the report of a comparison.
        main: the one of them by which it sorts methods; more of it is better.
        own_settings: the settings of this target alone.
        refused_settings: settings of all targets that mean nothing to this one.
        tie: the score that decides between equals.
        graph_output: how those who run an exported graph without jointune turn its logits into answers.
        softmax: whether answers are a softmax of the logits; baselines that mix or make such answers ask it.
        abstains: whether an answer has a confidence below which it can be withheld.
        set_rules: the rules of prediction sets, the default first; see ``conformal.label_scores``.
        set_columns: the columns of a prediction set.
    """

    name: ClassVar[str]
    metric_names: ClassVar[tuple[str, ...]]
    compared: ClassVar[tuple[str, ...]]
    main: ClassVar[str]
    scores_explained: ClassVar[tuple[str, str]]
    own_settings: ClassVar[tuple[str, ...]] = ()
    refused_settings: ClassVar[tuple[str, ...]] = ()
    tie: ClassVar[str] = "log_loss"
    softmax: ClassVar[bool] = False
    graph_output: ClassVar[str]
    abstains: ClassVar[bool] = True
    set_rules: ClassVar[tuple[str, ...]] = ("lac", "adaptive")
    set_columns: ClassVar[tuple[str, ...]] = ("prediction_set",)

    def __init__(self, labels: Sequence[str] = (), settings: Mapping[str, Any] | None = None) -> None:
        self.labels = list(labels)
        self.settings = {name: (settings or {}).get(name) for name in self.own_settings}

    @classmethod
    def check_metric(cls, metric: str | None) -> str:
        """Return the score that chooses between weights; by default the target's own.

        Raises:
            SettingsError: it is none of this target.
        """
        if metric is not None and metric not in cls.metric_names:
            raise SettingsError(
                f"{setting('metric', metric)}: {setting('target', cls.name)} has no such score",
                f"choose one of {', '.join(cls.metric_names)}",
                setting="metric",
            )
        return metric or cls.metric_names[0]

    @classmethod
    def check_sets(cls, rule: str | None) -> str:
        """Return the rule of prediction sets; by default the target's own.

        Raises:
            SettingsError: it is none of this target.
        """
        if rule is not None and rule not in cls.set_rules:
            raise SettingsError(
                f"{setting('sets', rule)}: {setting('target', cls.name)} has no such sets",
                f"choose one of {', '.join(cls.set_rules)}" if len(cls.set_rules) > 1 else "leave it out",
                setting="sets",
            )
        return rule or cls.set_rules[0]

    @classmethod
    def abstention(cls) -> None:
        """Check that answers can be withheld.

        Raises:
            SettingsError: they have no confidence.
        """
        if not cls.abstains:
            raise SettingsError(
                f"abstain: answers of {setting('target', cls.name)} have no confidence to withhold them by",
                "leave it out",
                setting="abstain",
            )

    def fitted(self, posts: Posts) -> "Target":
        """Return the target with the labels of the training posts."""
        return type(self)(self.names(posts), self.settings)

    @classmethod
    def described(cls, settings: Mapping[str, Any], labels: Sequence[str], values: Mapping[str, Any]) -> "Target":
        """Restore a target from its settings, its labels and its ``description``."""
        made = cls(labels, settings)
        made.restore(values)
        return made

    def description(self) -> dict[str, Any]:
        """Return what a bundle needs beside settings and labels to answer as this target does, as JSON values."""
        return {}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Take over a ``description``.

        Raises:
            ValueError: it is damaged.
        """

    @property
    def each_one_label(self) -> bool:
        """Whether each post has one of the labels."""
        return self.named and not self.several

    @property
    def outputs(self) -> int:
        """The number of logits, O."""
        return len(self.labels)

    def about(self, spelled: Callable[[str], str] = str) -> str:
        """Say in a sentence what the model gives; ``spelled`` writes a label."""
        return f"It gives a probability for each label: {', '.join(map(spelled, self.labels))}."

    def knows(self, posts: Posts) -> bool:
        """Return whether each post has a label, and none that the training posts lacked."""
        known = set(self.labels)
        labels = [post.label for post in posts]
        return all(one is not None and self.fault(one) is None and known.issuperset(self.parts(one)) for one in labels)

    @abstractmethod
    def encode(self, posts: Posts) -> np.ndarray:
        """Return the labels of posts as numbers, [N, ...].

        Raises:
            PostsError: a post has no label, or one that is not known.
        """

    @abstractmethod
    def weights(self, encoded: np.ndarray, class_weight: str | Mapping[Any, float] | None) -> np.ndarray | None:
        """Return the weight of each label in the loss, float [C]; None where all weigh alike.

        Raises:
            SettingsError: there is no such label, or a weight is negative or not finite.
        """

    @abstractmethod
    def loss(self, weights: "Tensor | None", label_smoothing: float) -> Callable[["Tensor", "Tensor"], "Tensor"]:
        """Return the loss of logits [B, O] and encoded labels [B, ...], added up over posts.

        Args:
            weights: of the labels, float [C].
            label_smoothing: the share of each label that is spread over all.
        """

    def total_weight(self, encoded: "Tensor", weights: "Tensor | None") -> "Tensor | int":
        """Return what the loss of posts is divided by: their number, or the sum of their weights."""
        return len(encoded)

    @abstractmethod
    def linear_fits(
        self, features: np.ndarray, encoded: np.ndarray, post_weights: np.ndarray, strengths: Sequence[float]
    ) -> Iterator[LinearFit]:
        """Fit a linear model with a penalty of each strength, whose outputs are logits.

        Args:
            features: standardised, float [N, D].
            encoded: [N, ...].
            post_weights: float [N].
            strengths: inverse strengths of the penalty.
        """

    def post_weights(self, encoded: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        """Return the weight of each post in a linear fit, float [N]; ``weights`` are those of the labels."""
        return np.ones(len(encoded))

    def rarest(self, encoded: np.ndarray) -> np.ndarray:
        """Return a number of each post's rarest label, int [N]; of a sample, each number is drawn once at least."""
        return encoded

    @abstractmethod
    def activate(self, logits: np.ndarray) -> np.ndarray:
        """Return answers, float64 [B, C], from logits [B, O]."""

    @abstractmethod
    def at_temperature(self, answers: np.ndarray, temperature: float) -> np.ndarray:
        """Return answers as if their logits had been divided by ``temperature``; same shape and dtype."""

    @abstractmethod
    def choose(self, answers: np.ndarray) -> np.ndarray:
        """Return the predictions of N posts, of the kind that ``encode`` returns."""

    def same(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return whether two answers of each post make the same prediction, bool [N]."""
        alike = np.equal(self.choose(first), self.choose(second)).reshape(len(first), -1)
        return np.asarray(alike.all(1))

    @abstractmethod
    def texts(self, chosen: np.ndarray) -> list[str]:
        """Return the text of each prediction, from what ``choose`` returned."""

    def confidences(self, answers: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return the probability of each prediction, float [N]."""
        return np.take_along_axis(answers, chosen[:, None], 1)[:, 0]

    def answer(self, row: np.ndarray, least_confidence: float = 0.0) -> tuple[str, float | None]:
        """Return the prediction of one post, and its confidence where there is one.

        Args:
            row: the answer, float [C].
            least_confidence: with less, the prediction is ``UNSURE``.
        """
        return self.texts(self.choose(row[None]))[0], None

    def decided(self, row: np.ndarray) -> list[int]:
        """Return the columns of an answer, float [C], that its prediction is made of."""
        return [int(self.choose(row[None])[0])]

    def without_posts(self, counts: Mapping[str, int]) -> np.ndarray | None:
        """Return what is answered of a post of which nothing is known, float [C], from the counts of training posts.

        It is the share of each label; None where the counts do not tell it.
        """
        total = sum(counts.values())
        return np.array([counts.get(label, 0) / total for label in self.labels]) if total else None

    def python(self, chosen: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return predictions as Python gets them, from what ``choose`` returned and the classes, [C]."""
        return classes[chosen]

    def added_columns(self) -> list[str]:
        """Return the columns that scoring adds to a table: the prediction first, then numbers."""
        return ["prediction", *(["confidence"] if self.abstains else []), *(f"p_{label}" for label in self.labels)]

    def cells(self, row: np.ndarray, least_confidence: float = 0.0) -> list[str | float]:
        """Return the values of ``added_columns`` for one post."""
        text, confidence = self.answer(row, least_confidence)
        return [text, *([] if confidence is None else [confidence]), *map(float, row)]

    def response(self, row: np.ndarray, least_confidence: float = 0.0) -> dict[str, Any]:
        """Return the answer of the service for one post, as JSON values."""
        text, confidence = self.answer(row, least_confidence)
        known = {} if confidence is None else {"confidence": confidence}
        return {"label": text, **known, "probabilities": dict(zip(self.labels, map(float, row), strict=True))}

    def conformity(self, encoded: np.ndarray, answers: np.ndarray) -> dict[str, np.ndarray]:
        """Return how badly the true label of each post conforms to its answer, by rule, float64 [N]."""
        scores = {rule: label_scores(answers, rule) for rule in self.set_rules}
        return {rule: np.take_along_axis(of_labels, encoded[:, None], 1)[:, 0] for rule, of_labels in scores.items()}

    def prediction_sets(self, answers: np.ndarray, bounds: np.ndarray, rule: str) -> np.ndarray:
        """Return whether each label is in the set of each post, bool [N, L]; the prediction always is.

        Args:
            answers: float [N, L].
            bounds: the greatest conformity score of a set, float [N].
            rule: of the scores.
        """
        inside = label_scores(answers, rule) <= bounds[:, None]
        chosen = self.choose(answers)
        return inside | (chosen if self.several else np.arange(len(self.labels)) == chosen[:, None])

    def set_cells(self, held: np.ndarray) -> list[str | float]:
        """Return the values of ``set_columns`` for a row of ``prediction_sets``."""
        return [SEPARATOR.join(label for label, inside in zip(self.labels, held, strict=True) if inside)]

    def set_response(self, held: np.ndarray) -> dict[str, Any]:
        """Return the service's answer for a row of ``prediction_sets``, as JSON values."""
        return {"prediction_set": [label for label, inside in zip(self.labels, held, strict=True) if inside]}

    def python_sets(self, held: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return prediction sets as Python gets them: tuples of classes, object [N]."""
        made = np.empty(len(held), dtype=object)
        made[:] = [tuple(classes[row]) for row in held]
        return made

    def sentence(self, row: np.ndarray) -> str:
        """Say the answer for one post in a sentence."""
        text, confidence = self.answer(row)
        return f"{text}, with {confidence:.0%} confidence."

    def bars(self, row: np.ndarray) -> dict[str, float]:
        """Return the probability of each label of one post; none where labels are numbers."""
        return dict(zip(self.labels, map(float, row), strict=True))

    @abstractmethod
    def metrics(
        self, encoded: np.ndarray, answers: np.ndarray, repeats: float = 1, chosen: np.ndarray | None = None
    ) -> ScoreTable:
        """Score answers, float [N, C], against encoded labels, [N, ...]; at least one post.

        Args:
            encoded: of the posts.
            answers: of the posts.
            repeats: how often each post is among them, for several trainings tested on it; intervals count it once.
            chosen: the predictions; by default, what ``choose`` returns.
        """

    @abstractmethod
    def log_loss(self, encoded: np.ndarray, answers: np.ndarray) -> float:
        """Return the mean loss of answers, by which ties are broken and linear fits are chosen."""

    @abstractmethod
    def standard_error(self, metric: str, scores: ScoreTable, encoded: np.ndarray, answers: np.ndarray) -> float:
        """Return the standard error of a score due to the choice of posts; training chooses weights by it.

        Args:
            metric: the name of the score.
            scores: of these posts.
            encoded: of the posts.
            answers: of the posts.
        """

    def measure(self, metric: str) -> "str | Measure":
        """Return a score for paired comparisons: a measure, or the name of a score of confusion matrices."""
        return metric

    def divergence(self, answers: np.ndarray) -> np.ndarray:
        """Return how far the answers of M methods to each of N posts lie apart, float [N], from float [M, N, C].

        It is the Jensen-Shannon divergence of their probabilities.
        """

        def entropy(probabilities: np.ndarray) -> np.ndarray:
            return -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(-1)

        return np.asarray(entropy(answers.mean(0)) - entropy(answers).mean(0))

    def tuned(self, encoded: np.ndarray, answers: np.ndarray) -> "Target":
        """Return the target with what validation posts choose, such as thresholds."""
        return self

    def calibrate(self, encoded: np.ndarray, answers: np.ndarray, held: Sequence[str]) -> Calibration | None:
        """Return the calibration on validation posts; None where answers have no probabilities."""
        return None

    def logged(self, scores: ScoreTable) -> dict[str, float]:
        """Return the scores that a validation logs."""
        return {name: float(getattr(scores, name)) for name in self.metric_names}

    @property
    def shown(self) -> tuple[str, ...]:
        """The scores of which a validation prints a line."""
        return (*self.metric_names[:2], "log_loss")

    def notes_on_few(self, part: str, counts: Mapping[str, int], posts: int, rests: str = "") -> list[str]:
        """Note a part of the posts that is too small; see ``evaluation.notes.notes_on_few``."""
        return []

    def notes_on_answers(self, scores: ScoreTable, part: str = "") -> list[str]:
        """Note answers that are too much alike; see ``evaluation.notes.notes_on_answers``."""
        return []


def rank(name: str, value: float) -> float:
    """Return a number that is greater for a better score."""
    return -value if name in FALLING else value
