"""Prediction sets from training to the answer: bundle, export, command, service, Python, and what is refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.made_predictor import make_predictor
from jointune import BundleError, JointClassifier, Post, SettingsError, read_posts
from jointune.evaluation.conformal import CONFORMITY, Conformity
from jointune.inference.load import load_predictor
from jointune.inference.scored import Scored

COVERAGE = 0.8  # the tiny bundle has eight validation posts, and all differ


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_training_keeps_a_score_of_each_validation_post(tiny_bundle, posts_csv, tiny_settings):
    kept = json.loads((tiny_bundle / CONFORMITY).read_text(encoding="utf-8"))
    assert kept["held"] == ["text+image"] * 8
    assert {rule: len(scores) for rule, scores in kept["scores"].items()} == {"lac": 8, "adaptive": 8}
    assert CONFORMITY in json.loads((tiny_bundle / "manifest.json").read_text(encoding="utf-8"))
    card = (tiny_bundle / "README.md").read_text(encoding="utf-8")
    assert "## Prediction sets" in card
    assert "| all | 8 | 80% |" in card


def test_posts_that_share_content_count_once(tiny_settings, posts_csv):
    posts = read_posts(posts_csv, split_column="split")
    training, held = posts.in_split("train"), posts.in_split("validation")
    doubled = type(held)([*held, *held, training[0], replace(held[0], text="another text")], "validation")
    model = JointClassifier(**tiny_settings).fit(training, validation=doubled)
    assert len(model.conformity_.held) == 8, "copies, a training post, and one of the same picture are left out"


@pytest.mark.parametrize("kind", ["tiny_bundle", "exported_model"])
@pytest.mark.parametrize("rule", [None, "adaptive"])
def test_predict_adds_sets(jointune, request, kind, rule, posts_csv, tmp_path):
    folder, out = request.getfixturevalue(kind), tmp_path / "out.csv"
    options = ["--coverage", COVERAGE, *(["--sets", rule] if rule else [])]
    code, said = jointune("predict", folder, posts_csv, "--out", out, *options)
    assert code == 0, said
    rows = rows_of(out)
    assert list(rows[0])[-1] == "prediction_set"
    sets = [row["prediction_set"].split("|") for row in rows]
    assert all(row["prediction"] in own for row, own in zip(rows, sets, strict=True))
    predictor = load_predictor(folder).covering(COVERAGE, rule)
    score = (lambda p: 1 - p) if rule is None else (lambda p: 1.0 if p < 0.5 else p)
    for row, own in zip(rows, sets, strict=True):
        inside = [name for name in predictor.labels if score(float(row[f"p_{name}"])) <= predictor.bounds.pooled + 1e-5]
        assert set(own) == {*inside, row["prediction"]}


def test_python_returns_the_same_sets(jointune, tiny_bundle, posts_csv, tmp_path):
    jointune("predict", tiny_bundle, posts_csv, "--out", tmp_path / "out.csv", "--coverage", COVERAGE)
    model = JointClassifier.load(tiny_bundle)
    sets = model.predict_set(read_posts(posts_csv), coverage=COVERAGE)
    assert ["|".join(own) for own in sets] == [row["prediction_set"] for row in rows_of(tmp_path / "out.csv")]
    assert len(model.predict_set([], coverage=COVERAGE)) == 0


def test_a_table_that_was_scored_is_scored_again(jointune, tiny_bundle, posts_csv, tmp_path):
    first, second = posts_csv.with_name("scored.csv"), tmp_path / "second.csv"
    try:
        assert jointune("predict", tiny_bundle, posts_csv, "--out", first, "--coverage", COVERAGE)[0] == 0
        code, said = jointune("predict", tiny_bundle, first, "--out", second)
    finally:
        first.unlink()
    assert code == 0, said
    assert "prediction_set" not in rows_of(second)[0]


def test_parquet_holds_sets_as_texts(jointune, tiny_bundle, posts_csv, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "out.parquet"
    code, said = jointune("predict", tiny_bundle, posts_csv, "--out", out, "--coverage", COVERAGE, "--prefix", "new_")
    assert code == 0, said
    schema = parquet.read_schema(out)
    assert [str(schema.field(f"new_{name}").type) for name in ("prediction", "confidence", "prediction_set")] == [
        "string",
        "float",
        "string",
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--coverage", 0.95], ["--coverage 0.95", "19 validation posts", "has 8"]),
        (["--coverage", 1], ["between 0 and 1"]),
        (["--coverage", 0.8, "--sets", "smallest"], ["--sets smallest", "lac, adaptive"]),
        (["--sets", "adaptive"], ["--coverage"]),
    ],
)
def test_bad_options_are_refused(refused, tiny_bundle, posts_csv, tmp_path, options, says):
    refused("predict", tiny_bundle, posts_csv, "--out", tmp_path / "out.csv", *options, says=says)


def test_a_bundle_without_scores_says_so(posts_csv, refused, tmp_path):
    with pytest.raises(SettingsError, match="train it anew"):
        make_predictor().covering(0.9)
    old = Path(__file__).parents[1] / "persistence" / "old_bundle"
    with pytest.raises(SettingsError, match="train it anew"):
        load_predictor(old, coverage=0.9)


def test_damaged_scores_are_refused(tiny_bundle, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle, copy)
    (copy / CONFORMITY).write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match=CONFORMITY):
        load_predictor(copy)


def test_posts_without_a_modality_get_the_bounds_of_their_kind():
    held = ["text"] * 100 + ["text+image"] * 100
    conformity = Conformity({"lac": np.repeat([0.9999, 0.0], 100)}, held)
    predictor = replace(make_predictor(), conformity=conformity).covering(0.9)
    row = np.array([0.2, 0.5, 0.3])
    assert predictor.response(Scored(Post("good"), row, "text"))["prediction_set"] == [
        "negative",
        "neutral",
        "positive",
    ]
    assert predictor.response(Scored(Post("good"), row, "text+image"))["prediction_set"] == ["neutral"]


def test_the_service_gives_sets():
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from starlette.testclient import TestClient

    from jointune.serve.app import make_app

    conformity = Conformity({"lac": np.linspace(0, 0.7, 40)}, ["text"] * 40)
    with TestClient(make_app(replace(make_predictor(), conformity=conformity)), "http://localhost:8000") as client:
        answer = client.post("/predict", json={"text": "good"}, params={"coverage": 0.9}).json()
        assert answer["label"] in answer["prediction_set"]
        several = client.post("/predict?coverage=0.9", json={"posts": [{"text": "good"}, {"text": "bad"}]}).json()
        assert several[0] == answer
        assert "prediction_set" not in client.post("/predict", json={"text": "good"}).json()
        assert (
            answer["prediction_set"]
            == client.post("/predict?coverage=0.9", data={"text": "good"}, files={"image": b""}).json()[
                "prediction_set"
            ]
        )
        for wrong, says in [
            ("coverage=0.99", "too"),
            ("coverage=2", "between 0 and 1"),
            ("coverage=much", "not a number"),
            ("covering=0.9", "covering"),
            ("coverage=0.9&coverage=0.8", "twice"),
        ]:
            response = client.post(f"/predict?{wrong}", json={"text": "good"})
            assert response.status_code == 422
            if says != "too":
                assert says in response.json()["error"]["reason"]
            assert response.json()["error"]["remedy"]
