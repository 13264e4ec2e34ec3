"""Groups are never divided, and the latest posts are held out."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointune import Post, Posts, PostsError, SettingsError, read_posts
from jointune.data.divide import divide
from jointune.data.folds import fold_of_split, make_folds, ways_of_division
from jointune.data.label_checks import check_parts
from jointune.data.split import identity_groups, split_posts

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def made(groups, times=None, labels=None, splits=None):
    times = times or [None] * len(groups)
    labels, splits = labels or "ab" * len(groups), splits or [None] * len(groups)
    return Posts(
        (
            Post(f"text {n}", label=label, group=group, time=time, split=split, where=f"row {n + 1}")
            for n, (group, time, label, split) in enumerate(zip(groups, times, labels, splits, strict=False))
        ),
        "p.csv",
    )


@st.composite
def grouped(draw, timed=False):
    count = draw(st.integers(12, 60))
    groups = draw(st.lists(st.sampled_from([None, *"uvwxyz"]), min_size=count, max_size=count))
    times = draw(st.lists(st.integers(0, 30), min_size=count, max_size=count))
    return made(groups, list(map(float, times)) if timed else None)


@settings(max_examples=60)
@given(posts=grouped(), fraction=st.floats(0.05, 0.5), seed=st.integers(0, 3))
def test_no_group_is_on_both_sides(posts, fraction, seed):
    try:
        learned, held = split_posts(posts, fraction, seed)
    except PostsError as reason:
        assert "must stay together" in str(reason) or "all posts are of the group" in str(reason)  # noqa: PT017
        return
    assert sorted(learned + held) == list(range(len(posts)))
    sides = [{posts[index].group for index in side} - {None} for side in (learned, held)]
    assert not sides[0] & sides[1]


@settings(max_examples=60)
@given(posts=grouped(timed=True), fraction=st.floats(0.05, 0.5), seed=st.integers(0, 3))
def test_nothing_learned_from_is_later_than_the_latest_of_any_held_group(posts, fraction, seed):
    try:
        learned, held = split_posts(posts, fraction, seed)
    except PostsError:
        return
    groups = identity_groups(posts)
    assert not {groups[index] for index in learned} & {groups[index] for index in held}
    latest = {}
    for index in held:
        latest[groups[index]] = max(latest.get(groups[index], -1.0), posts[index].time)
    assert max(posts[index].time for index in learned) <= min(latest.values())


def test_the_latest_posts_validate_and_test():
    days = [BEGIN + timedelta(days=day) for day in (5, 0, 9, 1, 8, 2, 7, 3, 6, 4)]
    division = divide(made([None] * 10, days), 0.2, 0.2)
    learned, held = division.held_out(0)
    assert [post.time.day - 1 for post in division.test] == [9, 8]
    assert sorted(post.time.day - 1 for post in held) == [6, 7]
    assert sorted(post.time.day - 1 for post in learned) == [0, 1, 2, 3, 4, 5]


def test_a_part_for_testing_is_held_out_without_times_too():
    division = divide(made([None] * 40), 0.1, 0.25, seed=3)
    learned, held = division.held_out(3)
    assert (len(learned), len(held), len(division.test)) == (26, 4, 10)
    assert [post.text for post in divide(made([None] * 40), 0.1, 0.25, seed=3).test] == [p.text for p in division.test]


@settings(max_examples=40)
@given(posts=grouped(timed=True), count=st.integers(2, 4))
def test_folds_of_posts_with_times_test_on_what_follows(posts, count):
    groups = identity_groups(posts)
    try:
        folds = make_folds(posts, count, groups)
    except PostsError:
        return
    assert len(folds) == count
    tested = [index for fold in folds for index in fold.test]
    assert len(tested) == len(set(tested))
    for fold in folds:
        seen = {groups[index] for index in (*fold.train, *fold.validation)}
        assert not seen & {groups[index] for index in fold.test}
        assert max(posts[i].time for i in (*fold.train, *fold.validation)) <= max(posts[i].time for i in fold.test)
    for before, after in pairwise(folds):
        assert {*before.train, *before.validation, *before.test} == {*after.train, *after.validation}


def test_forward_chaining_is_described():
    posts = made([None] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert ways_of_division(posts).startswith("folds in order of time")
    assert ways_of_division(made(["u", None])).endswith("together, and groups")
    assert ways_of_division(made([None])) == "stratified folds, identical pictures and texts together"


def test_posts_without_a_group_are_groups_of_their_own():
    division = divide(made(["u", "u", None, None, "v", "v"]), 0.3)
    assert division.notes == ("p.csv: 2 posts without a group; each counts as a group of its own",)


@pytest.mark.parametrize(
    ("posts", "says"),
    [
        (made(["u"] * 8), "all posts are of the group 'u'; name another column of groups"),
        (made([None] * 8, [1.0] * 8), "all posts have the same time; divide them without times"),
        (made([None] * 4, [1.0, BEGIN, 2.0, 3.0]), "the time of row 1 is a number, that of row 2 is a date"),
        (made([None] * 4, [1.0, 2.0, 3.0, None]), "the time of row 1 is a number, that of row 4 is nothing"),
        (made([None] * 4, [1.0, 2.0, 3.0, 4.0], "aabc"), "row 4: label: no earlier post is labelled 'c'"),
        (made(["u", "u", "u", "v"], None, "aaab"), "a picture, a text or a group must stay together"),
    ],
)
def test_posts_that_cannot_be_divided(posts, says):
    with pytest.raises(PostsError, match=says):
        split_posts(posts, 0.25)


def test_folds_that_cannot_be_made():
    with pytest.raises(PostsError, match="groups are too large for 3 folds in order of time"):
        make_folds(posts := made("uuuuuuuuuvwx", list(map(float, range(12)))), 3, identity_groups(posts))
    posts = made([None] * 12, list(map(float, range(12))), "aaaaaaaaabbb")
    with pytest.raises(PostsError, match="no earlier post is labelled 'b'; hold out less, use fewer folds"):
        make_folds(posts, 3, identity_groups(posts))


def test_a_split_that_divides_a_group_is_refused():
    posts = made("uvuw", splits=["train", "train", "validation", "test"])
    says = "row 3: group: 'u' is on two sides: row 1 has it, too; move its posts to one side"
    with pytest.raises(PostsError, match=says):
        fold_of_split(posts, identity_groups(posts))
    with pytest.raises(PostsError, match=says):
        check_parts(*(posts.in_split(split) for split in ("train", "validation", "test")))


def test_fractions_that_leave_nothing():
    with pytest.raises(SettingsError, match=r"test=0.6: with the validation posts, nothing is left"):
        divide(made([None] * 10), 0.4, 0.6)
    with pytest.raises(SettingsError, match=r"test=2: a fraction lies between 0 and 1"):
        divide(made([None] * 10), 0.4, 2)
    with pytest.raises(SettingsError, match=r"test=0.2: the split that the posts carry decides; mark test posts"):
        divide(made("uvw", splits=["train", "train", "validation"]), None, 0.2)


def test_groups_and_times_are_read_from_columns(tmp_path):
    rows = [{"text": "a", "by": "ann", "on": "2024-05-01"}, {"text": "b", "by": "", "on": "2024-05-02"}]
    path = tmp_path / "posts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    for source in (path, rows):
        posts = read_posts(source, label_column=None, image_column=None, group_column="by", time_column="on")
        assert [post.group for post in posts] == ["ann", None]
        assert [post.time.day for post in posts] == [1, 2]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"by": "u", "on": "05/06/2024"}, "column 'on': '05/06/2024' is neither a number nor a date.*2024-05-31"),
        ({"by": "u", "on": ""}, "column 'on': the time is empty"),
        ({"by": ["u"], "on": "1"}, "column 'by': a list where a label is needed"),
    ],
)
def test_rows_that_cannot_be_read(tmp_path, row, says):
    path = tmp_path / "posts.jsonl"
    path.write_text(json.dumps({"text": "a", "by": "u", "on": "1"}) + "\n" + json.dumps({"text": "b"} | row))
    with pytest.raises(PostsError, match=rf"row 2 \(line 2\): {says}"):
        read_posts(path, label_column=None, image_column=None, group_column="by", time_column="on")


def test_columns_that_are_not_there(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_text("text,label\na,x\n")
    for argument in ("group_column", "time_column"):
        with pytest.raises(PostsError, match=f"there is no column 'none'.*name the right one with {argument}"):
            read_posts(path, image_column=None, **{argument: "none"})
