"""Labels: their type in Python, their order, and signs that they are several labels in one."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jointune.utils.wording import shortened

UNSURE = "unsure"
"""The answer where the confidence is too low; no label may be called so."""

MOST_LABELS = 10_000
"""More are no classes to learn, but texts or numbers of another column."""

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_SEPARATOR = re.compile(r"[|;,/+&]")


def absent(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, pandas' own kinds of these, or white space."""
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")  # pandas' own; it is not imported for that
        or (isinstance(value, float | np.floating) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def label_dtype(values: Iterable[Any]) -> str:
    """Name of the NumPy type of labels that Python gave: a number's, ``bool``, or ``object`` for all others.

    Missing values do not count: a column of pandas' nullable integers is of integers whatever gaps it has.
    """
    given = np.asarray(values, dtype=None if hasattr(values, "__array__") else object)
    if given.dtype.kind == "O":
        present = [value for value in given.ravel().tolist() if not absent(value)]
        if all(isinstance(value, bool | np.bool_) for value in present) and present:
            return "bool"
        if all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in present):
            given = np.asarray(present)
    return given.dtype.name if given.dtype.kind in "biuf" and given.size else "object"


def typed_label(label: str | None, dtype: str | None) -> Any:
    """A label's text as the Python value it was read from; see ``label_dtype``. None stays None."""
    if label is None or dtype is None:
        return label
    kind = np.dtype(dtype).kind
    if kind == "b":
        return label == "True"
    return int(label) if kind in "iu" else float(label) if kind == "f" else label


def order_labels(labels: Iterable[str], dtype: str | None = None) -> list[str]:
    """Each label once, in the order of a classifier's classes: numbers by size, others by their characters.

    Args:
        labels: their texts.
        dtype: what ``label_dtype`` said of them. ``object``, for texts that Python gave, is ordered as by
            ``numpy.unique``, on which scikit-learn's scorers rely; None, for texts from a file, may still be numbers.
    """
    distinct = sorted(set(labels))
    numbers = np.dtype(dtype).kind in "iuf" if dtype else all(map(_NUMBER.fullmatch, distinct))
    return sorted(distinct, key=float) if numbers else distinct


def several_labels(counts: Mapping[str, int]) -> str | None:
    """What to know where labels such as ``a|b`` look like several labels in one; None where none does.

    That is where a part is a label by itself, or every part is found in another label, too.

    Args:
        counts: posts by label.
    """
    parts = {label: [part for raw in _SEPARATOR.split(label) if (part := raw.strip(" []()'\""))] for label in counts}
    found_in = Counter(part for of_label in parts.values() for part in set(of_label))
    joined = [
        label
        for label, of_label in parts.items()
        if len(of_label) > 1
        and (any(part in counts for part in of_label) or all(found_in[part] > 1 for part in of_label))
    ]
    if not joined:
        return None
    posts = sum(counts[label] for label in joined)
    some = ", ".join(repr(shortened(label, 80)) for label in sorted(joined)[:3])
    return (
        f"{posts:,} post{' has' if posts == 1 else 's have'} what looks like several labels in one ({some}): jointune "
        "learns one label a post, and each combination counts as a label of its own"
    )
