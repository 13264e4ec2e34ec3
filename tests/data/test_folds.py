"""Folds, the split of the user, and draws of training posts."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointune.data.folds import draw, fold_of_split, make_folds
from jointune.data.post import Post, Posts
from jointune.data.split import identity_groups
from jointune.errors import PostsError, SettingsError


def posts_of(texts: list[int], labels: list[str], splits: list[str] | None = None) -> Posts:
    return Posts(
        Post(text=f"text {text}", label=label, split=split, where=f"row {number}")
        for number, (text, label, split) in enumerate(zip(texts, labels, splits or [None] * len(texts), strict=True), 1)
    )


@st.composite
def labelled(draw_from):
    """Posts of two to four labels, some of which share their text."""
    labels = draw_from(st.lists(st.sampled_from("abcd"), min_size=40, max_size=80))
    labels += ["a", "b"] * 10
    texts = draw_from(st.lists(st.integers(0, 60), min_size=len(labels), max_size=len(labels)))
    return posts_of(texts, labels)


@settings(max_examples=40, deadline=None)
@given(posts=labelled(), count=st.integers(2, 5), seed=st.integers(0, 3))
def test_every_post_is_tested_once_and_nothing_leaks(posts, count, seed):
    if min(Counter(posts.labels).values()) < 2 * count:
        return
    groups = identity_groups(posts)
    try:
        folds = make_folds(posts, count, groups, seed)
    except PostsError:  # posts that share a text can leave nothing for validation
        return
    assert sorted(index for fold in folds for index in fold.test) == list(range(len(posts)))
    for fold in folds:
        parts = [set(fold.train), set(fold.validation), set(fold.test)]
        assert sum(map(len, parts)) == len(posts)
        seen = [{groups[index] for index in part} for part in parts]
        assert not seen[0] & seen[1]
        assert not (seen[0] | seen[1]) & seen[2]


def test_folds_keep_the_proportions_of_the_labels():
    posts = posts_of(list(range(300)), ["a"] * 200 + ["b"] * 70 + ["c"] * 30)
    for fold in make_folds(posts, 5, identity_groups(posts)):
        for part in (fold.train, fold.validation, fold.test):
            counts = Counter(posts[index].label for index in part)
            assert counts["a"] / len(part) == pytest.approx(2 / 3, abs=0.05)
            assert counts["c"] / len(part) == pytest.approx(1 / 10, abs=0.05)


def test_folds_are_the_same_for_the_same_seed_and_differ_for_another():
    posts = posts_of(list(range(60)), ["a", "b", "b"] * 20)
    groups = identity_groups(posts)
    assert make_folds(posts, 3, groups, 1) == make_folds(posts, 3, groups, 1)
    assert make_folds(posts, 3, groups, 1) != make_folds(posts, 3, groups, 2)


def test_too_few_posts_or_folds_are_told():
    posts = posts_of(list(range(12)), ["a"] * 10 + ["b"] * 2)
    with pytest.raises(PostsError, match="only 2 posts are labelled 'b', too few for 5 folds"):
        make_folds(posts, 5, identity_groups(posts))
    with pytest.raises(SettingsError, match="folds=1"):
        make_folds(posts, 1, identity_groups(posts))


@settings(max_examples=60, deadline=None)
@given(posts=labelled(), budgets=st.lists(st.integers(1, 30), min_size=2, max_size=4), seed=st.integers(0, 5))
def test_draws_are_nested_and_equal_for_each_label(posts, budgets, seed):
    learn = range(0, len(posts), 2)
    available = Counter(posts[index].label for index in learn)
    before: set[int] = set()
    for budget in sorted(budgets):
        drawn = draw(posts, learn, budget, seed)
        counts = Counter(posts[index].label for index in drawn)
        assert counts == {label: min(budget, number) for label, number in available.items()}
        assert before <= set(drawn) <= set(learn)
        before = set(drawn)
    assert draw(posts, learn, None, seed) == tuple(learn)


def test_seeds_draw_differently():
    posts = posts_of(list(range(80)), ["a", "b"] * 40)
    assert draw(posts, range(80), 8, 0) != draw(posts, range(80), 8, 1)


def test_a_split_with_validation_is_used_as_it_is():
    posts = posts_of(list(range(6)), ["a", "b"] * 3, ["train", "train", "validation", "validation", "test", "test"])
    fold = fold_of_split(posts, identity_groups(posts))
    assert (fold.train, fold.validation, fold.test, fold.shared) == ((0, 1), (2, 3), (4, 5), 0)


def test_without_validation_some_of_training_is_held_out():
    posts = posts_of(list(range(60)), ["a", "b"] * 30, ["train"] * 50 + ["test"] * 10)
    fold = fold_of_split(posts, identity_groups(posts))
    assert fold.test == tuple(range(50, 60))
    assert sorted(fold.train + fold.validation) == list(range(50))
    assert 2 <= len(fold.validation) <= 10


def test_test_posts_that_were_in_training_are_counted():
    posts = posts_of([0, 1, 2, 3, 0, 9], ["a", "b"] * 3, ["train", "train", "validation", "validation", "test", "test"])
    assert fold_of_split(posts, identity_groups(posts)).shared == 1


def test_a_split_of_another_name_is_told():
    posts = posts_of(list(range(6)), ["a", "b"] * 3, ["train", "train", "fold 3", "fold 3", "test", "test"])
    with pytest.raises(PostsError, match=r"row 3.*the split is 'fold 3'.*use one of train, validation, test"):
        fold_of_split(posts, identity_groups(posts))


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_split_needs_train_and_test(part):
    other = {"train": "test", "test": "train"}[part]
    posts = posts_of(list(range(4)), ["a", "b"] * 2, [other] * 4)
    with pytest.raises(PostsError, match=f"no post is marked {part}"):
        fold_of_split(posts, identity_groups(posts))
