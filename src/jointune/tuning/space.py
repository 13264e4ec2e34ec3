"""What is searched: the settings, and the values that each may take."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jointune.fusion.registry import make_fusion
from jointune.utils.extras import require

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FUSIONS = ("gated", "gated:512", "concat", "cross-attention")
"""The fusions and widths that are tried by default."""

SEARCHED = (
    "encoder_lr",
    "head_lr",
    "fusion",
    "train_layers",
    "epochs",
    "modality_dropout",
    "label_smoothing",
    "weight_decay",
)
"""The settings that are searched, where they are not given."""


def make_space(fusions: Sequence[str], given: Collection[str]) -> "dict[str, BaseDistribution]":
    """The settings to search and their values, in the order of ``SEARCHED``.

    Args:
        fusions: names, such as ``gated:512``.
        given: settings that are not searched.

    Raises:
        SettingsError: there is no such fusion.
        MissingExtraError: Optuna is not installed.
    """
    distributions = require("optuna", "tune", "tuning").distributions
    rate, count = distributions.FloatDistribution, distributions.IntDistribution
    values = {
        "encoder_lr": rate(1e-5, 5e-4, log=True),
        "head_lr": rate(1e-4, 1e-2, log=True),
        "fusion": distributions.CategoricalDistribution(tuple(dict.fromkeys(fusions))),
        "train_layers": distributions.CategoricalDistribution((0.5, 0.75, None)),
        "epochs": count(1, 6),
        "modality_dropout": rate(0.0, 0.5, step=0.05),
        "label_smoothing": rate(0.0, 0.2, step=0.02),
        "weight_decay": rate(1e-3, 0.3, log=True),
    }
    for fusion in fusions:
        make_fusion(fusion, {"text": 64, "image": 64})  # tells a wrong name or width before anything is trained
    return {name: values[name] for name in SEARCHED if name not in given}


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with as many digits as matter and a person wants to type."""
    return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in values.items()}
