"""Predicting and scoring in scikit-learn's manner, for a classifier that is trained or loaded."""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from jointune.config import Config
from jointune.data.labels import UNSURE
from jointune.data.post import Post, Posts
from jointune.data.problems import OnBadImage, Problem
from jointune.data.read import Columns
from jointune.data.records import as_posts
from jointune.errors import JointuneWarning, SettingsError, setting
from jointune.evaluation.calibration import least_confidence
from jointune.evaluation.score_table import ScoreTable
from jointune.evaluation.unlike import Unlikeness
from jointune.inference.evaluate import evaluation_of
from jointune.inference.predictor import Predictor
from jointune.inference.scored import Scored
from jointune.modalities.modality import with_further_columns
from jointune.targets.choice import chosen_target
from jointune.targets.target import Target, rank


class PostClassifier(ClassifierMixin, Config, BaseEstimator):
    """The part of ``JointClassifier`` that asks its predictor; see there."""

    classes_: np.ndarray
    predictor_: Predictor
    calibration_: dict[str, Any] | None
    problems_: list[Problem]
    _target: Target

    def read(self, posts: Any, labels: Any = None, labelled: bool = False) -> Posts:
        """Read posts by the settings that name columns, and their labels as the target has them.

        With ``labelled``, posts without a column of labels are refused, as are posts that cannot be read (PostsError).
        """
        return as_posts(posts, labels, self.columns(), labelled)

    def predict_proba(self, posts: Any) -> np.ndarray:
        """Probabilities, float32 [N, C], columns in the order of ``classes_``.

        Nothing in the model is changed, so that several threads may predict at once.

        Args:
            posts: as for ``fit``; labels are not needed.

        Raises:
            PostsError: a post cannot be used. (With ``on_bad_image="missing"`` a bad picture counts as none; ``"skip"``
                is for streams and stops here, since every post needs its row.)
            SettingsError: the target is a number, which has no probabilities.
        """
        if not self._fitted()._target.named:
            raise SettingsError(f"{setting('target', self.target)}: a number has no probabilities", "use predict")
        return self.answers(posts)

    def answers(self, posts: Any) -> np.ndarray:
        """Return the answers of the target: see ``predict_proba``; or numbers, float32 [N, 1]."""
        return self._answers([entry.probabilities for entry in self._scored(posts)])

    def _scored(self, posts: Any) -> list[Scored]:
        """Score posts of which every one needs its row."""
        posts = self._fitted().read(posts)
        self.problems_ = []
        return list(self.score_stream(posts, self._policy(), self.problems_, posts.name))

    def _answers(self, rows: list[np.ndarray]) -> np.ndarray:
        return np.stack(rows) if rows else self._target.activate(np.zeros((0, self._target.outputs), np.float32))

    def predict(self, posts: Any, abstain: float | None = None) -> np.ndarray:
        """Return the most probable label of each post, of the type of ``classes_`` [N].

        Args:
            posts: as for ``predict_proba``.
            abstain: the accuracy wanted of the answers: posts whose confidence was too low for that on the validation
                posts are answered ``unsure``, and the answers are objects.

        Raises:
            PostsError: a post cannot be used.
            SettingsError: no confidence reaches that accuracy.
        """
        classes, target = self._fitted().classes_, self._target
        if abstain is None:
            return target.python(target.choose(self.answers(posts)), classes)
        target.abstention()
        if isinstance(abstain, bool) or not isinstance(abstain, int | float | np.number):
            raise SettingsError(f"{setting('abstain', abstain)}: give a number", setting="abstain")
        least = least_confidence(self.calibration_, abstain, target.labels)
        scores = self.answers(posts)
        chosen = target.choose(scores)
        return np.where(target.confidences(scores, chosen) >= least, classes.astype(object)[chosen], UNSURE)

    def predict_set(self, posts: Any, coverage: float = 0.9, sets: str | None = None) -> np.ndarray:
        """Return a set of labels for each post that holds its true label with a probability of ``coverage``.

        That is so for posts like the validation posts, by split conformal prediction (Vovk et al., 2005).

        Args:
            posts: as for ``predict_proba``.
            coverage: between 0 and 1.
            sets: ``lac`` for small sets on average, the default, or ``adaptive`` for large sets of hard posts; see
                ``conformal.label_scores``. With several labels a post, ``lac`` alone.

        Returns:
            A tuple of labels a post, in the order of ``classes_``, object [N]; with several labels a post, it holds all
            true ones. For numbers, the ends of an interval, float [N, 2].

        Raises:
            PostsError: a post cannot be used.
            SettingsError: the coverage is not between 0 and 1, or more than the validation posts can tell.
        """
        covering = self.predictor().covering(coverage, sets)
        scored = self._scored(posts)
        answers = self._answers([entry.probabilities for entry in scored])
        return self._target.python_sets(covering.sets(answers, [entry.held for entry in scored]), self.classes_)

    def unlike(self, posts: Any) -> list[Unlikeness]:
        """Say of each post how unlike the training posts it is.

        Args:
            posts: as for ``predict_proba``.

        Raises:
            PostsError: a post cannot be used.
            SettingsError: the model keeps no vectors of training posts.
        """
        comparing, posts = self.predictor().comparing(), self._fitted().read(posts)
        stream = comparing.stream(posts, self._policy(), [], posts.name, self.batch_size, self.progress)
        return [scored.unlike for scored in stream if scored.unlike]

    def embed(self, posts: Any, of: str = "joint") -> np.ndarray:
        """Return a vector of each post, float32 [N, D]; see ``Predictor.embed``.

        Args:
            posts: as for ``predict_proba``.
            of: ``joint``, or a modality, such as ``text`` or ``image``.

        Raises:
            PostsError: a post cannot be used.
            SettingsError: the model has no such vector.
        """
        return self.predictor().embed(self.read(posts), of, self._policy(), self.batch_size, self.progress)

    def _policy(self) -> OnBadImage:
        """Return what to do about bad images where every post needs its row."""
        return "missing" if self.on_bad_image == "missing" else "error"

    def score_stream(
        self,
        posts: Iterable[Post],
        on_bad_image: OnBadImage = "error",
        problems: list[Problem] | None = None,
        name: str = "posts",
    ) -> Iterator[Scored]:
        """Score any number of posts in bounded memory; see ``Predictor.stream``."""
        return self.predictor().stream(posts, on_bad_image, problems, name, self.batch_size, self.progress)

    def predictor(self) -> Predictor:
        """Return the trained model with its preprocessing, as batch scoring and the service use it."""
        return self._fitted().predictor_

    def evaluate(self, posts: Any, labels: Any = None) -> ScoreTable:
        """Score the classifier on labelled posts.

        A ``JointuneWarning`` says how many of them it was trained or validated on, and whether one label gets the
        answers that others should.

        Raises:
            PostsError: a post cannot be used, has no label, or has one that was not in training.
        """
        return self._evaluate(self._fitted().read(posts, labels, labelled=True))

    def score(self, posts: Any, labels: Any = None, sample_weight: None = None) -> float:
        """Return the accuracy, or the first score of another target, for scikit-learn's tools: more is better.

        Raises:
            SettingsError: there is a ``sample_weight``, of which nothing is made.
        """
        if sample_weight is not None:
            raise SettingsError("sample_weight: posts are not weighted", "leave it out", setting="sample_weight")
        metric = chosen_target(vars(self)).check_metric(None)
        return rank(metric, getattr(self.evaluate(posts, labels), metric))

    def columns(self) -> Columns:
        """Return the columns of data frames, mappings and files, by use."""
        columns = (self.text_column, self.image_column, self.label_column, "split")
        return with_further_columns(Columns(*columns, labelling=chosen_target(vars(self))), self.get_params())

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # posts are no matrix of numbers
        tags.input_tags.dict = tags.input_tags.string = tags.input_tags.allow_nan = True
        tags.target_tags.required = False  # posts may hold their labels
        return tags

    def _fitted(self) -> Self:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError("this JointClassifier is not trained: call fit, or JointClassifier.load")
        return self

    def _evaluate(self, posts: Posts, part: str = "", notes: list[str] | None = None) -> ScoreTable:
        """Score labelled posts; ``notes`` takes what is otherwise given as a ``JointuneWarning``."""
        self.problems_ = []
        evaluation = evaluation_of(
            self.predictor(), posts, self.on_bad_image, self.problems_, self.batch_size, self.progress, part
        )
        if notes is not None:
            notes += evaluation.notes
        else:
            for note in evaluation.notes:
                warnings.warn(note, JointuneWarning, stacklevel=3)  # whoever called ``evaluate``
        return evaluation.metrics
