"""The page of an evaluation: one file, honest and escaped, and without what a target has no part in."""

import json
import re

import pytest

from conftest import write_rows
from jointune import JointClassifier, read_posts


@pytest.fixture(scope="module")
def rows(posts_csv):
    """Test posts with a language, a text that is markup, a lost label and one without a picture."""
    rows = [
        {"text": post.text, "image": str(post.image), "label": post.label, "language": "de" if number % 3 else "en"}
        for number, post in enumerate(read_posts(posts_csv)[:24])
    ]
    rows[0] |= {"text": "<script>alert(1)</script> good", "label": "negative"}
    rows[1] |= {"image": "", "language": ""}
    return rows


@pytest.fixture
def table(rows, tmp_path):
    return write_rows(tmp_path / "posts.csv", rows)


@pytest.fixture
def evaluated(jointune, tiny_bundle, table, tmp_path):
    """Runs ``jointune evaluate`` with a page: what it said, and the page."""

    def run(*options, bundle=tiny_bundle, posts=table):
        page = tmp_path / "page.html"
        code, said = jointune("evaluate", bundle, posts, "--report", page, "--force", "--quiet", *options)
        assert code == 0, said
        return said, page.read_text(encoding="utf-8")

    return run


def test_the_page_shows_scores_errors_and_hits_and_needs_nothing_else(evaluated):
    said, page = evaluated()
    assert "page.html" in said
    for heading in ("Scores", "Labels", "Confused labels", "Reliability", "The surest errors", "The least sure hits"):
        assert f">{heading}</h2>" in page
    assert "data:image/jpeg;base64," in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert not re.search(r"https?:", page)
    assert "no picture" in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_values_of_a_column_are_scored_apart(evaluated, tmp_path, rows):
    said, page = evaluated("--by", "language", "--out", tmp_path / "m.json")
    found = json.loads((tmp_path / "m.json").read_text())["by"]["language"]
    assert {value: scores["n"] for value, scores in found.items()} == {"de": 15, "en": 8, "": 1}
    assert "by language:" in said
    assert "(empty): " in said
    assert ">By language</h2>" in page
    assert all(len(scores["accuracy_ci"]) == 2 for scores in found.values())


def test_two_models_are_paired_on_the_same_posts(
    evaluated, tiny_bundle, exported_model, tiny_settings, parts, tmp_path
):
    said, page = evaluated("--against", exported_model, "--out", tmp_path / "m.json")
    against = json.loads((tmp_path / "m.json").read_text())["against"]
    assert against["differences"]["accuracy"]["value"] == 0
    assert against["differences"]["accuracy"]["low"] < 0 < against["differences"]["accuracy"]["high"]
    assert "on the same posts: accuracy 0.000" in said
    assert "They give every post the same answer." in page
    other = JointClassifier(**tiny_settings | {"epochs": 0, "probe": True, "seed": 5}).fit(
        parts[0][:8], validation=parts[1]
    )
    other.save(tmp_path / "other")
    _, page = evaluated("--against", tmp_path / "other")
    assert ">Against other</h2>" in page


def test_a_page_of_numbers_has_no_confusions(evaluated, tiny_settings, parts, rows, tmp_path):
    numbers = [row | {"label": str(n % 7 + 0.5)} for n, row in enumerate(rows)]
    classifier = JointClassifier(**tiny_settings | {"target": "number", "epochs": 0})
    classifier.fit(read_posts(write_rows(tmp_path / "n.csv", numbers * 2)), validation=0.2)
    classifier.save(tmp_path / "numbers")
    _, page = evaluated(bundle=tmp_path / "numbers", posts=tmp_path / "n.csv")
    assert ">The largest errors</h2>" in page
    for heading in ("Labels", "Confused labels", "Reliability", "hits"):
        assert f"{heading}</h2>" not in page
    assert "R²" in page


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--report", "page.pdf"), ["--report page.pdf: the page is HTML: give it the ending .html"]),
        (("--by", "country"), ["there is no column 'country' (there are: text, image, label, language)"]),
        (("--against", "nowhere"), ["nowhere"]),
    ],
)
def test_what_cannot_be(refused, tiny_bundle, table, options, says):
    refused("evaluate", tiny_bundle, table, *options, says=says)


def test_models_of_other_labels_are_not_paired(refused, tiny_bundle, table, tiny_settings, tmp_path, rows):
    other = [row | {"label": {"positive": "good"}.get(row["label"], "bad")} for row in rows]
    classifier = JointClassifier(**tiny_settings | {"epochs": 0})
    classifier.fit(read_posts(write_rows(tmp_path / "o.csv", other)), validation=0.2).save(tmp_path / "other")
    both = tmp_path / "other.csv"
    write_rows(both, rows)
    refused(
        "evaluate",
        tiny_bundle,
        both,
        "--against",
        tmp_path / "other",
        says=["other: its target is single (bad, good)", "name a"],
    )


def test_an_existing_page_is_spared(evaluated, refused, tiny_bundle, table, tmp_path):
    evaluated()
    refused("evaluate", tiny_bundle, table, "--report", tmp_path / "page.html", says=["exists already", "--force"])
