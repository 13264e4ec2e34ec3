"""A fraction held out is stratified, and duplicates never straddle."""

import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from jointune import PostsError, SettingsError
from jointune.data.post import Post, Posts
from jointune.data.split import identity_groups, split_posts


@st.composite
def any_posts(draw: st.DrawFn) -> Posts:
    """Posts of two to four labels; some share a text, a picture's bytes, or both, some lack one of them."""
    labels, variety = draw(st.integers(2, 4)), draw(st.sampled_from([4, 20, 100]))
    numbers = st.one_of(st.none(), st.integers(0, variety))
    pairs = draw(st.lists(st.tuples(numbers, numbers), min_size=2 * labels, max_size=40))
    made = []
    for index, (text, image) in enumerate(pairs):
        words = f"own {index}" if text is None is image else None
        if text is not None:
            words = f"{'Tt'[index % 2]}ext{' ' * (1 + index % 3)}{text}"  # alike but for case and spaces
        made.append(Post(words, None if image is None else b"picture %d" % image, f"label {index % labels}"))
    return Posts(made)


def keys(post: Post) -> list[object]:
    found: list[object] = []
    if post.text is not None:
        found.append(" ".join(post.text.lower().split()))
    if post.image is not None:
        found.append(hashlib.sha256(post.image).digest())
    return found


QUICK = settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(posts=any_posts(), fraction=st.floats(0.02, 0.9), seed=st.integers(0, 5))
def test_nothing_straddles_and_every_label_stays_in_training(posts, fraction, seed):
    try:
        learned, held = split_posts(posts, fraction, seed)
    except PostsError as error:
        assert "must stay together" in str(error)  # noqa: PT017
        return
    assert sorted(learned + held) == list(range(len(posts)))
    assert held
    assert learned == sorted(learned)
    assert held == sorted(held)
    assert not {key for i in learned for key in keys(posts[i])} & {key for i in held for key in keys(posts[i])}
    assert {posts[i].label for i in learned} == set(posts.labels)
    assert split_posts(posts, fraction, seed) == (learned, held)


@QUICK
@given(posts=any_posts())
def test_groups_are_what_is_connected_by_texts_and_pictures(posts):
    groups = identity_groups(posts)
    # The plain way: let the smallest number flow along shared keys until nothing changes.
    expected, changed = list(range(len(posts))), True
    while changed:
        lowest: dict[object, int] = defaultdict(lambda: len(posts))
        for number, post in zip(expected, posts, strict=True):
            for key in keys(post):
                lowest[key] = min(lowest[key], number)
        flowed = [min(lowest[key] for key in keys(post)) for post in posts]
        changed, expected = flowed != expected, flowed
    pairs = set(zip(groups, expected, strict=True))
    assert len(pairs) == len(set(groups)) == len(set(expected))


@QUICK
@given(
    counts=st.lists(st.integers(2, 80), min_size=2, max_size=4), fraction=st.floats(0.05, 0.6), seed=st.integers(0, 3)
)
def test_the_fraction_of_each_label_is_as_asked_where_no_duplicates_stand_against_it(counts, fraction, seed):
    labels = [f"label {number}" for number, count in enumerate(counts) for _ in range(count)]
    posts = Posts(Post(text=f"text {number}", label=label) for number, label in enumerate(labels))
    learned, held = split_posts(posts, fraction, seed)
    taken = Counter(posts[i].label for i in held)
    for number, count in enumerate(counts):
        least = 0 if any(count * fraction < 1 for count in counts) else 1
        assert taken[f"label {number}"] >= least
        assert abs(taken[f"label {number}"] - count * fraction) <= 1
    assert len(learned) + len(held) == len(posts)


def test_the_fraction_is_roughly_right_with_duplicates_too():
    # Runs of one to five posts share a text, and the labels of a run differ.
    runs = [run for run in range(120) for _ in range(1 + run % 5)]
    posts = Posts(Post(text=f"text {run}", label=f"label {number % 3}") for number, run in enumerate(runs))
    _, held = split_posts(posts, 0.2)
    assert len(held) == pytest.approx(0.2 * len(posts), rel=0.1)
    taken = Counter(posts[i].label for i in held)
    assert all(count == pytest.approx(0.2 * len(posts) / 3, rel=0.2) for count in taken.values())


def test_the_seed_decides():
    posts = Posts(Post(text=f"text {number}", label="ab"[number % 2]) for number in range(100))
    parts = [split_posts(posts, 0.2, seed)[1] for seed in range(4)]
    assert len({tuple(part) for part in parts}) == 4
    assert split_posts(posts, 0.2, 0)[1] == parts[0]


def test_the_same_picture_under_two_names_is_one(tmp_path):
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    opened = Image.new("RGB", (4, 4), "blue")
    images = [tmp_path / "a.png", tmp_path / "b.png", tmp_path / "gone.png", tmp_path / "gone too.png", opened, opened]
    groups = identity_groups(Posts(Post(image=image) for image in images))
    assert groups[0] == groups[1]
    assert groups[4] == groups[5]
    assert len(set(groups)) == 4


def test_a_fraction_too_small_for_one_post_still_holds_one_out():
    posts = Posts(Post(text=f"text {number}", label="ab"[number % 2]) for number in range(10))
    assert len(split_posts(posts, 0.01)[1]) == 1


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_fraction_that_is_none(fraction):
    with pytest.raises(SettingsError, match="a fraction lies between 0 and 1"):
        split_posts(Posts([Post(text="a", label="x"), Post(text="b", label="x")]), fraction)


def test_posts_that_cannot_be_split_are_named():
    posts = Posts([Post(text="same", image=Path("x"), label=label) for label in "aabb"], "p.csv")
    with pytest.raises(PostsError, match=r"p\.csv: no validation part can be held out.*add posts, or name validation"):
        split_posts(posts, 0.5)


@pytest.mark.parametrize(
    ("counts", "fraction", "held"),
    [
        ((57, 3), 0.1, (6, 1)),
        ((57, 2), 0.1, (6, 1)),
        ((96, 2, 2), 0.03, (3, 1, 1)),
        ((5, 5), 0.1, None),  # one post of ten cannot be of either label
        ((96, 2, 2), 0.02, None),
    ],
)
def test_a_rare_label_is_held_out_where_the_fraction_has_room_for_one_of_each(counts, fraction, held):
    labels = [f"label {number}" for number, count in enumerate(counts) for _ in range(count)]
    posts = Posts(Post(text=f"text {number}", label=label) for number, label in enumerate(labels))
    for seed in range(5):
        taken = Counter(posts[i].label for i in split_posts(posts, fraction, seed)[1])
        if held:
            assert tuple(taken[f"label {number}"] for number in range(len(counts))) == held
        else:
            assert len(taken) < len(counts)
