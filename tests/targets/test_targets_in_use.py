"""Comparisons, tuning, the service, the page and thresholds for each target."""

import csv
import json

import numpy as np
import pytest

from conftest import write_rows
from jointune import JointClassifier, PostsError, SettingsError, compare, read_posts, tune
from jointune.inference.load import load_predictor
from jointune.targets.thresholds import Wanted, best_threshold
from jointune.ui.html import heading
from jointune.ui.one_post import judge

MOODS = ("happy", "sad", "fine")

ROWS = [
    {
        "text": f"{mood} {'rain' if number % 2 else 'sun'} {('today', 'lunch', 'train')[number % 5 % 3]} number",
        "multi": "|".join([mood, *(["wet"] if number % 2 else [])]),
        "ordered": {"sad": "1", "fine": "2", "happy": "3"}[mood],
        "number": {"sad": -1.5, "fine": 0.25, "happy": 2.0}[mood] + 0.1 * (number % 2),
        "rare": "yes" if number % 6 == 0 else "no",
    }
    for number in range(60)
    for mood in [MOODS[number % 3]]
]
MAIN = {"multi": "macro F1", "ordered": "quadratic kappa", "number": "R²"}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("targets") / "posts.csv", ROWS)


def settings_of(tiny_settings, target, **more):
    return tiny_settings | {"image_column": None, "target": target, "label_column": target} | more


@pytest.fixture(scope="module")
def bundles(table, tiny_settings, tmp_path_factory):
    """A bundle of each target."""
    folders = {}
    for target in MAIN:
        folders[target] = tmp_path_factory.mktemp("trained") / target
        model = JointClassifier(**settings_of(tiny_settings, target, epochs=0)).fit(table, validation=0.25)
        model.save(folders[target])
    return folders


@pytest.mark.parametrize("target", MAIN)
def test_methods_are_compared_by_the_scores_of_the_target(table, tiny_settings, tmp_path, cells_here, target):
    settings = settings_of(tiny_settings, target, epochs=0)
    settings.pop("progress")
    posts = read_posts(table, image_column=None, label_column=target)
    if target == "multi":  # read as texts, which are spelled alike
        assert posts[0].label == "happy"
    with cells_here():
        comparison = compare(
            posts, methods=["frozen", "text"], folds=2, out=tmp_path / "report", progress=False, **settings
        )
    report = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert f"highest {MAIN[target]}" in report
    assert ("Reliability" in report) == (target == "ordered")
    assert ("Confused labels" in report) == (target != "number")
    with open(tmp_path / "report" / "summary.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name in comparison.target.compared:
        assert all(float(row[f"{name}_low"]) <= float(row[name]) <= float(row[f"{name}_high"]) for row in rows)
    row = comparison.table()[0]
    result = comparison.results[0]
    again = getattr(comparison.metrics(result), comparison.target.compared[0])
    assert row[comparison.target.compared[0]] == pytest.approx(again)
    assert MAIN[target] in comparison.summary("frozen").text(160)


def test_a_tuning_optimises_a_score_of_the_target(table, tiny_settings, tmp_path):
    pytest.importorskip("optuna", reason="the extra tune is not installed")
    settings = settings_of(tiny_settings, "number")
    tuned = tune(
        read_posts(table, image_column=None, label_column="number"),
        validation=0.25,
        trials=2,
        out=tmp_path / "tuning",
        **{name: value for name, value in settings.items() if name not in ("encoder_lr", "head_lr", "epochs")},
        epochs=1,
    )
    assert (tuned.metric, tuned.best["target"]) == ("mae", "number")
    best = min(tuned.trials, key=lambda row: row["mae"])
    assert tuned.best_trial == best["trial"]
    assert "mae" in tuned.summary()
    with pytest.raises(SettingsError, match="no such score"):
        tune(read_posts(table, image_column=None, label_column=None), metric="accuracy", trials=1, target="number")


ANSWERS = {
    "multi": {"labels", "probabilities", "missing"},
    "ordered": {"label", "confidence", "probabilities", "missing"},
    "number": {"value", "missing"},
}


@pytest.mark.parametrize("target", MAIN)
def test_the_service_and_the_page_answer_as_the_target_does(bundles, target):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from starlette.testclient import TestClient

    from jointune.serve.app import make_app
    from jointune.serve.limits import Limits

    predictor = load_predictor(bundles[target], "cpu")
    with TestClient(make_app(predictor, Limits()), "http://localhost:8000") as client:
        answer = client.post("/predict", json={"text": "happy rain today"}).json()
        assert set(answer) == ANSWERS[target]
        assert client.get("/model").json()["labels"] == predictor.labels
        assert client.get("/").status_code == 200
    verdict = judge(predictor, "happy rain today", None)
    assert set(verdict.probabilities) == set(predictor.labels)
    if target == "multi":
        assert verdict.sentences[0] == f"{', '.join(answer['labels']) or 'None of the labels'}."
    if target == "number":
        assert verdict.sentences[0] == f"{answer['value']:.4g}."
    assert "95" not in heading("model", predictor.about, predictor.target)


def test_nothing_is_withheld_without_a_confidence(bundles, jointune, table, tmp_path):
    for target in ("multi", "number"):
        with pytest.raises(SettingsError, match="no confidence"):
            load_predictor(bundles[target], "cpu", abstain=0.9)
        with pytest.raises(SettingsError, match="no confidence"):
            JointClassifier.load(bundles[target]).predict([{"text": "happy"}], abstain=0.9)
    ordered = JointClassifier.load(bundles["ordered"])
    assert set(ordered.predict([{"text": "happy rain"}], abstain=0.0)) <= {"1", "2", "3", "unsure"}
    with pytest.raises(SettingsError, match="a number has no probabilities"):
        JointClassifier.load(bundles["number"]).predict_proba([{"text": "happy"}])


def test_numbers_are_numbers_in_parquet(bundles, jointune, table, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    out = tmp_path / "scored.parquet"
    code, said = jointune("predict", bundles["number"], table, "--image-column", "", "--out", out)
    assert code == 0, said
    assert parquet.read_table(out).schema.field("prediction").type == "float"


@pytest.mark.parametrize("wanted", ["f1", "recall=0.9"])
def test_a_threshold_is_chosen_kept_and_used_everywhere(table, tiny_settings, tmp_path, jointune, wanted):
    settings = settings_of(tiny_settings, "single", label_column="rare", threshold=wanted, epochs=0)
    model = JointClassifier(**settings).fit(table, validation=0.4)
    label, threshold = model.predictor().target.threshold
    assert model.classes_[label] == "yes"
    posts = read_posts(table, image_column=None, label_column="rare")
    scores, predicted = model.predict_proba(posts), model.predict(posts)
    np.testing.assert_array_equal(predicted == "yes", scores[:, label] >= threshold)
    recall = model.metrics_.per_class["yes"].recall
    assert recall >= 0.9 or wanted == "f1"
    model.save(tmp_path / "bundle")
    assert json.loads((tmp_path / "bundle" / "config.json").read_text())["target"] == {"threshold": [label, threshold]}
    loaded = JointClassifier.load(tmp_path / "bundle")
    np.testing.assert_array_equal(loaded.predict(posts), predicted)
    out = tmp_path / "scored.csv"
    code, said = jointune("predict", tmp_path / "bundle", table, "--image-column", "", "--out", out)
    assert code == 0, said
    with open(out, newline="", encoding="utf-8") as file:
        assert [row["prediction"] for row in csv.DictReader(file)] == predicted.tolist()


def test_the_best_threshold_is_the_best_of_all():
    random = np.random.default_rng(0)
    for _ in range(20):
        right = random.random(40) < 0.2
        right[0] = True
        scores = np.round(np.clip(right * 0.3 + random.random(40) * 0.7, 0, 1), 2)

        def f1(threshold, right=right, scores=scores):
            chosen = scores >= threshold
            return 2 * (chosen & right).sum() / (chosen.sum() + right.sum())

        best = max(f1(threshold) for threshold in np.linspace(0, 1, 1001))
        assert f1(best_threshold(scores, right, Wanted("f1"))) == pytest.approx(best)
        reached = best_threshold(scores, right, Wanted("recall=0.9", 0.9))
        assert (scores >= reached)[right].mean() >= 0.9
    assert best_threshold(np.array([0.2, 0.4]), np.array([False, False]), Wanted("f1")) == 0.5


def test_a_bundle_with_a_damaged_target_is_refused(bundles, tmp_path):
    import shutil

    from jointune import BundleError
    from jointune.utils.files import write_json, write_manifest

    names = ["config.json", "labels.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"]
    for target, values in (
        ("multi", {"thresholds": [0.5]}),
        ("multi", {}),
        ("number", {"mean": 0.0, "scale": 0.0}),
        ("number", {"mean": "x", "scale": 1}),
        ("ordered", {"thresholds": 3}),
    ):
        folder = tmp_path / f"{target}-{len(str(values))}"
        shutil.copytree(bundles[target], folder)
        config = json.loads((folder / "config.json").read_text())
        if target == "ordered":
            config["settings"]["target"] = "stars"
        write_json(folder / "config.json", config | {"target": values})
        write_manifest(folder, [*names, "calibration.json"])
        with pytest.raises(BundleError):
            JointClassifier.load(folder)


def test_posts_with_other_labels_are_refused(bundles):
    with pytest.raises(PostsError, match="'cold' is not a label of the training posts"):
        JointClassifier.load(bundles["multi"]).evaluate([{"text": "happy"}], [["happy", "cold"]])
    with pytest.raises(PostsError, match="'four' is no number"):
        JointClassifier.load(bundles["number"]).evaluate(
            [{"text": "happy"}, {"text": "a"}, {"text": "b"}], [1, 2, "four"]
        )
