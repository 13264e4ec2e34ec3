"""Labels and settings that a target cannot be learned from: one clear error each, before anything is trained."""

import pytest

from conftest import write_rows
from jointune import JointClassifier, PostsError, SettingsError
from jointune.baselines.late import LateFusion
from jointune.targets.choice import chosen_target


def table(tmp_path, labels, **columns):
    rows = [
        {"text": f"post {number}", "label": label} | {name: values[number] for name, values in columns.items()}
        for number, label in enumerate(labels)
    ]
    return write_rows(tmp_path / "posts.csv", rows)


STARS = ["1", "2", "3", "2"] * 4
WORDS = ["bad", "fair", "good", "fair"] * 4


@pytest.mark.parametrize(
    ("labels", "options", "says"),
    [
        (WORDS, ["--target", "number"], ["row 1", "'bad' is no number", "--target number"]),
        ([*STARS, "four"], ["--target", "number"], ["row 17", "'four' is no number"]),
        ([*STARS, "3,5"], ["--target", "number"], ["row 17", "'3,5' is no number"]),
        ([*STARS, "inf"], ["--target", "number"], ["row 17", "'inf' is no number"]),
        ([*STARS, "1_000"], ["--target", "number"], ["row 17", "'1_000' is no number"]),
        ([*STARS, "1e300"], ["--target", "number"], ["row 17", "'1e300' is no number"]),
        ([*STARS, ""], ["--target", "number"], ["row 17", "no label"]),
        (["2"] * 16, ["--target", "number"], ["every post has the number 2"]),
        (WORDS, ["--target", "ordered"], ["row 1", "'bad' is no number", "--label-order a,b,c"]),
        (WORDS, ["--target", "ordered", "--label-order", "bad,good"], ["row 2", "'fair' is not in the order"]),
        (WORDS, ["--target", "ordered", "--label-order", "bad,fair,good,bad"], ["'bad' is there twice"]),
        (WORDS, ["--target", "ordered", "--label-order", "bad"], ["at least two labels have an order"]),
        (WORDS, ["--target", "ordered", "--label-order", "bad,fair,good,best"], ["no post", "'best'", "the order"]),
        (["3"] * 16, ["--target", "ordered"], ["every post is labelled '3'"]),
        (["a|b"] * 16, ["--target", "multi", "--label-column", "nothing"], ["no column 'nothing'"]),
        (["a"] * 8 + ["[]"] * 8, ["--target", "multi"], ["the only label is 'a'"]),
        (["[]"] * 16, ["--target", "multi"], ["no post has a label"]),
        (["a|b", "b"] * 8 + [""], ["--target", "multi"], ["row 17", "no label"]),
        (["a|b", "b"] * 8 + ["a||b"], ["--target", "multi"], ["row 17", "'a||b' has an empty label"]),
        (["a|b", "b"] * 8 + ["[1, [2]]"], ["--target", "multi"], ["row 17", "is no list of labels"]),
        (STARS, ["--target", "stars"], ["--target stars", "single, multi, ordered, number"]),
        (STARS, ["--label-order", "1,2,3"], ["--label-order 1,2,3", "means nothing to --target single"]),
        (
            STARS,
            ["--target", "number", "--class-weight", "balanced"],
            ["--class-weight balanced", "means nothing to --target number"],
        ),
        (STARS, ["--target", "number", "--label-smoothing", "0.1"], ["means nothing to --target number"]),
        (STARS, ["--target", "ordered", "--threshold", "f1"], ["means nothing to --target ordered"]),
        (STARS, ["--threshold", "f1"], ["--threshold f1", "of two labels, and there are 3"]),
        (STARS[:1] * 8 + ["2"] * 8, ["--threshold", "0.4"], ["--threshold 0.4", "recall=0.9"]),
        (STARS[:1] * 8 + ["2"] * 8, ["--threshold", "recall=2"], ["recall=0.9"]),
        (STARS, ["--metric", "r2"], ["--metric r2", "--target single has no such score", "macro_f1"]),
        (STARS, ["--target", "number", "--metric", "accuracy"], ["no such score", "spearman"]),
        (STARS, ["--target", "ordered", "--metric", "map"], ["no such score", "quadratic_kappa"]),
    ],
)
def test_training_refuses_in_one_sentence(refused, tmp_path, labels, options, says):
    path = table(tmp_path, labels)
    refused("train", path, "--image-column", "", "--out", tmp_path / "never", *options, says=says)
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["1", "0", "2", "0"] * 4, ["row 3", "'2' where 0 or 1 is needed"]),
        (["1", "0", "", "0"] * 4, ["row 3", "no value for wet"]),
        (["0"] * 16, ["the only label is 'label'"]),
    ],
)
def test_columns_of_labels_hold_0_or_1(refused, tmp_path, flags, says):
    path = table(tmp_path, ["1", "0"] * 8, wet=flags)
    options = ("--image-column", "", "--target", "multi", "--label-column", "label,wet", "--out", tmp_path / "never")
    refused("train", path, *options, says=says)


def test_check_tells_what_the_labels_look_like(jointune, refused, tmp_path):
    for labels, says in (
        (STARS, "--target ordered"),
        ([f"{number / 7:.3f}" for number in range(16)] * 2, "--target number"),
        (["a|b", "a", "b", "c"] * 4, "--target multi"),
    ):
        code, said = jointune("check", table(tmp_path, labels), "--image-column", "")
        assert code == 0, said
        assert says in said
    path = table(tmp_path, [*STARS, "four"])
    refused("check", path, "--image-column", "", "--target", "number", code=1, says=["'four' is no number"])
    code, said = jointune("check", table(tmp_path, STARS), "--image-column", "", "--target", "number")
    assert code == 0, said
    assert "numbers from 1 to 3, 2 on average" in said


def test_baselines_that_cannot_say_so():
    classifiers = [JointClassifier(target="multi", progress=False) for _ in range(2)]
    with pytest.raises(SettingsError, match="late fusion"):
        LateFusion(*classifiers).fit([])


@pytest.mark.parametrize("method", ["late", "joint-paper"])
def test_a_comparison_names_methods_that_cannot(refused, tmp_path, method):
    path = table(tmp_path, [str(number / 3) for number in range(30)])
    options = ("--image-column", "", "--target", "number", "--methods", method, "--out", tmp_path / "never")
    refused("compare", path, *options, says=[f"the method {method} cannot be asked for --target number"])
    options = (*options[:4], "--label-budgets", "8,all", "--out", tmp_path / "never")
    refused("compare", path, *options, says=["--label-budgets", "no labels to draw posts of"])


def test_lists_of_labels_come_from_python_too():
    target = chosen_target({"target": "multi"})
    assert target.read(["b", "a", "b"]) == "b|a"
    assert target.read({"b", "a"}) == "a|b"
    assert target.read([]) == ""
    assert target.read("['a', 'b']") == "a|b"
    assert target.read(None) is None
    assert target.read({"a": 1, "b": False, "c": "yes"}) == "a|c"
    for bad in (["a", None], ["a|b"], [["a"]], {"a": "maybe"}):
        with pytest.raises(TypeError):
            target.read(bad)
    with pytest.raises(PostsError, match="give a list of labels a post"):
        JointClassifier(target="multi", progress=False).fit([{"text": "x"}], [{"a": 3}])
