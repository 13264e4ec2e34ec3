"""Rules for the JSON files of a bundle and of an export, and the trial run of what was loaded. No torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jointune.data.labels import MOST_LABELS
from jointune.errors import SettingsError
from jointune.evaluation.conformal import CONFORMITY, Conformity
from jointune.evaluation.unlike import UNLIKE, TrainingVectors
from jointune.modalities.batch import Batch, Preprocessor, Preprocessors, collate
from jointune.modalities.modality import MODALITIES, modality
from jointune.targets.choice import OWN_SETTINGS, chosen_target
from jointune.targets.target import Target
from jointune.utils.files import write_json
from jointune.utils.json_rules import (
    Rule,
    boolean,
    clear_build_errors,
    listed,
    mapped,
    number,
    one_of,
    optional,
    record,
    row,
    text,
    whole,
)

OLDEST = ["text", "image"]
"""The modalities of bundles that name none."""


def read_preprocessors(folder: Path, config: Mapping[str, Any], whole_name: str) -> dict[str, Preprocessor]:
    """Read the preprocessors of a bundle or an export, and try them.

    Args:
        folder: with the files that the modalities wrote.
        config: ``modalities``, and the ``..._preprocessing`` of each.
        whole_name: what the folder is, for messages.

    Raises:
        BundleError: a file or a value is damaged.
    """
    with clear_build_errors(folder, whole_name):
        names = config.get("modalities", OLDEST)
        made = {name: modality(name).read(folder, config.get(f"{name}_preprocessing"), whole_name) for name in names}
        trial_batch(made)
    return made


def write_preprocessors(folder: Path, preprocessors: Preprocessors) -> dict[str, Any]:
    """Write the files of all preprocessors; return the ``..._preprocessing`` that ``read_preprocessors`` needs."""
    written = {name: modality(name).write(folder, one) for name, one in preprocessors.items()}
    return {f"{name}_preprocessing": values for name, values in written.items() if values is not None}


def write_uncertainty(folder: Path, conformity: Conformity | None, vectors: TrainingVectors | None) -> list[str]:
    """Write by what prediction sets and unlike-scores are made, as far as it is known; return the files' names."""
    written = []
    if conformity is not None:
        write_json(folder / CONFORMITY, conformity.to_dict())
        written.append(CONFORMITY)
    if vectors is not None:
        vectors.save(folder / UNLIKE)
        written.append(UNLIKE)
    return written


def trial_batch(preprocessors: Preprocessors) -> Batch:
    """Make a post with all modalities, to try a loaded model on."""
    return collate([0], {name: [one.trial_row()] for name, one in preprocessors.items()}, preprocessors)


def read_target(settings: Mapping[str, Any], labels: Sequence[str], values: Any) -> Target:
    """Restore the target of a bundle or an export.

    Args:
        settings: of the classifier; those of earlier versions name no target, which is a single label.
        labels: in the order of the answers' columns.
        values: ``Target.description``, or None.

    Raises:
        ValueError: they do not belong together.
    """
    try:
        target = chosen_target({name: settings[name] for name in ("target", *OWN_SETTINGS) if name in settings})
        if len(labels) < 2 and target.named:
            raise ValueError("it has no two labels")
        return type(target).described(settings, labels, values or {})
    except (SettingsError, TypeError) as reason:
        raise ValueError(str(reason)) from reason


def check_trial(logits: np.ndarray, target: Target) -> None:
    """Check that logits of ``trial_batch`` are numbers, as many as the target has.

    Raises:
        ValueError: they are not.
    """
    if logits.shape != (1, target.outputs):
        raise ValueError(f"it gives {logits.size:,} numbers for a post, and has {len(target.labels):,} labels")
    if not np.isfinite(logits).all():
        raise ValueError("it gives numbers that are not finite (nan or inf): its weights are damaged")


def _labels(value: Any) -> str | None:
    if wrong := listed(text, 0, MOST_LABELS)(value):
        return wrong
    if not all(label.strip() for label in value):
        return " hold an empty label"
    return None if len(set(value)) == len(value) else " name a label twice"


_SHARE, _COUNT = number(0, 1), whole(0, 10**12)
LABELS: Rule = _labels
_RELIABILITY = listed(row(_SHARE, _SHARE, _COUNT), 0, 1000)
CALIBRATION = optional(
    record(
        {
            "temperature": number(0, 1e6, above=True),
            "log_loss": row(*[number(0)] * 2),
            "ece": row(_SHARE, _SHARE),
            "reliability": row(_RELIABILITY, _RELIABILITY),
            "answered": listed(row(_SHARE, _SHARE, _SHARE), 1, 1000),
        },
        {
            "fitted": number(0, 1e6, above=True),
            "cross_validated": optional(number(0)),
            "by_presence": mapped(listed(row(_SHARE, _SHARE, _COUNT, _COUNT), 0, 1000)),
        },
    )
)
_INTERVAL = row(number(), number())
_OF_A_LABEL = ("precision", "recall", "f1")
_OF_LABELS = mapped(
    record(dict.fromkeys(_OF_A_LABEL, _SHARE) | {"support": _COUNT}, {f"{name}_ci": _INTERVAL for name in _OF_A_LABEL})
)


def _scores(value: Any) -> str | None:
    names = [name for name in value if isinstance(name, str)] if isinstance(value, dict) else []
    intervals = {name: _INTERVAL for name in names if name.endswith("_ci")}
    rest = {name: optional(number()) for name in names if name not in (*intervals, *_TABLES, "n")}
    needed = {name.removesuffix("_ci"): number() for name in intervals}
    return record({"n": _COUNT, **needed}, {**rest, **intervals, "per_class": _OF_LABELS})(value)


_TABLES = ("per_class", "confusion_matrix", "labels")
METRICS = mapped(_scores)
"""Of whatever scores a target has."""
_TEXT_FIT = record(
    dict.fromkeys(("texts", "max_tokens", "cut", "median_cut_off", "longest"), _COUNT) | {"unknown_words": _SHARE},
    closed=True,
)
_ENCODER = {"name": text, "licence": text}
_ABOUT = {"data": mapped(mapped(_COUNT)), "settings": record({})}
_MORE_ABOUT = {"notes": listed(text, 0, 1000), "text_fit": optional(_TEXT_FIT)}
_DTYPES = ("object", "bool", *(f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)))
_VERSION = {"jointune_version": text}
_MODALITIES = listed(one_of(*MODALITIES), 1, len(MODALITIES))
PRETRAINED = record(
    _ENCODER | {"config": record({"model_type": text})},
    {"dim": whole(1, 100_000), "depths": listed(whole(0, 1000), 0, 1000), "pooling": text},
)
BUNDLE = record(
    {**_VERSION, "text_encoder": PRETRAINED, "image_encoder": PRETRAINED, "fusion": text, **_ABOUT},
    _MORE_ABOUT | {"audio_encoder": PRETRAINED, "label_dtype": optional(one_of(*_DTYPES)), "modalities": _MODALITIES},
)
EXPORT = record(
    {
        **_VERSION,
        "export": record({"precision": one_of("fp32", "int8"), "checked_on": text}),
        "read_image_text": boolean,
        "about": record(
            {
                **_VERSION,
                "labels": LABELS,
                "text_encoder": record(_ENCODER),
                "image_encoder": record(_ENCODER),
                "fusion": text,
                **_ABOUT,
                "metrics": METRICS,
                "calibration": CALIBRATION,
            },
            _MORE_ABOUT,
        ),
    },
    {"modalities": _MODALITIES},
)
"""Of ``config.json`` in a bundle, and of ``export.json``; what later versions add is passed over."""
