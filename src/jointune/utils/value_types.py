"""Types of settings: whether a value is of one, and how it is called in a message."""

import math
from collections.abc import Callable, Iterable, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

_SPOKEN = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", type(None): "None"}


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of the type that an annotation names; NumPy's numbers count as Python's."""
    kind = get_origin(hint) or hint
    if kind in (Union, UnionType):
        return any(fits(value, one) for one in get_args(hint))
    if kind is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if kind is bool:
        return isinstance(value, bool | np.bool_)
    if kind is int:
        return isinstance(value, int | np.integer) and not isinstance(value, bool)
    if kind is float:
        number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if hint == Sequence[str]:
        return isinstance(value, Iterable) and all(isinstance(part, str) for part in value)
    return callable(value) if kind is Callable else isinstance(value, kind)


def spoken(hint: Any) -> str:
    """Name a type in words."""
    kind = get_origin(hint) or hint
    if kind in (Union, UnionType):
        return " or ".join(map(spoken, get_args(hint)))
    if kind is Literal:
        return " or ".join(map(repr, get_args(hint)))
    return _SPOKEN.get(kind) or {dict: "a dictionary", Callable: "a function"}.get(kind, "texts")
