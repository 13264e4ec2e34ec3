"""Labels: their order, and several of them in one."""

import pytest

from jointune.data.labels import label_dtype, order_labels, several_labels, typed_label


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2, None], "int64"),
        ([1, 2.5], "float64"),
        ([True, None, False], "bool"),
        ([True, 1], "object"),
        (["1", 2], "object"),
        ([], "object"),
        ([None], "object"),
        ([[1], [2, 3]], "object"),
    ],
)
def test_the_type_of_labels(values, dtype):
    assert label_dtype(values) == dtype


def test_a_label_is_what_it_was():
    assert typed_label("2", "int8") == 2
    assert typed_label("2", "float32") == 2.0
    assert typed_label("False", "bool") is False
    assert typed_label("2", None) == typed_label("2", "object") == "2"
    assert typed_label(None, "int64") is None


def test_numbers_are_ordered_by_size():
    assert order_labels(["10", "2", "-1", "2", "1.5"]) == ["-1", "1.5", "2", "10"]
    assert order_labels(["10", "2", "many"]) == ["10", "2", "many"]
    assert order_labels(["10", "2"], "object") == ["10", "2"]
    assert order_labels(["10", "2", "1e-05"], "float64") == ["1e-05", "2", "10"]
    assert order_labels(["True", "False"], "bool") == ["False", "True"]


@pytest.mark.parametrize(
    ("counts", "posts"),
    [
        ({"a": 5, "b": 5, "a|b": 3}, 3),
        ({"a": 5, "a; c": 2}, 2),
        ({"a,b": 4, "b,c": 3, "a,c": 1}, 8),
        ({"['a', 'b']": 4, "['a']": 3, "['b']": 1}, 4),
        ({"joy": 4, "joy/anger": 1, "anger": 2}, 1),
        ({"a": 5, "b": 5}, 0),
        ({"New York, NY": 4, "Paris, France": 3}, 0),
        ({"London, UK": 4, "Leeds, UK": 3}, 0),
        ({"C": 4, "C++": 3, "N/A": 1}, 0),
    ],
)
def test_several_labels_in_one(counts, posts):
    note = several_labels(counts)
    assert (note is None) if not posts else note.startswith(f"{posts} post")
