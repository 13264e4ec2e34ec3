"""--group-column and --time-column: train, compare, tune and check divide by them, and refuse what they cannot."""

import csv
import json

import pytest

from conftest import draw, write_rows
from jointune import JointClassifier


@pytest.fixture
def posts(tmp_path):
    """40 posts of eight authors, the last of whom are the latest."""
    folder = tmp_path / "posts"
    folder.mkdir()
    rows = []
    for number in range(40):
        draw(folder / f"{number}.png", "yellow" if number % 2 else "navy", number)
        author = "" if number == 3 else f"author {number // 5}"
        rows.append(
            {
                "text": f"{'good' if number % 2 else 'bad'} lunch {number}",
                "image": f"{number}.png",
                "label": "ab"[number % 2],
                "author": author,
                "date": f"2024-{1 + number // 10:02}-{1 + number % 10:02}",
                "split": "train" if number < 32 else "validation",
            }
        )
    return write_rows(folder / "posts.csv", rows)


@pytest.fixture
def options(tiny_text, tiny_image):
    return [f"--text-encoder={tiny_text}", f"--image-encoder={tiny_image}", "--epochs=0", "--quiet"]


COLUMNS = ["--group-column", "author", "--time-column", "date"]


def test_training_validates_and_tests_on_the_latest_authors(jointune, posts, tmp_path, options):
    command = ["train", posts, "--out", tmp_path / "bundle", "--validation", "0.25", "--test", "0.25"]
    code, said = jointune(*command, *COLUMNS, *options)
    assert code == 0, said
    assert "1 post without a group; each counts as a group of its own" in said
    counts = JointClassifier.load(tmp_path / "bundle").data_
    assert {part: sum(labels.values()) for part, labels in counts.items()} == {
        "training": 20,
        "validation": 10,
        "test": 10,
    }


def test_a_comparison_chains_its_folds_forward(jointune, posts, tmp_path, options, cells_here):
    command = ["compare", posts, "--out", tmp_path / "report", "--folds", "3", "--methods", "frozen", *options]
    with cells_here():
        code, said = jointune(*command, *COLUMNS)
    assert code == 0, said
    about = json.loads((tmp_path / "report" / "comparison.json").read_text())
    assert about["protocol"]["divided by"].startswith("folds in order of time")
    assert "and groups" in about["protocol"]["divided by"]
    assert [sizes[2] for sizes in about["protocol"]["sizes"]] == [10, 10, 10]
    with open(tmp_path / "report" / "cells.csv", newline="", encoding="utf-8") as file:
        assert [int(row["training_posts"]) for row in csv.DictReader(file)] == sorted(
            train for train, _, _ in about["protocol"]["sizes"]
        )
    refusal = ["--resume", "--group-column", "author"]
    assert "a comparison with other posts and protocol" in jointune(*command, *refusal)[1]


def test_tuning_divides_by_them_and_says_so(jointune, posts, tmp_path, options):
    pytest.importorskip("optuna")
    command = ["tune", posts, "--out", tmp_path / "tuning", "--trials", "1", "--fusions", "concat", *options]
    code, said = jointune(*command, *COLUMNS)
    assert code == 0, said
    assert "--group-column author --time-column date" in said


def test_check_refuses_what_training_would(jointune, refused, posts):
    code, said = jointune("check", posts, *COLUMNS)
    assert code == 0, said
    assert "note: posts.csv: 1 post without a group; each counts as a group of its own" in said
    refused("check", posts, "--time-column", "text", code=1, says=["column 'text': 'bad lunch 0' is neither a number"])
    refused("check", posts, "--time-column", "when", code=1, says=["there is no column 'when'", "--time-column"])


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--group-column", "nobody"], ["there is no column 'nobody'", "name the right one with --group-column"]),
        (["--time-column", "author"], ["posts.csv row 1 (line 2): column 'author': 'author 0' is neither a number"]),
        (
            ["--group-column", "author", "--split-column", "split"],
            ["posts.csv row 33 (line 34): group: 'author 6' is on two sides: posts.csv row 31 (line 32) has it, too"],
        ),
        (["--test", "2"], ["--test 2", "a fraction lies between 0 and 1"]),
        (["--test", "nowhere.csv"], ["--test nowhere.csv: neither a fraction nor a file"]),
        (["--test", "0.2", "--split-column", "split"], ["--test 0.2: the split that the posts carry decides"]),
    ],
)
def test_training_that_is_refused(refused, posts, tmp_path, options, extra, says):
    refused("train", posts, "--out", tmp_path / "bundle", *extra, *options, says=says)
    assert not (tmp_path / "bundle").exists()


def test_times_that_are_not_used_are_mentioned(jointune, posts, tmp_path, options):
    command = ["train", posts, "--out", tmp_path / "bundle", "--time-column", "date"]
    code, said = jointune(*command, "--split-column", "split", *options)
    assert code == 0, said
    assert "the times are not used; the split that the posts carry divides them" in said
    code, said = jointune(*command, "--force", "--validation", posts, *options)
    assert code == 0, said
    assert "--time-column date is not used; --validation names the posts" in said
