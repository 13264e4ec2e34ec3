"""The folder that training writes: everything that scoring needs, nothing executable, verified when it is read."""

import errno
import json
import math
import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, load_model, save_model

from jointune import __version__
from jointune.data.fingerprints import LEARNED, LearnedPosts, read_learned
from jointune.encoders.foreign_config import forbidden, too_many
from jointune.encoders.weights import build_tower
from jointune.errors import BundleError, first_line
from jointune.evaluation.conformal import Conformity, read_conformity
from jointune.evaluation.unlike import UNLIKE, TrainingVectors, read_training_vectors
from jointune.fusion.registry import FusionFactory
from jointune.modalities.batch import Preprocessors
from jointune.modalities.modality import MODALITIES, modality
from jointune.modalities.text.text_fit import TextFit
from jointune.model import JointModel, make_model, to_inputs
from jointune.persistence.manifest import (
    BUNDLE,
    CALIBRATION,
    LABELS,
    METRICS,
    check_trial,
    read_preprocessors,
    read_target,
    trial_batch,
    write_preprocessors,
    write_uncertainty,
)
from jointune.persistence.model_card import model_card
from jointune.targets.target import Target
from jointune.utils.extras import require
from jointune.utils.files import (
    BUNDLE_MARK,
    atomic_folder,
    check_bundle,
    check_format,
    check_manifest,
    clear_read_errors,
    member,
    read_json,
    read_text,
    write_json,
    write_manifest,
)
from jointune.utils.json_rules import Rule, check, clear_build_errors, listed, number, record, whole
from jointune.utils.run_folder import RunFolder, locking

FORMAT = 3
"""Raised when an older jointune could no longer read the bundle."""

_VERIFIED = ("config.json", "labels.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json")


@dataclass
class Bundle:
    """The content of a bundle, in memory.

    Attributes:
        model: the trained model.
        preprocessors: by modality.
        target: what is asked of a post, with its labels.
        encoders: by modality, the description that builds the encoder again.
        fusion: the fusion's name, or the class name of one's own.
        settings: the classifier's arguments.
        data: counts of training and validation posts by label.
        metrics: scores by part, such as ``validation``.
        log: the training log.
        calibration: what ``Calibration.to_dict`` gave.
        notes: what to know before the model is trusted, one sentence each.
        label_dtype: the NumPy type that the labels had in Python; see ``Posts``.
        learned: by what the training and validation posts are known again; None where that was not kept.
        text_fit: how the training texts fit the text encoder, as ``TextFit.to_dict`` gave it.
        conformity: the scores by which prediction sets are made; None where these were not kept.
        training_vectors: of training posts, to compare other posts with; None where these were not kept.
    """

    model: JointModel
    preprocessors: dict[str, Any]
    target: Target
    encoders: dict[str, dict[str, Any]]
    fusion: str
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, dict[str, int]] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    calibration: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    label_dtype: str | None = None
    learned: LearnedPosts | None = None
    text_fit: dict[str, Any] | None = None
    conformity: Conformity | None = None
    training_vectors: TrainingVectors | None = None

    def about(self) -> dict[str, Any]:
        """Return the facts about the model, without what is needed to build it again."""
        return {
            "jointune_version": __version__,
            "labels": self.target.labels,
            **{
                f"{modality}_encoder": {name: encoder[name] for name in ("name", "licence")}
                for modality, encoder in self.encoders.items()
            },
            "fusion": self.fusion,
            "settings": self.settings,
            "data": self.data,
            "metrics": self.metrics,
            "calibration": self.calibration,
            "notes": self.notes,
            "text_fit": self.text_fit,
        }

    def card(self, name: str = "model") -> str:
        """Return the model card, Markdown."""
        preprocessing = " ".join(one.summary() for one in self.preprocessors.values())
        if self.text_fit and self.text_fit["texts"]:
            preprocessing += f" In training: {TextFit(**self.text_fit).summary()}"
        return model_card(
            name,
            self.target,
            self.encoders,
            preprocessing,
            self.fusion,
            self.data,
            self.metrics,
            self.calibration,
            self.notes,
            self.log,
            self.conformity,
        )


@locking("path", training=True)
def save_bundle(bundle: Bundle, path: Path, force: bool = False) -> None:
    """Write a bundle, whole or not at all.

    Raises:
        OutputError: ``path`` exists and ``force`` is off, or it cannot be written.
    """
    RunFolder(path, BUNDLE_MARK, force=force).refuse()
    with atomic_folder(path) as folder:
        config = {
            "format": FORMAT,
            "jointune_version": __version__,
            "modalities": list(bundle.preprocessors),
            **{f"{name}_encoder": description for name, description in bundle.encoders.items()},
            "fusion": bundle.fusion,
            **write_preprocessors(folder, bundle.preprocessors),
            "settings": bundle.settings,
            "data": bundle.data,
            "notes": bundle.notes,
            "label_dtype": bundle.label_dtype,
            "text_fit": bundle.text_fit,
            "target": bundle.target.description(),
        }
        write_json(folder / "config.json", config)
        write_json(folder / "labels.json", bundle.target.labels)
        try:
            save_model(bundle.model, str(folder / "model.safetensors"))
        except SafetensorError as reason:  # a full disk, most of all; its number is only in the text
            code = re.search(r"os error (\d+)", str(reason))
            raise OSError(int(code[1]) if code else errno.EIO, str(reason)) from reason
        write_json(folder / "metrics.json", bundle.metrics)
        write_json(folder / "calibration.json", bundle.calibration)
        if bundle.learned is not None:
            write_json(folder / LEARNED, bundle.learned.to_dict())
        further = write_uncertainty(folder, bundle.conformity, bundle.training_vectors)
        write_json(folder / "versions.json", versions())
        (folder / BUNDLE_MARK).write_text("".join(json.dumps(entry) + "\n" for entry in bundle.log), encoding="utf-8")
        (folder / "README.md").write_text(bundle.card(path.name), encoding="utf-8")
        write_manifest(folder, [*_VERIFIED, "calibration.json", *further])


def load_bundle(path: Path, fusion: FusionFactory | None = None) -> Bundle:
    """Read a bundle. Needs no network and no encoder package, and leaves the global random state alone.

    Args:
        path: the bundle's folder.
        fusion: one's own fusion, where the bundle was trained with one.

    Raises:
        BundleError: a file is missing or altered, says what no bundle does, or was written by a newer jointune.
        MissingExtraError: an encoder is one of timm's, and timm is not installed.
    """
    config = _verified_config(path)
    labels = _checked(path, "labels.json", LABELS)
    preprocessors = read_preprocessors(path, config, "bundle")
    metrics = _checked(path, "metrics.json", METRICS, {})
    calibration = _checked(path, "calibration.json", CALIBRATION, None)
    log = _read_log(path / BUNDLE_MARK) if os.path.lexists(path / BUNDLE_MARK) else []
    weights = member(path, "model.safetensors", "bundle")
    if fusion is None and config["fusion"].startswith("custom:"):
        name = config["fusion"].removeprefix("custom:")
        raise BundleError(f"{path} was trained with the fusion {name}: give it, as load(path, fusion={name})")
    with clear_build_errors(path, "bundle"):
        target = read_target(config["settings"], labels, config.get("target"))
        _check_sizes(weights, config, target)
        with torch.random.fork_rng(devices=[]):
            encoders = {
                name: modality(name).build(config[f"{name}_encoder"], preprocessor)
                for name, preprocessor in preprocessors.items()
            }
            probe = config["settings"].get("probe", False)
            model = make_model(encoders, fusion or config["fusion"], target.outputs, probe)
    try:
        _load_weights(model, weights, config)
    except (RuntimeError, SafetensorError) as reason:
        raise BundleError(
            f"{path}: the weights do not fit the model that this jointune {__version__} builds",
            f"it was written by {config['jointune_version']} ({first_line(reason)})",
        ) from reason
    model.eval()
    with clear_build_errors(path, "bundle"):
        _try(model, preprocessors, target, calibration)
    return Bundle(
        model,
        preprocessors,
        target,
        {name: config[f"{name}_encoder"] for name in preprocessors},
        config["fusion"],
        config["settings"],
        config["data"],
        metrics,
        log,
        calibration,
        config.get("notes", []),
        config.get("label_dtype"),
        read_learned(path, "bundle"),
        config.get("text_fit"),
        read_conformity(path, "bundle"),
        read_training_vectors(path, "bundle"),
    )


def versions() -> dict[str, str]:
    """Return the versions that numbers depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "jointune": __version__}
    for package in ("torch", "transformers", "tokenizers", "accelerate", "numpy", "pillow", "rapidocr-onnxruntime"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _verified_config(path: Path) -> dict[str, Any]:
    check_bundle(path)
    config = read_json(path / "config.json", "bundle")
    if not isinstance(config, dict) or whole(0, 10**9)(config.get("format")):
        raise BundleError(f"{path} is not a jointune bundle: its config.json names no format")
    check_format(path, config, FORMAT)
    check_manifest(path, _VERIFIED, "bundle", "training", UNLIKE)
    check(config, BUNDLE, path / "config.json", "bundle")
    if isinstance(config.get("text_preprocessing"), dict):  # before format 3, only the settings said it
        config["text_preprocessing"].setdefault("with_image_text", config["settings"].get("read_image_text", False))
    for side in _pretrained(config):
        values = config[side]["config"]
        reason = forbidden(values) or ("_name_or_path names another model" if values.get("_name_or_path") else None)
        if reason:
            raise BundleError(f"{path}: in config.json, {side}.config.{reason}: do not use this bundle")
        if values["model_type"].startswith("timm_"):
            require("timm", "timm", f"the encoder {config[side]['name']}")
    return config


def _pretrained(config: Mapping[str, Any]) -> list[str]:
    """Return the keys of the encoders that transformers or timm builds."""
    return [key for key in map("{}_encoder".format, MODALITIES) if "config" in config.get(key, {})]


def _checked(path: Path, name: str, rule: Rule, *default: Any) -> Any:
    """Return the value of a file of the bundle, or the default where there is one and no file."""
    if default and not os.path.lexists(path / name):
        return default[0]
    return check(read_json(path / name, "bundle"), rule, path / name, "bundle")


def _check_sizes(weights: Path, config: dict[str, Any], target: Target) -> None:
    """See that what ``config.json`` describes is no larger than the weights, before memory is taken for it.

    Raises:
        ValueError: it is.
    """
    with safe_open(str(weights), framework="pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - it is no mapping
    if (rows := shapes.get("head.weight", [0])[0]) != target.outputs:
        raise ValueError(f"there are {len(target.labels):,} labels, and weights for {rows:,}")
    most = max(256, len(shapes))
    for side in _pretrained(config):
        described = config[side]["config"]
        if counted := too_many(described, most):
            raise ValueError(f"{side}.config.{counted} is more than the weights have")
        if described["model_type"].startswith("timm_"):  # timm sizes its models by their names
            continue
        with torch.device("meta"):
            tower = build_tower(described, "vision" if side == "image_encoder" else side.removesuffix("_encoder"))
        wanted = sum(parameter.numel() for parameter in tower.parameters())
        held = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith(_homes(side)))
        if wanted > held:
            raise ValueError(f"{side}.config describes {wanted:,} weights, and there are {held:,}")


def _try(model: JointModel, preprocessors: Preprocessors, target: Target, calibration: Any) -> None:
    """Run the model once, and see that all it consists of are numbers.

    Raises:
        ValueError: it gives none, or other ones than its calibration is of.
    """
    temperature = float(model.temperature)
    if not 0 < temperature < math.inf:
        raise ValueError(f"its temperature is {temperature:g}")
    if calibration and not math.isclose(calibration["temperature"], temperature, rel_tol=1e-5):
        raise ValueError(f"calibration.json is of another temperature ({calibration['temperature']:g}) than the model")
    for name, weight in model.named_parameters():
        if not weight.detach().sum().isfinite():  # much faster than to look at each
            raise ValueError(f"the weights {name} are not finite (nan or inf)")
    with torch.inference_mode():
        logits = model(to_inputs(trial_batch(preprocessors), torch.device("cpu"))).logits.numpy()
    check_trial(logits, target)


_ADDED = "attention."
"""The beginning of weights that bundles of posts with one image each lack; without them all images count alike."""

_BEFORE_3 = [(r"(text|image)_encoder\.", r"encoders.\1."), (r"missing_(text|image)$", r"missing.\1")]
"""Names of weights in bundles of format 1 and 2, and the present ones."""

_FUSIONS_BEFORE_3 = {
    "gated": [(r"(text|image)_norm\.", r"norms.\1."), (r"(text|image)\.", r"projections.\1.")],
    "concat": [(r"(text|image)\.", r"projections.\1.")],
    "paper": [(r"(text|image)\.", r"projections.\1.")],
    "splitting": [(r"private_(text|image)\.", r"private.\1."), (r"(text|image)\.", r"projections.\1.")],
    "cross-attention": [
        (r"text_to_image\.", "attention.text."),
        (r"image_to_text\.", "attention.image."),
        (r"(text|image)_norm\.", r"norms.\1."),
        (r"(text|image)\.", r"projections.\1."),
    ],
}
_FUSIONS_BEFORE_3["mual"] = [
    (rf"attention\.{old}", f"attention.{new}") for old, new in _FUSIONS_BEFORE_3["cross-attention"]
]


def _load_weights(model: JointModel, path: Path, config: Mapping[str, Any]) -> None:
    """Load weights, under their present names where an older version wrote them."""
    if config["format"] >= 3:
        absent, unknown = load_model(model, str(path), strict=False)
        _refuse_others([name for name in absent if not name.startswith(_ADDED)], unknown)
        return
    renamed = _BEFORE_3 + [
        (rf"fusion\.{old}", f"fusion.{new}") for old, new in _FUSIONS_BEFORE_3.get(config["fusion"].split(":")[0], [])
    ]

    def present_name(name: str) -> str:
        return next((re.sub(f"^{old}", new, name) for old, new in renamed if re.match(old, name)), name)

    loaded = {present_name(name): tensor for name, tensor in load_file(path).items()}
    missing, unexpected = model.load_state_dict(loaded, strict=False)
    # Of weights that several modules share, a file holds one.
    own = model.state_dict()
    shared = {own[name].data_ptr() for name in loaded if name in own}
    absent = [name for name in missing if own[name].data_ptr() not in shared and not name.startswith(_ADDED)]
    _refuse_others(absent, unexpected)


def _refuse_others(missing: Iterable[str], unknown: Iterable[str]) -> None:
    """Raise a ``RuntimeError`` where a file lacks weights, or has others."""
    if names := [*missing, *unknown]:
        raise RuntimeError(f"weights are missing or unknown: {', '.join(names[:5])}")


def _homes(side: str) -> tuple[str, str]:
    """Return the beginnings of the names of an encoder's weights, before format 3 and since."""
    return f"{side}.", f"encoders.{side.removesuffix('_encoder')}."


_LOG_ENTRY = record({}, {"epoch": number(), "probe_strength": number()})
"""The values that the model card reads from the log; others are for people."""


def _read_log(path: Path) -> list[dict[str, Any]]:
    with clear_read_errors(path, "bundle"):
        return check(
            [json.loads(line) for line in read_text(path, "bundle").splitlines()], listed(_LOG_ENTRY), path, "bundle"
        )
