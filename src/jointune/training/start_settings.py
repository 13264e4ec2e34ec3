"""Settings of a training run that goes on from a bundle: those of its architecture are the bundle's."""

from collections.abc import Mapping
from typing import Any

from jointune.config import DEFAULTS
from jointune.errors import SettingsError, setting

ARCHITECTURE = (
    "text_encoder",
    "image_encoder",
    "audio_encoder",
    "audio_column",
    "audio_seconds",
    "fusion",
    "target",
    "label_order",
    "probe",
    "probe_depths",
    "normalise",
    "image_margin",
    "max_tokens",
    "read_image_text",
    "number_columns",
    "category_columns",
)
"""Settings that decide what the weights are of."""


def settings_of_start(settings: Mapping[str, Any], start: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return settings with the architecture of a bundle; a default gives way to it.

    Args:
        settings: of the run.
        start: of the bundle.
        name: of the bundle, for messages.

    Raises:
        SettingsError: one of them contradicts the bundle.
    """
    taken = {one: start.get(one, DEFAULTS[one]) for one in ARCHITECTURE}
    for one, value in taken.items():
        own = settings.get(one, DEFAULTS[one])
        if not _alike(own, value) and not _alike(own, DEFAULTS[one]):
            raise SettingsError(
                f"{setting(one, own)}: {name}, from which training starts, has {value!r}",
                "leave it out, or train without a start",
                setting=one,
            )
    if "," in str(start.get("text_column")) and settings.get("text_column") == DEFAULTS["text_column"]:
        taken["text_column"] = start["text_column"]  # a model of two texts
    return {**settings, **taken}


def _alike(first: Any, second: Any) -> bool:
    first, second = (list(one) if isinstance(one, tuple) else one for one in (first, second))
    return bool(first == second)
