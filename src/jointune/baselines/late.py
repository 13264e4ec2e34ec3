"""Late fusion: the probabilities of text alone and of picture alone, averaged with a weight, then calibrated."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from jointune.baselines.one_modality import OneModality
from jointune.classifier import JointClassifier
from jointune.data.divide import divide
from jointune.data.label_checks import class_numbers
from jointune.data.records import as_posts
from jointune.errors import SettingsError, setting
from jointune.evaluation.calibration import at_temperature, calibrate
from jointune.evaluation.scores import f1_scores
from jointune.targets.choice import chosen_target

WEIGHTS = np.linspace(0, 1, 21)
"""Of the text, to choose from."""


@dataclass(frozen=True)
class Mixture:
    """The weight and the temperature that turn the probabilities of text alone and of image alone into one.

    An average of calibrated probabilities is not confident enough, so that it has a temperature of its own.

    Attributes:
        weight: of the text.
        temperature: what the logarithms of the average are divided by.
    """

    weight: float
    temperature: float

    @classmethod
    def fitted(cls, truth: np.ndarray, text: np.ndarray, image: np.ndarray, metric: str = "accuracy") -> "Mixture":
        """Weight and temperature that suit the validation posts; arguments as for ``choose_weight``."""
        weight = choose_weight(truth, text, image, metric)
        return cls(weight, calibrate(mix(text, image, weight), truth).temperature)

    def __call__(self, text: np.ndarray, image: np.ndarray) -> np.ndarray:
        """Probabilities, float32 [N, C]."""
        return at_temperature(mix(text, image, self.weight), self.temperature).astype(np.float32)


def choose_weight(truth: np.ndarray, text: np.ndarray, image: np.ndarray, metric: str = "accuracy") -> float:
    """Return the weight of the text with the best score on validation posts, and the least log loss among equals.

    Args:
        truth: class numbers, int [N].
        text: probabilities of text alone, float [N, C].
        image: probabilities of picture alone, float [N, C].
        metric: ``accuracy``, ``macro_f1``, ``weighted_f1`` or ``log_loss``.
    """

    def score(weight: float) -> tuple[float, float]:
        mixed = mix(text, image, weight)
        likelihood = float(np.log(mixed[np.arange(len(truth)), truth] + 1e-12).mean())
        if metric == "log_loss":
            return likelihood, 0.0
        if metric == "accuracy":
            return float((mixed.argmax(1) == truth).mean()), likelihood
        classes = text.shape[1]
        pairs = np.bincount(truth * classes + mixed.argmax(1), minlength=classes**2)
        macro, weighted = f1_scores(pairs.reshape(1, classes, classes))
        return float((macro if metric == "macro_f1" else weighted)[0]), likelihood

    return float(max(WEIGHTS, key=score))


def mix(text: np.ndarray, image: np.ndarray, weight: float) -> np.ndarray:
    """``weight * text + (1 - weight) * image``, float [N, C]."""
    return weight * text + (1 - weight) * image


class LateFusion:
    """Two classifiers trained apart; their probabilities are averaged and calibrated as suits the validation posts.

    Args:
        text: the recipe for text alone.
        image: the recipe for picture alone.
    """

    def __init__(self, text: JointClassifier, image: JointClassifier) -> None:
        self.text = OneModality(text, hidden="image")
        self.image = OneModality(image, hidden="text")

    def fit(self, posts: Any, *, validation: Any = None) -> "LateFusion":
        """See ``JointClassifier.fit``.

        Raises:
            SettingsError: more than one label a post is asked for, or another thing.
        """
        target = chosen_target(vars(self.text.classifier))
        if not target.softmax:
            raise SettingsError(
                f"late fusion mixes the probabilities of one label a post: not for {setting('target', target.name)}",
                "fuse the modalities jointly",
                setting="target",
            )
        posts, validation = divide(as_posts(posts), validation).held_out(self.text.classifier.seed)
        for part in (self.text, self.image):
            part.fit(posts, validation=validation)
        self.classes_ = self.text.classes_
        self.trained_parameters_ = self.text.trained_parameters_ + self.image.trained_parameters_
        truth = class_numbers(validation, posts.label_names)
        text, image = (part.predict_proba(validation) for part in (self.text, self.image))
        self.mixture_ = Mixture.fitted(truth, text, image, self.text.classifier.metric or "accuracy")
        return self

    def predict_proba(self, posts: Any) -> np.ndarray:
        """Probabilities, float32 [N, C]; see ``JointClassifier.predict_proba``."""
        posts = as_posts(posts)
        return self.mixture_(self.text.predict_proba(posts), self.image.predict_proba(posts))
