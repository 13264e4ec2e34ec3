"""Columns of numbers and categories to rows."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointune import Post, PostsError, SettingsError
from jointune.modalities.fields.columns import MISSING, MOST_BINS, MOST_CATEGORIES, UNSEEN, FieldsPreprocessor
from jointune.modalities.fields.modality import PREPROCESSING

NUMBERS = st.floats(-1e100, 1e100) | st.integers(-(10**20), 10**20)
CELLS = st.none() | st.text(max_size=5) | NUMBERS | st.booleans()


def posts_of(column: str, values: list[object]) -> list[Post]:
    return [Post("a", where=f"posts.csv row {row}", fields={column: value}) for row, value in enumerate(values, 1)]


def test_numbers_are_standardised_by_the_training_posts():
    values = np.random.default_rng(0).normal(50, 7, 300)
    fields = FieldsPreprocessor.fitted(posts_of("likes", values.tolist()), ["likes"], [])
    arrays = fields.collate(fields.rows(posts_of("likes", values.tolist())))
    assert {name: array.dtype for name, array in arrays.items()} == {"values": np.float32, "codes": np.int64}
    np.testing.assert_allclose(arrays["values"][:, 0], (values - values.mean()) / values.std(), rtol=1e-4, atol=1e-5)
    counts = np.bincount(arrays["codes"][:, 0], minlength=MOST_BINS + 1)
    assert counts[MISSING] == 0
    assert all(abs(count - 300 / MOST_BINS) <= 1 for count in counts[1:]), "bins are quantiles"
    other = fields.collate(fields.rows(posts_of("likes", [values.mean(), 1e9, -1e9])))
    assert other["values"][:, 0].tolist() == pytest.approx([0, 10, -10], abs=1e-5)
    assert other["codes"][1:, 0].tolist() == [MOST_BINS, 1]


def test_a_number_may_be_written_in_several_ways():
    fields = FieldsPreprocessor.fitted(posts_of("n", [0, 1]), ["n"], [])
    rows = fields.rows(posts_of("n", ["1", 1.0, " 1e0 ", True, "True", np.int64(1)]))
    assert len({row.tobytes() for row in rows}) == 1


def test_categories_that_no_training_post_has_count_as_one():
    fields = FieldsPreprocessor.fitted(posts_of("place", ["Rome", "Oslo", "Rome"]), [], ["place"])
    assert fields.categories == {"place": ["Oslo", "Rome"]}
    arrays = fields.collate(fields.rows(posts_of("place", ["Oslo", "Rome", "Bonn", "Kyiv"])))
    assert arrays["codes"][:, 0].tolist() == [2, 3, UNSEEN, UNSEEN]
    assert arrays["values"].shape == (4, 0)
    notes = fields.notes(posts_of("place", ["Oslo", "Bonn", "Bonn", ""]), "test")
    assert notes[0].startswith("place: empty in 1 of 4 test posts")
    assert notes[1].startswith("place: 2 test posts with categories that are not learned (Bonn)")
    assert fields.notes(posts_of("place", ["Oslo", "Rome"]), "test") == []


def test_rare_categories_beyond_the_limit_count_as_unseen():
    often = [f"c{number}" for number in range(MOST_CATEGORIES)]
    fields = FieldsPreprocessor.fitted(posts_of("place", ["a rare one", *often, *often]), [], ["place"])
    assert sorted(fields.categories["place"]) == sorted(often)
    assert fields.rows(posts_of("place", ["a rare one"]))[0].tolist() == [UNSEEN]


@pytest.mark.parametrize("empty", [None, "", "  ", float("nan")])
def test_missing_values(empty):
    training = [Post("a", fields={"likes": 3, "place": "Rome"}), Post("a", fields={"likes": 5, "place": "Oslo"})]
    fields = FieldsPreprocessor.fitted(training, ["likes"], ["place"])
    posts = [
        Post("a", fields={"likes": empty, "place": "Rome"}),
        Post("a", fields={"likes": 5}),
        Post("a", fields={"likes": empty, "place": empty}),
        Post("a"),
    ]
    rows = fields.rows(posts)
    assert rows[2:] == [None, None], "a post without any value lacks the modality"
    assert rows[0].tolist() == [0, MISSING, 3]
    assert rows[1].tolist() == [1, len(fields.numbers["likes"]["edges"]) + 1, MISSING]


@pytest.mark.parametrize("wrong", ["many", "nan", "inf", "1,5", "0x10", 10**400, "1e101", -1e300])
def test_a_cell_that_is_no_number_is_named_by_row_and_column(wrong):
    good = posts_of("likes", [1, 2])
    with pytest.raises(PostsError, match=r"posts.csv row 3: likes: .* is (no number|too large)"):
        FieldsPreprocessor.fitted(posts_of("likes", [1, 2, wrong]), ["likes"], [])
    fields = FieldsPreprocessor.fitted(good, ["likes"], [])
    with pytest.raises(PostsError, match=r"(?s)2 posts.*posts.csv row 2: likes: .*posts.csv row 3: likes: "):
        fields.rows(posts_of("likes", [1, wrong, wrong]))


@pytest.mark.parametrize(
    ("wrong", "what"),
    [([1], "a list"), ({"a": 1}, "a dict"), ("x" * 2000, "2,000 characters"), (float("inf"), "an infinite number")],
)
def test_a_cell_that_is_no_single_short_value_is_named(wrong, what):
    with pytest.raises(PostsError, match=f"posts.csv row 2: place: it holds .*{what}"):
        FieldsPreprocessor.fitted(posts_of("place", ["Rome", wrong]), [], ["place"])


def test_a_column_that_no_training_post_fills_is_refused():
    with pytest.raises(SettingsError, match="no training post has a value in the column 'lieks'") as caught:
        FieldsPreprocessor.fitted(posts_of("likes", [1, 2]), ["lieks"], [])
    assert caught.value.setting == "number_columns"
    with pytest.raises(SettingsError, match="'place'") as caught:
        FieldsPreprocessor.fitted(posts_of("place", [None, ""]), [], ["place"])
    assert caught.value.setting == "category_columns"


@given(st.lists(NUMBERS, min_size=1, max_size=40), st.lists(NUMBERS, max_size=5))
def test_any_numbers_give_finite_values_and_known_codes(training, others):
    posts, more = posts_of("n", training), posts_of("n", others)
    fields = FieldsPreprocessor.fitted(posts, ["n"], [])
    rows = fields.rows([*posts, *more])
    arrays = fields.collate(rows)
    assert np.isfinite(arrays["values"]).all()
    assert (np.abs(arrays["values"]) <= 10).all()
    assert ((arrays["codes"] > MISSING) & (arrays["codes"] < fields.sizes[0])).all()
    if len(set(training)) == 1:
        assert (np.abs(arrays["values"][: len(training)]) < 1e-6).all(), "a constant column is zero"


@given(st.lists(CELLS, min_size=1, max_size=30))
def test_any_cells_are_categories_and_come_back_from_json(cells):
    posts = posts_of("c", cells)
    try:
        fields = FieldsPreprocessor.fitted(posts, [], ["c"])
    except SettingsError:
        assert all(cell is None or not str(cell).strip() for cell in cells)
        return
    config = json.loads(json.dumps(fields.config()))
    assert PREPROCESSING(config) is None
    again = FieldsPreprocessor(**config)
    for row, other in zip(fields.rows(posts), again.rows(posts), strict=True):
        assert (row is None) == (other is None)
        assert row is None or (UNSEEN < row[0] < fields.sizes[0] and row[0] == other[0])
