"""What scikit-learn expects of a classifier: its own checks, its tools, and labels of any type."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import check_is_fitted, validate_data

from conftest import WORDS
from jointune import JointClassifier, JointuneWarning, PostsError, SettingsError, read_posts

NOT_MET = {
    "check_classifiers_one_label": "posts of one label are refused: there is nothing to learn",
    "check_classifiers_regression_target": "numbers that are no classes are refused, but not as an unknown label type",
    "check_supervised_y_2d": "a column of labels is taken without a warning, since it can mean one thing only",
}
"""Checks of scikit-learn that fail, and why. What OfNumbers hides is not met either: a matrix of numbers is no posts,
there is no ``n_features_in_``, and the argument ``y`` is called ``labels``."""


class OfNumbers(JointClassifier):
    """Spells each row of a matrix of numbers as a text, since the checks of scikit-learn know no posts."""

    def fit(self, posts, y):
        return super().fit(self._spelled(posts, reset=True), y, validation=0.2)

    def answers(self, posts):
        self._fitted()
        return super().answers(self._spelled(posts, reset=False))

    def score(self, posts, y):
        return super().score(self._spelled(posts, reset=False), y)

    def _spelled(self, posts, reset):
        rows = validate_data(self, posts, reset=reset, ensure_min_samples=2 if reset else 1)
        places = np.clip(np.round(rows[:, :2].astype(float) * 3) + 5, 0, 10).astype(int)
        words = [" ".join(WORDS[11 * column + place] for column, place in enumerate(row)) for row in places]
        return [{"text": f"{text} {number}"} for number, text in enumerate(words)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.allow_nan = False
        return tags


@pytest.fixture
def classifier(tiny_settings):
    return JointClassifier(**tiny_settings | {"epochs": 0})


@pytest.fixture(scope="module")
def frame():
    """Sixty posts of three kinds, told apart by their words."""
    words = ("good happy", "bad awful", "sun rain")
    return pd.DataFrame({"text": [f"{words[number % 3]} {number}" for number in range(60)], "image": None})


@pytest.mark.filterwarnings("ignore")
def test_the_checks_of_scikit_learn(tiny_settings):
    failed, tried = {}, set()
    for estimator, check in estimator_checks_generator(OfNumbers(**tiny_settings | {"epochs": 0})):
        name = getattr(check, "func", check).__name__
        if name in tried:  # with memory maps, or floats of another width
            continue
        tried.add(name)
        try:
            check(estimator)
        except pytest.skip.Exception:
            raise
        except Exception as reason:
            if "SkipTest" not in type(reason).__name__:
                failed[name] = str(reason)
    assert "check_classifiers_classes" in tried
    assert failed.keys() == NOT_MET.keys(), failed


def test_what_scikit_learn_is_told(classifier, frame):
    tags = get_tags(classifier)
    assert is_classifier(classifier)
    assert (tags.input_tags.two_d_array, tags.target_tags.required) == (False, False)
    with pytest.raises(NotFittedError):
        check_is_fitted(classifier)
    with pytest.raises(PostsError):
        classifier.fit(frame, ["a"] * 60)
    with pytest.raises(NotFittedError):  # a fit that failed is none
        check_is_fitted(classifier)
    for call in (classifier.predict, classifier.predict_proba, classifier.evaluate, classifier.score):
        with pytest.raises(NotFittedError, match="not trained"):
            call(frame)


KINDS = {
    "whole numbers": np.arange(60) % 3,
    "narrow whole numbers": (np.arange(60) % 3).astype(np.int8),
    "negative ones": np.arange(60) % 3 - 1,
    "booleans": np.arange(60) % 3 == 1,
    "halves": (np.arange(60) % 3) / 2,
    "whole floats": (np.arange(60) % 3).astype(float),
    "texts": np.array(["b", "a", "c"])[np.arange(60) % 3],
    "texts of numbers": np.array(["10", "9", "2"])[np.arange(60) % 3],
    "a list of numbers": [number % 3 for number in range(60)],
    "a list of booleans": [number % 3 == 1 for number in range(60)],
    "a series": pd.Series(np.arange(60) % 3, index=range(100, 160)),
    "a categorical": pd.Series(pd.Categorical(np.arange(60) % 3, categories=[2, 1, 0, 7])),
    "a categorical of texts": pd.Series(pd.Categorical(["b", "a", "c"] * 20)),
    "nullable numbers": pd.Series(np.arange(60) % 3, dtype="Int64"),
    "nullable booleans": pd.Series(np.arange(60) % 3 == 1, dtype="boolean"),
    "strings of pandas": pd.Series(["b", "a", "c"] * 20, dtype="string"),
    "objects": np.array([number % 3 for number in range(60)], dtype=object),
}


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_of_the_type_of_the_labels(kind, classifier, frame, tmp_path):
    y = KINDS[kind]
    values = np.asarray(y).tolist()
    fitted = classifier.fit(frame, y)
    assert fitted.classes_.tolist() == np.unique(values).tolist()
    answers = fitted.predict(frame)
    assert answers.dtype == fitted.classes_.dtype
    assert [type(answer) for answer in answers.tolist()] == [type(value) for value in values]
    assert (answers == values).mean() >= 0.9
    assert fitted.score(frame, y) == (answers == values).mean()
    inside = classifier.fit(frame.assign(label=list(y) if isinstance(y, np.ndarray) else np.asarray(y)))
    assert inside.classes_.tolist() == fitted.classes_.tolist()
    fitted.save(tmp_path / "bundle")
    loaded = JointClassifier.load(tmp_path / "bundle")
    assert loaded.classes_.dtype == fitted.classes_.dtype
    assert (loaded.predict(frame) == answers).all()


def test_the_dtype_itself_is_kept(classifier, frame):
    for dtype in ("int8", "uint16", "int64", "float32", "bool"):
        assert classifier.fit(frame, (np.arange(60) % 2).astype(dtype)).classes_.dtype == dtype


@pytest.mark.parametrize("y", [np.arange(60) % 3, np.arange(60) % 3 == 1, np.array(["x", "y", "z"] * 20)], ids="ibs")
def test_tools_of_scikit_learn_agree_with_the_labels(y, classifier, frame):
    assert (cross_val_predict(classifier, frame, y, cv=2) == y).mean() >= 0.9
    for scoring in ("f1_macro", "neg_log_loss", "roc_auc_ovr"):
        scores = cross_val_score(classifier, frame, y, cv=2, scoring=scoring, error_score="raise")
        assert (scores > (-0.7 if scoring == "neg_log_loss" else 0.85)).all(), (scoring, scores)


def test_a_search_over_settings(classifier, frame):
    search = GridSearchCV(classifier, {"head_lr": [1e-3], "seed": np.array([1, 2])}, cv=2, scoring="f1_macro")
    search.fit(frame, np.arange(60) % 3)
    assert search.best_score_ > 0.9
    assert search.predict(frame[:3]).tolist() == [0, 1, 2]


def test_settings_of_numpy_are_saved(classifier, frame, tmp_path):
    weights = {np.int64(0): np.float64(1.0), 1: 2.0, 2: 1}
    classifier.set_params(seed=np.int64(3), head_lr=np.float32(0.01), probe=np.bool_(True), class_weight=weights)
    classifier.fit(frame, np.arange(60) % 3).save(tmp_path / "bundle")
    settings = JointClassifier.load(tmp_path / "bundle").get_params()
    assert (settings["seed"], settings["probe"]) == (3, True)
    assert JointClassifier.load(tmp_path / "bundle").fit(frame, np.arange(60) % 3).score(frame, np.arange(60) % 3) > 0.9
    with pytest.raises(SettingsError, match="class_weight"):
        classifier.set_params(class_weight={5: 1.0}).fit(frame, np.arange(60) % 3)


def test_twelve_numbers_are_in_the_order_of_numbers(classifier, tmp_path):
    posts = pd.DataFrame({"text": [f"{WORDS[number % 12]} {number}" for number in range(96)]})
    y = np.arange(96) % 12
    assert classifier.fit(posts, y).classes_.tolist() == list(range(12))
    posts.assign(image="", label=y).to_csv(tmp_path / "posts.csv", index=False)
    of_file = read_posts(tmp_path / "posts.csv")
    classifier.fit(of_file)
    assert classifier.classes_.tolist() == [str(number) for number in range(12)]
    assert accuracy_score(of_file.labels, classifier.predict(of_file)) > 0.9
    # Texts that Python gave are ordered as numpy.unique does, which metrics of scikit-learn take for granted.
    classifier.fit(posts, y.astype(str))
    assert classifier.classes_.tolist() == np.unique(y.astype(str)).tolist()
    assert log_loss(y.astype(str), classifier.predict_proba(posts)) < 1


def test_posts_read_from_a_frame_remember_the_type(classifier, frame):
    posts = read_posts(frame.assign(label=np.arange(60) % 3))
    assert posts.labels == (np.arange(60) % 3).tolist()
    assert posts[0].label == "0"
    assert classifier.fit(posts.take(range(40))).predict(posts[40:]).dtype == np.int64


def test_being_unsure_has_a_place_among_numbers(classifier, frame):
    classifier.fit(frame, np.arange(60) % 3)
    confidence = classifier.predict_proba(frame).max(1)
    middle = float(np.median(confidence))
    classifier.calibration_ = classifier.calibration_ | {"answered": [[0.0, 0.5, 1.0], [middle, 0.9, 0.5]]}
    answers = classifier.predict(frame, abstain=0.8)
    assert answers.dtype == object
    assert {type(answer) for answer in answers[answers != "unsure"].tolist()} == {int}
    assert ((answers == "unsure") == (confidence < middle)).all()


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.eye(60)[:, :3], r"labels of the shape \(60, 3\).*argmax"),
        (pd.DataFrame({"a": [1] * 60, "b": [0] * 60}), r"labels of the shape \(60, 2\)"),
        (np.array(3), r"labels of the shape \(\)"),
        ([[0], [1]] * 30, "labels: a list where a label is needed"),
        (3, "a int where one label a post"),
        ("abc" * 20, "a str where one label a post"),
        ([0, 1, float("nan")] * 20, "has no label"),
        (pd.Series([0, 1, pd.NA] * 20, dtype="Int64"), "has no label"),
        ([0, 1, None] * 20, "has no label"),
        ([0, 1, float("inf")] * 20, "an infinite number"),
        ([0, 1], "2 labels for 60 posts"),
    ],
)
def test_labels_that_are_none(labels, reason, classifier, frame):
    with pytest.raises(PostsError, match=reason):
        classifier.fit(frame, labels)


def test_a_column_of_labels_is_one_label_a_post(classifier, frame):
    y = np.arange(60) % 3
    for column in (y[:, None], pd.DataFrame({"y": y})):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            warnings.simplefilter("ignore", JointuneWarning)
            assert classifier.fit(frame, column).classes_.tolist() == [0, 1, 2]
