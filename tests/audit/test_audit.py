"""An audit finds what was planted, keeps the table's columns, looks at a model, and refuses what it cannot audit."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from conftest import make_posts, write_rows
from helpers import fake_ocr
from helpers.planted import planted
from jointune import JointClassifier, PostsError, SettingsError, read_posts
from jointune.audit.audit import audit
from jointune.audit.model_findings import model_findings
from jointune.data.fingerprints import Known
from jointune.inference.load import load_predictor

pytest.importorskip("cleanlab", reason="the extra audit is not installed")


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


FLIPPED = {"8", "21", "40"}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Posts of which three have the wrong label, and one is there twice, in two splits."""
    path = make_posts(tmp_path_factory.mktemp("audited"), 96)
    rows = rows_of(path)
    for row in rows:
        if row["id"] in FLIPPED:
            row["label"] = "negative" if row["label"] == "positive" else "positive"
    twin = rows[0] | {"id": "twin", "split": "validation", "text": rows[0]["text"] + " !", "image": ""}
    return write_rows(path, [*rows, twin])


def without_labels(path):
    rows = [{name: row[name] for name in ("id", "text", "image")} for row in rows_of(path)[:10]]
    return write_rows(path.parent / "unlabelled.csv", rows)


@pytest.fixture(scope="module")
def written(table, tiny_text, tiny_image, tiny_bundle, tmp_path_factory):
    from jointune.cli.app import main

    out = tmp_path_factory.mktemp("out") / "audit"
    options = ["--split-column", "split", "--text-encoder", tiny_text, "--image-encoder", tiny_image, "--quiet"]
    options += ["--bundle", str(tiny_bundle), "--unlabelled", str(without_labels(table))]
    with pytest.raises(SystemExit) as end:
        main(["audit", str(table), "--out", str(out), *options])
    assert not end.value.code
    return out


def test_the_most_suspicious_labels_are_those_that_were_flipped(written, table):
    rows = rows_of(written / "suspicion.csv")
    assert list(rows[0]) == [*rows_of(table)[0], "suspicion", "suggested_label"]
    assert len(rows) == 97
    assert {row["id"] for row in rows[:3]} == FLIPPED
    values = [float(row["suspicion"]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert all(0 <= value <= 1 for value in values)
    assert all(row["suggested_label"] != row["label"] for row in rows[:3])


def test_a_near_duplicate_across_splits_is_a_leak(written):
    leaks = rows_of(written / "leaks.csv")
    twins = [row for row in leaks if row["id"] == "twin"]
    assert [(row["its_split"], row["shared"]) for row in twins] == [("train", "text")]
    assert [row for row in leaks if row["id"] == "0" and row["its_split"] == "validation"]


def test_what_to_label_next_is_written_with_the_columns_of_the_posts(written):
    rows = rows_of(written / "label_next.csv")
    assert list(rows[0]) == ["id", "text", "image", "priority", "prediction", "margin"]
    assert [row["priority"] for row in rows] == [str(place) for place in range(1, 11)]
    assert float(rows[0]["margin"]) == min(float(row["margin"]) for row in rows)


def test_the_page_stands_alone(written):
    page = (written / "audit.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") >= 30
    assert "http://" not in page
    assert "https://" not in page
    assert '<html lang="en">' in page
    for section in ("labels", "twice", "slices", "model", "losses", "next"):
        assert f'<a href="#{section}">' in page
        assert f'<section id="{section}"' in page
    assert "that it was trained on, or that share a text or picture with such posts, are left out." in page


@pytest.fixture(scope="module")
def posts(table):
    return read_posts(table, split_column="split")


@pytest.fixture(scope="module")
def predictor(tiny_bundle):
    return load_predictor(str(tiny_bundle))


@pytest.fixture(scope="module")
def found(posts, tiny_settings, predictor):
    return audit(posts, classifier=JointClassifier(**tiny_settings), predictor=predictor)


@pytest.fixture
def classifier(tiny_settings):
    return JointClassifier(**tiny_settings)


def test_python_returns_the_findings(found):
    assert len(found.suspicion) == 97
    assert found.likely_errors >= 2
    assert found.leaks
    assert all(one.low <= one.accuracy <= one.high for one in found.slices)
    assert found.slices == sorted(found.slices, key=lambda one: one.accuracy)
    assert found.next == []
    assert found.named is None


def test_a_model_is_judged_on_posts_that_it_was_not_trained_on(found, posts, predictor):
    model, known = found.model, predictor.learned.known(posts)
    assert model.learned == (known == Known.TRAINING).sum() + (known == Known.A_PART).sum() > 0
    assert len(model.posts) == len(posts) - model.learned
    assert model.validated == (known == Known.VALIDATION).sum() > 0
    answers = [predictor.answer(one.probabilities)[0] for one in predictor.stream(model.posts)]
    assert model.accuracy == pytest.approx(np.mean(np.array(answers) == np.array(model.posts.labels)))
    assert {loss.change for loss in model.losses} >= {"one in five words misspelled", "another post's image"}


def test_a_model_that_learned_all_posts_is_not_judged(posts_csv, predictor):
    model = model_findings(predictor, read_posts(posts_csv, split_column="split").in_split("train"))
    assert (len(model.posts), model.slices, model.losses) == (0, [], [])


def test_a_probe_orders_posts_and_images_that_name_a_label_are_shown_and_texts_of_strangers_escaped(
    posts_csv, classifier, tmp_path, monkeypatch
):
    fake_ocr.install(monkeypatch, tmp_path / "cache", lambda _: "so positive")
    posts = read_posts(posts_csv)
    posts = type(posts)([replace(post, text=f"<script>alert(1)</script> {post.text}") for post in posts], "posts")
    classifier.set_params(read_image_text=True)
    found = audit(posts, tmp_path / "audit", classifier=classifier, unlabelled=posts[:12])
    assert sorted(one.post.where for one in found.next) == sorted(post.where for post in posts[:12])
    (positive,) = found.named
    assert (positive.label, len(positive.own), len(positive.others)) == ("positive", 24, 24)
    page = (tmp_path / "audit" / "audit.html").read_text(encoding="utf-8")
    assert "Labels in pictures" in page
    assert "<script>" not in page
    assert rows_of(tmp_path / "audit" / "leaks.csv") == []


def test_a_model_of_other_labels_is_refused(posts, classifier):
    sunny = type(posts)([replace(post, label="sunny") for post in posts], "posts")
    with pytest.raises(PostsError, match="sunny"):
        audit(sunny, classifier=classifier, predictor=planted())


def test_other_targets_are_refused(classifier, posts_csv):
    with pytest.raises(SettingsError, match="where each post has one"):
        audit(read_posts(posts_csv), classifier=classifier.set_params(target="multi"))


def test_too_few_posts_are_refused(classifier, fresh_posts):
    with pytest.raises(PostsError, match="too few for 5 folds"):
        audit(read_posts(fresh_posts(6)), classifier=classifier)
    with pytest.raises(PostsError):
        audit(read_posts(fresh_posts(6))[:0], classifier=classifier)


def test_bad_input_is_refused_at_once(refused, fresh_posts, tmp_path):
    path = fresh_posts(12)
    refused("audit", path, "--out", tmp_path / "a", "--label-column", "mood", says=["mood"])
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("x", encoding="utf-8")
    refused("audit", path, "--out", tmp_path / "b", says=["choose another path"])
    rows = [row | {"suspicion": "1"} for row in rows_of(path)]
    write_rows(path, rows)
    refused("audit", path, "--out", tmp_path / "c", says=["'suspicion'", "rename it"])
    refused("audit", path, "--out", tmp_path / "c", "--bundle", tmp_path / "none", says=["none"])
    refused("audit", path, "--out", tmp_path / "c", "--unlabelled", tmp_path / "none.csv", says=["none.csv"])
    assert not (tmp_path / "c").exists()
