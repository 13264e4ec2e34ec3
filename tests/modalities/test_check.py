"""Checking finds what would stop training or scoring, all at once."""

import pytest

from helpers.odd_pictures import unusable, usable
from jointune.data.label_checks import label_problems
from jointune.data.post import Post, Posts
from jointune.data.problems import Problem, raise_problems, valid_policy
from jointune.modalities.check import check_posts


def posts(*labels: str | None, splits: str = "") -> Posts:
    """Posts with these labels; ``splits`` has a letter for each: t, v, e (test), - (none) or x (something else)."""
    names = {"t": "train", "v": "validation", "e": "test", "-": None, "x": "fold 3"}
    return Posts(
        Post(text="a", label=label, split=names[splits[number]] if splits else None, where=f"row {number + 1}")
        for number, label in enumerate(labels)
    )


def said(*arguments: object, **options: object) -> list[str]:
    return [str(problem) for problem in label_problems(*arguments, **options)]


def test_good_labels_have_no_problem():
    assert said(posts("a", "b", "a", "b")) == []
    assert said(posts("a", "b", "a", "b", "a", splits="ttvve"), split=True) == []
    assert said(Posts([])) == []


def test_label_problems_name_row_reason_and_remedy():
    assert said(posts("a", None, "b", "a", "b")) == ["row 2: label: the post has no label; label it or remove the row"]
    assert said(posts("a", "a")) == ["row 1: label: every post is labelled 'a'; add posts with another label"]
    (only,) = said(posts("a", "a", "b"))
    assert only.startswith("row 3: label: the only post labelled 'b'; two are needed")


@pytest.mark.parametrize(
    ("labels", "splits", "expected"),
    [
        ("abab", "tt-v", "row 3: split: the split is empty; use one of train, validation, test"),
        ("abab", "ttxv", "row 3: split: the split is 'fold 3'; use one of train, validation, test"),
        ("abab", "vvvv", "row 1: split: no post is marked train"),
        ("abab", "ttte", "row 1: split: no post is marked validation"),
        ("ababcc", "ttvvve", "row 5: label: no training post is labelled 'c'; add some or remove these posts"),
    ],
)
def test_split_problems(labels, splits, expected):
    assert any(line.startswith(expected) for line in said(posts(*labels, splits=splits), split=True))


def test_every_picture_is_opened_and_every_bad_one_named(tmp_path):
    good, bad = usable(tmp_path / "good"), unusable(tmp_path / "bad")
    paths = [*good.values(), *(path for path, _ in bad.values())]
    checked = Posts(
        Post(text="a", image=path, label="ab"[number % 2], where=f"row {number}") for number, path in enumerate(paths)
    )
    found = list(check_posts(checked))
    assert [problem.where for problem in found] == [f"row {len(good) + number}" for number in range(len(bad))]
    for problem, (path, reason) in zip(found, bad.values(), strict=True):
        assert problem.what == str(path)
        assert reason in problem.reason
        assert problem.remedy
        assert problem.about_image


def test_a_row_that_could_not_be_read_is_named_once():
    malformed = Problem("row 3", "the row", "it has 2 fields", "mend it")
    found = list(check_posts(Posts([*posts("a", "b", "a", "b"), Post(where="row 5", problem=malformed)])))
    assert found == [malformed]


def test_many_problems_are_counted_and_the_first_listed():
    problems = [Problem(f"row {number}", "x.jpg", "no such file", "mend it", about_image=True) for number in range(25)]
    with pytest.raises(Exception, match=r"25 posts of p\.csv cannot be used") as caught:
        raise_problems(problems, "p.csv")
    lines = str(caught.value).splitlines()
    assert lines[1] == "  row 0: x.jpg: no such file; mend it"
    assert lines[-2] == "  and 5 more; `jointune check` counts all by their reason"
    assert "on_bad_image='skip'" in lines[-1]
    with pytest.raises(Exception, match="mend it") as caught:
        raise_problems([Problem("row 1", "text", "a list", "mend it")], "p.csv")
    assert "--on-bad-image" not in str(caught.value)
    raise_problems([], "p.csv")


def test_a_policy_that_is_none():
    assert valid_policy("skip") == "skip"
    with pytest.raises(Exception, match="on_bad_image='ignore': choose error, skip or missing"):
        valid_policy("ignore")
