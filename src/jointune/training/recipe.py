"""How to train: the settings of a run, checked when they are put together."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from jointune.errors import SettingsError

METRICS = ("accuracy", "macro_f1", "weighted_f1", "log_loss")
"""What may tell better from worse weights."""

SCHEDULES = ("cosine", "exponential")
"""How the rates fall after the warm-up."""

_BOUNDS: dict[str, tuple[float, float | None]] = {
    "epochs": (0, None),
    "epoch_steps": (1, None),
    "batch_size": (1, None),
    "micro_batch_size": (1, None),
    "encoder_lr": (0, None),
    "head_lr": (0, None),
    "full_rate_posts": (0, None),
    "weight_decay": (0, None),
    "warmup": (0, 1),
    "final_rate": (0, 1),
    "max_grad_norm": (1e-12, None),
    "label_smoothing": (0, 1),
    "modality_dropout": (0, 1),
    "average_epochs": (0, None),
    "evaluations_per_epoch": (1, None),
    "patience": (0, None),
    "prefer_last": (0, None),
    "seed": (0, 2**32 - 1),
}

_SPOKEN = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", type(None): "None"}


def check_types(settings: Mapping[str, Any], function: Callable[..., object]) -> None:
    """See that each setting is of the type that the function says its argument has; NumPy's numbers count as Python's.

    Raises:
        SettingsError: one is not.
    """
    hints = get_type_hints(function)
    for name, value in settings.items():
        if not _fits(value, hints[name]):
            raise SettingsError(f"{name}={value!r}: give {_spoken(hints[name])}")


def _fits(value: Any, hint: Any) -> bool:
    kind = get_origin(hint) or hint
    if kind in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
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


def _spoken(hint: Any) -> str:
    kind = get_origin(hint) or hint
    if kind in (Union, UnionType):
        return " or ".join(map(_spoken, get_args(hint)))
    if kind is Literal:
        return ", ".join(map(repr, get_args(hint)))
    return _SPOKEN.get(kind) or {dict: "a dictionary", Callable: "a function"}.get(kind, "texts")


@dataclass(frozen=True)
class Recipe:
    """How to train; see ``JointClassifier`` for what each setting means.

    Raises:
        SettingsError: a setting is out of range.
    """

    epochs: int
    epoch_steps: int
    batch_size: int
    micro_batch_size: int | None
    encoder_lr: float
    head_lr: float
    full_rate_posts: int
    weight_decay: float
    schedule: str
    warmup: float
    final_rate: float
    max_grad_norm: float
    label_smoothing: float
    modality_dropout: float
    augment: bool
    average_epochs: float
    evaluations_per_epoch: int
    patience: int
    prefer_last: float
    metric: str
    precision: str
    seed: int

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and (not value >= low or (high is not None and value > high)):
                wanted = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
                raise SettingsError(f"{name}={value}: it must be {wanted}")
        if self.metric not in METRICS:
            raise SettingsError(f"metric={self.metric!r}: choose one of {', '.join(METRICS)}")
        if self.schedule not in SCHEDULES:
            raise SettingsError(f"schedule={self.schedule!r}: choose one of {', '.join(SCHEDULES)}")
        if self.precision not in ("auto", "bf16", "fp32"):
            raise SettingsError(f"precision={self.precision!r}: choose auto, bf16 or fp32")
