"""Text alone and picture alone: the same recipe, with the other modality hidden."""

from typing import Any

import numpy as np

from jointune.classifier import JointClassifier
from jointune.data.post import Modality, Posts
from jointune.data.records import as_posts


class OneModality:
    """A classifier that is shown one modality of each post, in training and in prediction.

    Args:
        classifier: the recipe.
        hidden: the modality that it never sees.
    """

    def __init__(self, classifier: JointClassifier, hidden: Modality) -> None:
        self.classifier = classifier
        self.hidden = hidden

    def fit(self, posts: Any, *, validation: Any = None) -> "OneModality":
        """See ``JointClassifier.fit``."""
        if validation is not None and not isinstance(validation, int | float):
            validation = self._shown(validation)
        self.classifier.fit(self._shown(posts), validation=validation)
        self.classes_ = self.classifier.classes_
        self.trained_parameters_ = self.classifier.trained_parameters_
        self.log_ = self.classifier.log_
        return self

    def predict_proba(self, posts: Any) -> np.ndarray:
        """Probabilities, float32 [N, C]; see ``JointClassifier.predict_proba``."""
        return self.classifier.predict_proba(self._shown(posts))

    def answers(self, posts: Any) -> np.ndarray:
        """Return the answers of the target; see ``JointClassifier.answers``."""
        return self.classifier.answers(self._shown(posts))

    def _shown(self, posts: Any) -> Posts:
        return as_posts(posts).without(self.hidden)
