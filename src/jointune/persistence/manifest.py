"""What the JSON files of a bundle and of an export may say: one table for both, without torch."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jointune.data.labels import MOST_LABELS
from jointune.errors import BundleError, MissingExtraError, first_line, is_fatal
from jointune.modalities.batch import Batch, collate
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.text.normalise import KINDS
from jointune.modalities.text.tokens import TextPreprocessor, Tokens
from jointune.utils.files import member, read_json

_TRIED_TOKENS = 512
"""Most tokens of the text that a loaded model is tried on."""

Rule = Callable[[Any], str | None]
"""What is wrong with a value, after its name; None where nothing is."""


@contextmanager
def clear_build_errors(folder: Path, whole: str) -> Iterator[None]:
    """Turn whatever comes of a bundle or an export that fits its digests, but not itself, into one clear error."""
    try:
        yield
    except (BundleError, MissingExtraError):
        raise
    except BaseException as reason:
        if is_fatal(reason):
            raise
        raise BundleError(
            f"{folder}: what it describes cannot be run: {first_line(reason)}",
            f"copy the whole {whole} again, or make it anew",
        ) from reason


def read_preprocessing(folder: Path, config: dict[str, Any], whole: str) -> tuple[TextPreprocessor, ImagePreprocessor]:
    """The preprocessing of a bundle or an export, tried on a text.

    Args:
        folder: with ``tokenizer.json`` and ``preprocessor_config.json``.
        config: of the text preprocessing.
        whole: what the folder is, for messages.

    Raises:
        BundleError: a file is no tokenizer, or says what no preprocessing does.
    """
    path = folder / "preprocessor_config.json"
    image = ImagePreprocessor.from_config(check(read_json(path, whole), IMAGE_PREPROCESSING, path, whole))
    with clear_build_errors(folder / "tokenizer.json", whole):
        text = TextPreprocessor.load(member(folder, "tokenizer.json", whole), config)
        trial_batch(text, image)
    return text, image


def trial_batch(text: TextPreprocessor, image: ImagePreprocessor) -> Batch:
    """A post with a text and a picture: words, padding, and the last token that there is."""
    tokens = text.encode(["a good day"])[0].ids
    ids = np.full(max(len(tokens), min(text.max_tokens, _TRIED_TOKENS)), text.pad_id, dtype=np.int32)
    ids[: len(tokens)] = tokens
    ids[len(tokens) : len(tokens) + 1] = max(text.tokenizer.get_vocab().values())
    return collate([0], [Tokens(ids)], [np.zeros((*image.size, 3), dtype=np.uint8)], text)


def check_trial(logits: np.ndarray, labels: list[str]) -> None:
    """See that logits of ``trial_batch`` are numbers, one for each label.

    Raises:
        ValueError: they are not.
    """
    if logits.shape != (1, len(labels)):
        raise ValueError(f"it gives {logits.size:,} numbers for a post, and has {len(labels):,} labels")
    if not np.isfinite(logits).all():
        raise ValueError("it gives numbers that are not finite (nan or inf): its weights are damaged")


def check(value: Any, rule: Rule, path: Path, whole: str) -> Any:
    """The value, once it is what the rule says.

    Args:
        value: of a JSON file.
        rule: one of this module.
        path: of the file, for messages.
        whole: what the file is a part of, for messages.

    Raises:
        BundleError: it is something else.
    """
    if wrong := rule(value):
        raise BundleError(f"{path}: {wrong.lstrip('.')}", f"copy the whole {whole} again, or make it anew")
    return value


def _that(holds: Callable[[Any], bool], wanted: str) -> Rule:
    return lambda value: None if holds(value) else f" must be {wanted}, not {_shown(value)}"


def _is_text(value: Any) -> bool:
    # A lone surrogate, which JSON can hold, can be written nowhere.
    return isinstance(value, str) and len(value) <= 100_000 and not any("\ud800" <= one <= "\udfff" for one in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e300


def whole(low: int, high: int) -> Rule:
    """A whole number between two."""
    return _that(
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        f"a whole number from {low:,} to {high:,}",
    )


def number(low: float = -math.inf, high: float = math.inf, above: bool = False) -> Rule:
    """A finite number between two; ``above`` the lower one."""
    return _that(
        lambda value: _is_number(value) and low <= value <= high and not (above and value == low),
        f"a number{' above' if above else ' from'} {low:g} to {high:g}" if math.isfinite(low) else "a finite number",
    )


def one_of(*choices: str | None) -> Rule:
    """One of these."""
    return _that(
        lambda value: isinstance(value, str | None) and value in choices, f"one of {', '.join(map(repr, choices))}"
    )


def optional(rule: Rule) -> Rule:
    """None, or what the rule says."""
    return lambda value: None if value is None else rule(value)


def listed(rule: Rule, fewest: int = 0, most: int = 1_000_000) -> Rule:
    """A list of so many values that the rule says."""

    def wrong(value: Any) -> str | None:
        if not isinstance(value, list) or not fewest <= len(value) <= most:
            return f" must be a list of {fewest:,}{f' to {most:,}' if most != fewest else ''}, not {_shown(value)}"
        return next((f"[{place}]{found}" for place, one in enumerate(value) if (found := rule(one))), None)

    return wrong


def row(*rules: Rule) -> Rule:
    """A list with one value for each rule."""

    def wrong(value: Any) -> str | None:
        if not isinstance(value, list) or len(value) != len(rules):
            return f" must be a list of {len(rules)}, not {_shown(value)}"
        return next((f"[{n}]{found}" for n, rule in enumerate(rules) if (found := rule(value[n]))), None)

    return wrong


def mapped(rule: Rule) -> Rule:
    """An object of any names, whose values the rule says."""

    def wrong(value: Any) -> str | None:
        if not isinstance(value, dict) or not all(map(_is_text, value)):
            return f" must be an object, not {_shown(value)}"
        return next((f".{name}{found}" for name, one in value.items() if (found := rule(one))), None)

    return wrong


def record(needed: Mapping[str, Rule], more: Mapping[str, Rule] | None = None, closed: bool = False) -> Rule:
    """An object with these names.

    Args:
        needed: rules of what may not be missing.
        more: rules of what may, as in files of older versions.
        closed: whether other names are refused.
    """
    rules = {**needed, **(more or {})}

    def wrong(value: Any) -> str | None:
        if not isinstance(value, dict):
            return f" must be an object, not {_shown(value)}"
        if missing := [name for name in needed if name not in value]:
            return f".{missing[0]} is missing"
        if closed and (unknown := [name for name in value if name not in rules]):
            return f".{unknown[0][:40]} is unknown to this version"
        return next(
            (f".{name}{found}" for name in value if name in rules and (found := rules[name](value[name]))), None
        )

    return wrong


def _labels(value: Any) -> str | None:
    if wrong := listed(text, 2, MOST_LABELS)(value):
        return wrong
    if not all(label.strip() for label in value):
        return " hold an empty label"
    return None if len(set(value)) == len(value) else " name a label twice"


def _image(value: Any) -> str | None:
    if wrong := record(dict.fromkeys(("size", "resize"), _SIDES), _IMAGE, closed=True)(value):
        return wrong
    fits = all(outer >= inner for outer, inner in zip(value["resize"], value["size"], strict=True))
    return None if fits else ".resize must be no less than size"


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value):,}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1e18:
        return "a number of many digits"
    return repr(value[:40] if isinstance(value, str) else value)


text = _that(_is_text, "a text")
boolean = _that(lambda value: isinstance(value, bool), "true or false")
anything: Rule = lambda _: None  # noqa: E731
_SHARE, _COUNT = number(0, 1), whole(0, 10**12)
_SIDES = row(whole(1, 4096), whole(1, 4096))
_COLOURS = row(*[number()] * 3)
_IMAGE = {
    "fit": one_of("crop", "squash"),
    "resample": whole(0, 5),
    "mean": _COLOURS,
    "std": row(*[number(0, above=True)] * 3),
    "bgr": boolean,
}

LABELS: Rule = _labels
IMAGE_PREPROCESSING: Rule = _image
TEXT_PREPROCESSING = record(
    {
        "max_tokens": whole(1, 1_000_000),
        "pad_id": whole(0, 2**31 - 1),
        "inputs": listed(one_of("input_ids", "attention_mask", "token_type_ids"), 1, 3),
        "fixed_length": boolean,
        "normalise": listed(one_of(*KINDS), 0, len(KINDS)),
    },
    {"prompt": text, "lowercase": boolean},
    closed=True,
)
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
_SCORES = dict.fromkeys(("accuracy", "macro_f1", "weighted_f1"), _SHARE)
_INTERVAL = row(_SHARE, _SHARE)
_OF_A_LABEL = ("precision", "recall", "f1")
METRICS = mapped(
    record(
        {
            "n": _COUNT,
            **_SCORES,
            **{f"{name}_ci": _INTERVAL for name in _SCORES},
            **{name: optional(number()) for name in ("log_loss", "ece", "auroc")},
            "per_class": mapped(
                record(
                    dict.fromkeys(_OF_A_LABEL, _SHARE) | {"support": _COUNT},
                    {f"{name}_ci": _INTERVAL for name in _OF_A_LABEL},
                )
            ),
        }
    )
)
_TEXT_FIT = record(
    dict.fromkeys(("texts", "max_tokens", "cut", "median_cut_off", "longest"), _COUNT) | {"unknown_words": _SHARE},
    closed=True,
)
_ENCODER = {"name": text, "licence": text}
_ABOUT = {"data": mapped(mapped(_COUNT)), "settings": record({})}
_MORE_ABOUT = {"notes": listed(text, 0, 1000), "text_fit": optional(_TEXT_FIT)}
_DTYPES = ("object", "bool", *(f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)))
_VERSION = {"jointune_version": text}
BUNDLE = record(
    {
        **_VERSION,
        **{
            side: record(
                _ENCODER | {"config": record({"model_type": text})},
                {"dim": whole(1, 100_000), "depths": listed(whole(0, 1000), 0, 1000), "pooling": text},
            )
            for side in ("text_encoder", "image_encoder")
        },
        "fusion": text,
        "text_preprocessing": TEXT_PREPROCESSING,
        **_ABOUT,
    },
    _MORE_ABOUT | {"label_dtype": optional(one_of(*_DTYPES))},
)
EXPORT = record(
    {
        **_VERSION,
        "export": record({"precision": one_of("fp32", "int8"), "checked_on": text}),
        "text_preprocessing": TEXT_PREPROCESSING,
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
    }
)
"""Of ``config.json`` in a bundle, and of ``export.json``; what later versions add is passed over."""
