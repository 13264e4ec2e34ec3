"""Who learns, who validates and who tests: by what posts carry, or by what is given."""

import pytest

from jointune import Post, Posts, PostsError
from jointune.data.divide import divide


def posts(*splits, start=0):
    return Posts((Post(f"text {start + i}", label="ab"[i % 2], split=split) for i, split in enumerate(splits)), "p.csv")


TRAIN, CHECK, TEST = ("train",) * 4, ("validation",) * 2, ("test",) * 3


def texts(part):
    return [post.text for post in part]


def test_posts_that_carry_a_split_are_divided_by_it():
    every = posts(*TRAIN, *CHECK, *TEST)
    found = divide(every)
    assert [len(part) for part in (found.training, found.validation, found.test)] == [4, 2, 3]
    assert (found.fraction, found.notes) == (None, ())
    learned, checked = found.held_out(0)
    assert (texts(learned), texts(checked)) == (texts(every[:4]), texts(every[4:6]))


def test_test_posts_that_are_given_take_the_place_of_those_that_are_marked():
    other = posts(None, None, start=50)
    found = divide(posts(*TRAIN, *CHECK, *TEST), test=other)
    assert texts(found.test) == texts(other)
    assert found.notes == ("p.csv: posts marked test are not used (3): other test posts were given",)
    assert divide(posts(*TRAIN, *CHECK), test=other).notes == ()


def test_posts_without_a_split_leave_a_tenth_to_be_held_out():
    found = divide(posts(*[None] * 40))
    assert (found.fraction, len(found.training), len(found.validation)) == (0.1, 40, 0)
    learned, checked = found.held_out(0)
    assert (len(learned), len(checked)) == (36, 4)


def test_a_fraction_wins_over_the_split_with_a_note():
    found = divide(posts(*TRAIN, *CHECK, *TEST), 0.25)
    assert (found.fraction, len(found.training)) == (0.25, 9)
    (note,) = found.notes
    assert note == (
        "p.csv: the split that the posts carry is not used, since validation was given: learned from or used for "
        "validation are posts marked otherwise (2 validation, 3 test)"
    )


def test_posts_that_are_given_win_over_the_split_with_a_note_where_it_says_otherwise():
    assert divide(posts(*TRAIN), posts(*CHECK, start=50)).notes == ()
    assert divide(posts(*TRAIN), posts(None, None, start=50)).notes == ()
    found = divide(posts(*TRAIN, *TEST), posts("train", *CHECK, start=50))
    assert (len(found.training), len(found.validation), len(found.test)) == (7, 3, 0)
    learned, validated = found.notes
    assert learned.endswith("learned from are posts marked otherwise (3 test)")
    assert validated.endswith("used for validation are posts marked otherwise (1 train)")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (posts(), "no posts to learn from"),
        (posts(*TRAIN, *CHECK, None), "the split is empty; use one of train, validation, test"),
        (posts(*TRAIN, *TEST), "no post is marked validation"),
        (posts(*CHECK, *TEST), "no post is marked train"),
        (posts(*TRAIN, *CHECK, "holdout"), "the split is 'holdout'"),
    ],
)
def test_a_split_that_does_not_divide_is_refused(given, says):
    with pytest.raises(PostsError, match=says):
        divide(given)


def test_no_validation_posts_are_refused():
    with pytest.raises(PostsError, match="no validation posts"):
        divide(posts(*TRAIN), Posts([]))
