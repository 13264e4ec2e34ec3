"""How to train: the settings of a run, and what each of them may be."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from jointune.batches.normalise import valid_kinds
from jointune.errors import SettingsError, setting
from jointune.extras import check_installed
from jointune.fusion.choice import check_fusion
from jointune.posts.ocr import check_ocr
from jointune.posts.problems import valid_policy
from jointune.training.tracking import check_trackers

METRICS = ("accuracy", "macro_f1", "weighted_f1", "log_loss")
"""What may tell better from worse weights."""

SCHEDULES = ("cosine", "exponential")
"""How the rates fall after the warm-up."""

PRECISIONS = ("auto", "bf16", "fp32")
"""What training may compute in."""

_CHOICES = {"metric": METRICS, "schedule": SCHEDULES, "precision": PRECISIONS}

_BOUNDS: dict[str, tuple[float, float | None]] = {
    "probe_depths": (1, None),
    "train_layers": (0, None),
    "lora": (1, None),
    "max_tokens": (1, None),
    "epochs": (0, None),
    "epoch_steps": (1, None),
    "batch_size": (1, None),
    "micro_batch_size": (1, None),
    "encoder_lr": (0, 10),
    "head_lr": (0, 10),
    "full_rate_posts": (0, None),
    "weight_decay": (0, 1000),
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
            raise SettingsError(f"{setting(name, value)}: give {_spoken(hints[name])}")


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


def check_settings(settings: Mapping[str, Any]) -> None:
    """See that settings of ``JointClassifier`` are possible: all that can be judged alone, and without torch.

    ``JointClassifier.fit`` and the command line both ask here, before posts or encoders are loaded.

    Args:
        settings: by name; those that are not there are not judged, and other names are passed over.

    Raises:
        SettingsError: one of them is out of range, or no choice.
        MissingExtraError: one of them needs a package that is not installed.
    """
    for name, (low, high) in _BOUNDS.items():
        value = settings.get(name)
        if value is not None and (not value >= low or (high is not None and value > high)):
            wanted = f"at least {low:g}" if high is None else f"between {low:.10g} and {high:.10g}"
            raise SettingsError(f"{setting(name, value)}: it must be {wanted}")
    for name, choices in _CHOICES.items():
        if name in settings and settings[name] not in choices:
            raise SettingsError(f"{setting(name, settings[name])}: choose one of {', '.join(choices)}")
    if not settings.get("epochs", 1) and not settings.get("probe", True):
        raise SettingsError(f"{setting('epochs', 0)} without a probe: nothing would be trained")
    if isinstance(settings.get("fusion"), str):
        check_fusion(settings["fusion"])
    if "normalise" in settings:
        valid_kinds(settings["normalise"])
    if "on_bad_image" in settings:
        valid_policy(settings["on_bad_image"])
    check_trackers(settings.get("track"))
    if settings.get("lora") is not None:
        check_installed("peft", "lora", setting("lora"))
    if settings.get("read_image_text"):
        check_ocr()
    if str(settings.get("image_encoder", "")).startswith("timm:"):
        check_installed("timm", "timm", setting("image_encoder", settings["image_encoder"]))


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
        check_settings(vars(self))
