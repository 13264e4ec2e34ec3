"""Settings of a classifier as a bundle stores them, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jointune import __version__
from jointune.config import SETTINGS, check_settings, check_types, plain
from jointune.errors import BundleError
from jointune.persistence.bundle import Bundle
from jointune.utils.wording import listed

_FOR_TRAINING = ("image_encoder", "lora", "track", "read_image_text", "audio_column", "audio_encoder")
"""Settings that may need a package which a trained model, or one that gets no images, does without."""


def stored_settings(settings: Mapping[str, Any], fusion: Any) -> tuple[str, dict[str, Any]]:
    """Return the name of the fusion and the settings of a classifier as a bundle stores them.

    Args:
        settings: of the classifier.
        fusion: of its model.
    """
    name = settings["fusion"]
    if not isinstance(name, str):
        # A factory that only gives a fusion of jointune's own another start is not needed to read the bundle.
        built_in = getattr(name, "built_in", None)
        own = getattr(name, "__name__", type(name).__name__)
        name = built_in(fusion) if built_in else f"custom:{own}"
    # Where a bundle was trained is no concern of whoever loads it.
    stored = {**settings, "fusion": name, "device": None, "track": None}
    return name, {one: plain(value) for one, value in stored.items()}


def checked_settings(path: str | Path, bundle: Bundle, fusion: Any, device: str | None) -> dict[str, Any]:
    """Return the settings of a bundle's classifier.

    Args:
        path: for messages.
        bundle: as loaded.
        fusion: one's own, where the bundle was trained with one.
        device: to predict on.

    Raises:
        BundleError: there is an unknown one.
        SettingsError: one is impossible.
    """
    # What only training needs may not be installed here.
    settings = bundle.settings | {"fusion": fusion or bundle.fusion, "device": device, "track": None}
    if unknown := [name for name in settings if name not in SETTINGS]:
        raise BundleError(
            f"{path} has settings that jointune {__version__} does not know: {listed(unknown, len(unknown))}",
            "it was written by another version: use that one, or train it anew",
        )
    check_types(settings)
    check_settings({name: value for name, value in settings.items() if name not in _FOR_TRAINING})
    return settings
