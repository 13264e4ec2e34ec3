"""Several labels, ordered labels and numbers from the table to the answer: train, predict, evaluate, export."""

import csv
import json

import numpy as np
import pytest

from conftest import write_rows
from jointune import JointClassifier, read_posts
from jointune.inference.load import load_predictor
from jointune.targets.choice import chosen_target

MOODS = ("happy", "sad", "fine")

ROWS = [
    {
        "text": f"{mood} {'rain' if number % 2 else 'sun'} {('today', 'lunch', 'train')[number % 5 % 3]} number",
        "multi": "|".join([mood, *(["wet"] if number % 2 else [])]) if mood != "fine" or number % 2 else "[]",
        "ordered": {"sad": "1", "fine": "2", "happy": "3"}[mood],
        "number": {"sad": -1.5, "fine": 0.25, "happy": 2.0}[mood] + 0.1 * (number % 2),
        "single": "wet" if number % 2 else "dry",
    }
    for number in range(48)
    for mood in [MOODS[number % 3]]
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("targets") / "posts.csv", ROWS)


@pytest.fixture(scope="module")
def trained(table, tiny_settings, tmp_path_factory):
    """A bundle of each target, all of the same posts."""
    bundles = {}
    for target in ("multi", "ordered", "number"):
        settings = tiny_settings | {"image_column": None, "target": target, "epochs": 4, "label_column": target}
        model = JointClassifier(**settings).fit(table, validation=0.25)
        bundles[target] = tmp_path_factory.mktemp("trained") / target
        model.save(bundles[target])
    return bundles


SCORES = {
    "multi": ["macro_f1", "micro_f1", "map", "subset_accuracy"],
    "ordered": ["mae", "quadratic_kappa", "accuracy", "macro_f1"],
    "number": ["mae", "rmse", "pearson", "spearman", "r2"],
}
COLUMNS = {
    "multi": ["prediction", "p_fine", "p_happy", "p_sad", "p_wet"],
    "ordered": ["prediction", "confidence", "p_1", "p_2", "p_3"],
    "number": ["prediction"],
}


@pytest.mark.parametrize("target", SCORES)
def test_scores_follow_the_target(jointune, trained, table, target, tmp_path):
    kept = json.loads((trained[target] / "metrics.json").read_text(encoding="utf-8"))["validation"]
    assert [name for name in kept if f"{name}_ci" in kept] == SCORES[target]
    path = tmp_path / "metrics.json"
    options = ("--image-column", "", "--label-column", target, "--out", path)
    code, said = jointune("evaluate", trained[target], table, *options)
    assert code == 0, said
    scores = json.loads(path.read_text(encoding="utf-8"))
    for name in SCORES[target]:
        low, high = scores[f"{name}_ci"]
        assert low <= scores[name] <= high
        assert low < high
    card = (trained[target] / "README.md").read_text(encoding="utf-8")
    assert not [name for name in SCORES[target] if f"| {name.replace('_', ' ')} |" not in card]


@pytest.mark.parametrize("target", SCORES)
def test_an_export_answers_as_the_bundle_does(jointune, trained, table, target, tmp_path):
    exported, rows = tmp_path / "export", {}
    code, said = jointune("export", trained[target], "--out", exported)
    assert code == 0, said
    for name, model in (("torch", trained[target]), ("onnx", exported)):
        out = tmp_path / f"{name}.csv"
        code, said = jointune("predict", model, table, "--image-column", "", "--out", out)
        assert code == 0, said
        with open(out, newline="", encoding="utf-8") as file:
            rows[name] = list(csv.DictReader(file))
    added = [name for name in rows["torch"][0] if name not in ROWS[0]]
    assert added == COLUMNS[target]
    for one, other in zip(rows["torch"], rows["onnx"], strict=True):
        for name in added[1:] if target != "number" else added:
            assert float(one[name]) == pytest.approx(float(other[name]), abs=1e-3)


@pytest.mark.parametrize("target", SCORES)
def test_a_loaded_bundle_predicts_the_same_in_python(trained, table, target):
    model = JointClassifier.load(trained[target])
    posts = read_posts(table, image_column=None, label_column=None)
    answers, predicted = model.answers(posts), model.predict(posts)
    known = chosen_target({"target": target})
    assert type(model.predictor_.target) is type(known)
    if target == "multi":
        assert predicted[0] == tuple(np.array(model.classes_)[answers[0] >= model.predictor_.target.thresholds])
    elif target == "ordered":
        np.testing.assert_allclose(answers.sum(1), 1, atol=1e-6)
        assert set(predicted) <= {"1", "2", "3"}
    else:
        np.testing.assert_allclose(predicted, answers[:, 0])
    assert load_predictor(trained[target]).target.description() == model.predictor_.target.description()


def test_posts_that_were_read_for_one_label_are_read_again(trained, table):
    model = JointClassifier.load(trained["multi"])
    posts = model.read(read_posts(table, image_column=None, label_column="multi"))
    assert [post.label for post in posts][:4] == ["happy", "sad|wet", "", "happy|wet"]


def test_what_is_linear_is_learned(trained, table):
    """Random encoders tell the words apart, so that far better than chance is to be expected."""
    found = {}
    for target in SCORES:
        labels = [row[target] for row in ROWS]
        found[target] = JointClassifier.load(trained[target]).evaluate(
            read_posts(table, image_column=None, label_column=None), labels
        )
    assert found["multi"].micro_f1 > 0.8
    assert found["ordered"].quadratic_kappa > 0.5
    assert found["number"].r2 > 0.3
