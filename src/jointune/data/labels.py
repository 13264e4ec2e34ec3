"""Labels: their type in Python, their order, and signs that they are several labels in one."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jointune.errors import setting
from jointune.utils.wording import encodable, shortened

UNSURE = "unsure"
"""The answer if the confidence is too low; no label may have this name."""

MOST_LABELS = 10_000
"""More are no classes to learn, but texts or numbers of another column."""

_LONGEST_LABEL = 1000
_FEWEST_STARS, _MOST_STARS = 3, 11
"""Numbers that look like ordered labels, such as stars or 0 to 10; two are yes and no, and more are amounts."""

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_SEPARATOR = re.compile(r"[|;,/+&]")


def absent(value: Any) -> bool:
    """Return whether a cell is empty: None, NaN, a missing value of pandas, or white space."""
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")  # pandas', which is not imported for that
        or (isinstance(value, float | np.floating) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def label_text(value: Any) -> str | None:
    """Return a label as text; None for an empty cell.

    Raises:
        TypeError: the value cannot be a label.
    """
    if absent(value):
        return None
    if isinstance(value, Mapping | list | tuple | set | bytes | np.ndarray):
        raise TypeError(f"a {type(value).__name__} where a label is needed")
    if isinstance(value, float | np.floating) and np.isinf(value):
        raise TypeError("an infinite number where a label is needed")
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))  # whole numbers become floats in a column with gaps
    label = encodable(str(value).strip())
    if len(label) > _LONGEST_LABEL:
        raise TypeError(f"a text of {len(label):,} characters where a label is needed")
    return label


def label_dtype(values: Iterable[Any]) -> str:
    """Return the name of the NumPy type of labels from Python: a number's, ``bool``, or ``object`` for all others.

    Missing values do not count: a nullable integer column of pandas holds integers, whatever gaps it has.
    """
    array = np.asarray(values, dtype=None if hasattr(values, "__array__") else object)
    if array.dtype.kind == "O":
        present = [value for value in array.ravel().tolist() if not absent(value)]
        if all(isinstance(value, bool | np.bool_) for value in present) and present:
            return "bool"
        if all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in present):
            array = np.asarray(present)
    return array.dtype.name if array.dtype.kind in "biuf" and array.size else "object"


def typed_label(label: str | None, dtype: str | None) -> Any:
    """Convert a label's text back to the Python value it was read from; see ``label_dtype``. None stays None."""
    if label is None or dtype is None:
        return label
    kind = np.dtype(dtype).kind
    if kind == "b":
        return label == "True"
    return int(label) if kind in "iu" else float(label) if kind == "f" else label


def order_labels(labels: Iterable[str], dtype: str | None = None) -> list[str]:
    """Return each label once, in the order of a classifier's classes: numbers by size, others by their characters.

    Args:
        labels: their texts.
        dtype: their ``label_dtype``. ``object``, for texts from Python, is ordered as by ``numpy.unique``, on which
            scikit-learn's scorers rely; None, for texts from a file, may still be numbers.
    """
    distinct = sorted(set(labels))
    numbers = np.dtype(dtype).kind in "iuf" if dtype else all(map(_NUMBER.fullmatch, distinct))
    return sorted(distinct, key=float) if numbers else distinct


def several_labels(counts: Mapping[str, int]) -> str | None:
    """Return a note if labels such as ``a|b`` look like several labels in one; None otherwise.

    A label looks so if one of its parts is a label by itself, or if every part is also part of another label.

    Args:
        counts: posts by label.
    """
    parts = {label: [part for raw in _SEPARATOR.split(label) if (part := raw.strip(" []()'\""))] for label in counts}
    labels_with = Counter(part for label_parts in parts.values() for part in set(label_parts))
    joined = [
        label
        for label, label_parts in parts.items()
        if len(label_parts) > 1
        and (any(part in counts for part in label_parts) or all(labels_with[part] > 1 for part in label_parts))
    ]
    if not joined:
        return None
    posts = sum(counts[label] for label in joined)
    some = ", ".join(repr(shortened(label, 80)) for label in sorted(joined)[:3])
    return (
        f"{posts:,} post{' has' if posts == 1 else 's have'} what looks like several labels in one ({some}): each "
        f"combination counts as a label of its own; {setting('target', 'multi')} learns several labels a post"
    )


def number_labels(counts: Mapping[str, int]) -> str | None:
    """Return a note if labels are numbers: ordered ones where they are few, such as stars, and amounts otherwise.

    Args:
        counts: posts by label.
    """
    if len(counts) < _FEWEST_STARS or not all(map(_NUMBER.fullmatch, counts)):
        return None
    ends = f"{min(counts, key=float)} to {max(counts, key=float)}"
    if len(counts) <= _MOST_STARS:
        return f"the labels are numbers, {ends}: if their order counts, {setting('target', 'ordered')} learns it"
    return f"the labels are {len(counts):,} numbers, {ends}: {setting('target', 'number')} learns amounts"
