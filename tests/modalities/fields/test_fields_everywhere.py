"""Fields from the table to the answer: check, train, predict, evaluate, compare, the service and the page."""

import csv
import json

import pytest

from conftest import write_rows
from jointune import JointClassifier, PostsError, compare, read_posts
from jointune.errors import JointuneWarning
from jointune.inference.load import load_predictor

STARS = {"sad": 1, "glad": 5}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """48 posts of which only the fields tell the label; the last one has fields alone."""
    rows = [
        {
            "text": "" if number == 47 else ("good", "bad", "lunch")[number % 3],
            "stars": "" if number == 9 else STARS[label] + number % 4 / 10,
            "shop": "north" if label == "glad" else "south",
            "label": label,
        }
        for number in range(48)
        for label in [("sad", "glad")[number % 2]]
    ]
    return write_rows(tmp_path_factory.mktemp("fields") / "reviews.csv", rows)


COLUMNS = ("--image-column", "", "--number-columns", "stars", "--category-columns", "shop")


@pytest.fixture(scope="module")
def bundle(table, tiny_settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "bundle"
    settings = tiny_settings | {"image_column": None, "number_columns": ["stars"], "category_columns": ["shop"]}
    JointClassifier(**settings).fit(
        read_posts(table, image_column=None, field_columns=["stars", "shop"]), validation=0.25
    ).save(folder)
    return folder


def test_check_counts_what_is_missing_and_refuses_what_is_no_number(jointune, table):
    code, said = jointune("check", table, *COLUMNS, "--text-encoder", "minilm-l6")
    assert "the post: has neither text nor picture" not in said
    assert code == 0, said
    assert "stars: empty in 1 of 48 training posts; counts as missing" in said
    code, said = jointune("check", table, "--image-column", "", "--number-columns", "shop")
    assert code == 1
    assert "reviews.csv row 1 (line 2): shop: 'south' is no number" in said


@pytest.fixture
def elsewhere(tmp_path):
    """Posts of a shop that is not among those of ``table``."""
    rows = [{"text": "good", "stars": "", "shop": "east", "label": label} for label in STARS]
    return write_rows(tmp_path / "elsewhere.csv", rows)


def test_what_other_posts_lack_is_told_too(jointune, bundle, table, elsewhere, tiny_settings):
    unseen = "shop: 2 validation posts with categories that are not learned (east)"
    empty = "stars: empty in 2 of 2 validation posts"
    code, said = jointune("check", table, *COLUMNS, "--validation", elsewhere)
    assert code == 0, said
    assert unseen in said
    assert empty in said
    settings = tiny_settings | {"number_columns": ["stars"], "category_columns": ["shop"], "epochs": 1}
    reads = {"image_column": None, "field_columns": ["stars", "shop"]}
    trained = JointClassifier(**settings).fit(read_posts(table, **reads), validation=read_posts(elsewhere, **reads))
    assert any(note.startswith(unseen) for note in trained.notes_)
    assert any(note.startswith(empty) for note in trained.notes_)
    with pytest.warns(JointuneWarning, match=r"shop: 2 posts with categories that are not learned \(east\)"):
        trained.evaluate(read_posts(elsewhere, **reads))


def test_a_search_reads_the_columns_and_names_them_in_its_last_words(jointune, refused, table, tiny_settings, tmp_path):
    pytest.importorskip("optuna", reason="the extra tune is not installed")
    encoders = [f"--{name}-encoder={tiny_settings[f'{name}_encoder']}" for name in ("text", "image")]
    out = tmp_path / "tuning"
    command = ("tune", table, *COLUMNS, *encoders, "--epochs=1", "--trials=1", "--fusions=gated:8", "--out", out)
    code, said = jointune(*command, "--quiet")
    assert code == 0, said
    line = next(line for line in said.splitlines() if line.startswith("jointune train"))
    assert "--number-columns stars" in line
    assert "--category-columns shop" in line
    assert json.loads((out / "best.json").read_text())["category_columns"] == ["shop"]
    refused(*command, "--force", "--number-columns", "price", says=["there is no column 'price'"])
    refused(*command, "--force", "--fusions=gated,dual", says=["dual is for text and image, not for"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--number-columns", "label"), ["--number-columns label", "the column of the label already"]),
        (("--number-columns", "price"), ["there is no column 'price'", "stars"]),
        (("--category-columns", "shop,shop"), ["--category-columns shop", "already"]),
    ],
)
def test_columns_that_cannot_be_learned_from_are_refused(refused, table, tmp_path, options, says):
    refused("train", table, "--image-column", "", "--out", tmp_path / "never", *options, says=says)
    assert not (tmp_path / "never").exists()


def test_prediction_and_evaluation_read_the_columns(jointune, refused, bundle, table, tmp_path):
    code, said = jointune("predict", bundle, table, "--image-column", "", "--out", tmp_path / "scored.csv")
    assert code == 0, said
    with open(tmp_path / "scored.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sum(row["prediction"] == row["label"] for row in rows) > 43
    code, said = jointune("evaluate", bundle, table, "--image-column", "", "--out", tmp_path / "scores.json")
    assert code == 0, said
    assert json.loads((tmp_path / "scores.json").read_text())["accuracy"] > 0.9
    lacking = write_rows(tmp_path / "lacking.csv", [{"text": "good", "stars": 1, "label": "sad"}])
    for command in ("predict", "evaluate"):
        out = tmp_path / f"{command}.{'csv' if command == 'predict' else 'json'}"
        refused(
            command,
            bundle,
            lacking,
            "--image-column",
            "",
            "--out",
            out,
            says=["lacking.csv: there is no column 'shop'"],
        )
        assert not out.exists()


def test_methods_are_compared_with_and_without_fields(table, tiny_settings, tmp_path, cells_here):
    settings = {name: value for name, value in tiny_settings.items() if name not in ("seed", "progress")}
    settings |= {"image_column": None, "number_columns": ["stars"], "category_columns": ["shop"]}
    posts = read_posts(table, image_column=None, field_columns=["stars", "shop"])
    with cells_here():
        comparison = compare(posts, methods=["frozen", "text"], folds=2, seeds=1, out=tmp_path / "report", **settings)
    accuracy = {row["method"]: row["accuracy"] for row in comparison.table()}
    assert accuracy["frozen"] > 0.9 > accuracy["text"]


def test_the_service_takes_fields(bundle):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from starlette.testclient import TestClient

    from jointune.serve.app import make_app
    from jointune.serve.limits import Limits

    with TestClient(make_app(load_predictor(bundle, "cpu"), Limits()), "http://localhost:8000") as client:

        def ask(**request):
            answer = client.post("/predict", **request)
            return answer.status_code, answer.json()

        status, answer = ask(json={"text": "good", "fields": {"stars": 5.1, "shop": "north"}})
        assert (status, answer["label"], answer["missing"]) == (200, "glad", ["image"])
        assert ask(json={"fields": {"stars": 1, "shop": "south"}})[1]["label"] == "sad"
        assert "fields" in ask(json={"text": "good", "fields": {"stars": None}})[1]["missing"]
        form = {"text": (None, "good"), "fields": (None, '{"stars": 5.1, "shop": "north"}')}
        assert ask(files=form)[1] == answer
        for fields in ({"stars": "many"}, {"price": 1}, {"stars": [1]}, {"stars": {}}, [1], "x"):
            status, answer = ask(json={"text": "good", "fields": fields})
            assert status == 422
            assert answer["error"]["reason"]
        twice = ask(
            content='{"text": "a", "fields": {"stars": 1, "stars": 2}}', headers={"Content-Type": "application/json"}
        )
        assert (twice[0], twice[1]["error"]["reason"]) == (422, "a key is there twice")


def test_the_page_judges_fields(bundle):
    from jointune.ui.one_post import judge

    predictor = load_predictor(bundle, "cpu")
    assert predictor.columns == {"stars": None, "shop": ["north", "south"]}
    verdict = judge(predictor, "", None, {"stars": "5.0", "shop": "north"})
    assert max(verdict.probabilities, key=verdict.probabilities.__getitem__) == "glad"
    assert verdict.sentences[1] == "No text and no picture: judged by the fields alone."
    with pytest.raises(PostsError, match="stars: 'many' is no number"):
        judge(predictor, "good", None, {"stars": "many"})
    assert judge(predictor, "good", None, {"stars": "", "shop": None}).sentences[1].endswith("by the text alone.")


def test_python_reads_fields_from_mappings(bundle):
    classifier = JointClassifier.load(bundle, device="cpu")
    posts = [{"stars": 5.2, "shop": "north"}, {"text": "good", "stars": 1, "shop": "west"}]
    assert classifier.predict(posts).tolist() == ["glad", "sad"]
    with pytest.raises(PostsError, match="'many' is no number"):
        classifier.predict([{"text": "good", "stars": "many"}])
