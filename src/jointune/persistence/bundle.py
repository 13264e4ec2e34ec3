"""The folder that training writes: everything that scoring needs, nothing executable, verified when it is read."""

import errno
import json
import math
import os
import platform
import re
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_model

from jointune import __version__
from jointune.data.fingerprints import LEARNED, LearnedPosts, read_learned
from jointune.encoders.foreign_config import forbidden, too_many
from jointune.encoders.loading import build_image_encoder, build_text_encoder
from jointune.encoders.weights import build_tower
from jointune.errors import BundleError, first_line
from jointune.fusion.registry import FusionFactory
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.text.text_fit import TextFit
from jointune.modalities.text.tokens import TextPreprocessor
from jointune.model import JointModel, make_model
from jointune.persistence.manifest import (
    BUNDLE,
    CALIBRATION,
    LABELS,
    METRICS,
    Rule,
    check,
    check_trial,
    clear_build_errors,
    listed,
    read_preprocessing,
    record,
    trial_batch,
    whole,
)
from jointune.persistence.model_card import model_card
from jointune.training.forward import to_inputs
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
from jointune.utils.run_folder import RunFolder, locking

FORMAT = 2
"""Raised when an older jointune could no longer read the bundle."""

_VERIFIED = ("config.json", "labels.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json")


@dataclass
class Bundle:
    """What a bundle holds, in memory.

    Attributes:
        model: the trained model.
        text: its text preprocessing.
        image: its image preprocessing.
        labels: label names, in the order of the logits.
        encoders: ``text`` and ``image`` to the description that builds the encoder again.
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
    """

    model: JointModel
    text: TextPreprocessor
    image: ImagePreprocessor
    labels: list[str]
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

    def about(self) -> dict[str, Any]:
        """What ``config.json`` says, apart from how to build the model again."""
        return {
            "jointune_version": __version__,
            "labels": self.labels,
            "text_encoder": {name: self.encoders["text"][name] for name in ("name", "licence")},
            "image_encoder": {name: self.encoders["image"][name] for name in ("name", "licence")},
            "fusion": self.fusion,
            "settings": self.settings,
            "data": self.data,
            "metrics": self.metrics,
            "calibration": self.calibration,
            "notes": self.notes,
            "text_fit": self.text_fit,
        }

    def card(self, name: str = "model") -> str:
        """The model card, Markdown."""
        height, width = self.image.size
        preprocessing = (
            f"Texts are cut to {self.text.max_tokens} tokens, pictures brought to {width} x {height} pixels."
        )
        if self.text_fit and self.text_fit["texts"]:
            preprocessing += f" In training: {TextFit(**self.text_fit).summary()}"
        if self.settings.get("read_image_text"):
            preprocessing += " The text in pictures is read too, by RapidOCR."
        return model_card(
            name,
            self.labels,
            self.encoders,
            preprocessing,
            self.fusion,
            self.data,
            self.metrics,
            self.calibration,
            self.notes,
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
            "text_encoder": bundle.encoders["text"],
            "image_encoder": bundle.encoders["image"],
            "fusion": bundle.fusion,
            "text_preprocessing": bundle.text.config(),
            "settings": bundle.settings,
            "data": bundle.data,
            "notes": bundle.notes,
            "label_dtype": bundle.label_dtype,
            "text_fit": bundle.text_fit,
        }
        write_json(folder / "config.json", config)
        write_json(folder / "labels.json", bundle.labels)
        write_json(folder / "preprocessor_config.json", bundle.image.config())
        (folder / "tokenizer.json").write_text(bundle.text.tokenizer.to_str(pretty=True), encoding="utf-8")
        try:
            save_model(bundle.model, str(folder / "model.safetensors"))
        except SafetensorError as reason:  # a full disk, most of all; its number is only in the text
            number = re.search(r"os error (\d+)", str(reason))
            raise OSError(int(number[1]) if number else errno.EIO, str(reason)) from reason
        write_json(folder / "metrics.json", bundle.metrics)
        write_json(folder / "calibration.json", bundle.calibration)
        if bundle.learned is not None:
            write_json(folder / LEARNED, bundle.learned.to_dict())
        write_json(folder / "versions.json", versions())
        lines = [json.dumps(entry) + "\n" for entry in bundle.log]
        (folder / BUNDLE_MARK).write_text("".join(lines), encoding="utf-8")
        (folder / "README.md").write_text(bundle.card(path.name), encoding="utf-8")
        write_manifest(folder, [*_VERIFIED, "calibration.json"])


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
    text, image = read_preprocessing(path, config["text_preprocessing"], "bundle")
    metrics = _checked(path, "metrics.json", METRICS, {})
    calibration = _checked(path, "calibration.json", CALIBRATION, None)
    log = _read_log(path / BUNDLE_MARK) if os.path.lexists(path / BUNDLE_MARK) else []
    weights = member(path, "model.safetensors", "bundle")
    if fusion is None and config["fusion"].startswith("custom:"):
        name = config["fusion"].removeprefix("custom:")
        raise BundleError(f"{path} was trained with the fusion {name}: give it, as load(path, fusion={name})")
    with clear_build_errors(path, "bundle"):
        _check_sizes(weights, config, labels)
        with torch.random.fork_rng(devices=[]):
            text_encoder = build_text_encoder(config["text_encoder"], text)
            image_encoder = build_image_encoder(config["image_encoder"], image)
            text_encoder.look_below(config["text_encoder"].get("depths", []))
            image_encoder.look_below(config["image_encoder"].get("depths", []))
            probe = config["settings"].get("probe", False)
            model = make_model(text_encoder, image_encoder, fusion or config["fusion"], len(labels), probe)
    try:
        load_model(model, str(weights))
    except (RuntimeError, SafetensorError) as reason:
        raise BundleError(
            f"{path}: the weights do not fit the model that this jointune {__version__} builds",
            f"it was written by {config['jointune_version']} ({first_line(reason)})",
        ) from reason
    model.eval()
    with clear_build_errors(path, "bundle"):
        _try(model, text, image, labels, calibration)
    encoders = {"text": config["text_encoder"], "image": config["image_encoder"]}
    return Bundle(
        model,
        text,
        image,
        labels,
        encoders,
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
    )


def versions() -> dict[str, str]:
    """The versions that numbers depend on."""
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
    check_manifest(path, _VERIFIED, "bundle", "training")
    check(config, BUNDLE, path / "config.json", "bundle")
    for side in ("text_encoder", "image_encoder"):
        values = config[side]["config"]
        reason = forbidden(values) or ("_name_or_path names another model" if values.get("_name_or_path") else None)
        if reason:
            raise BundleError(f"{path}: in config.json, {side}.config.{reason}: do not use this bundle")
        if values["model_type"].startswith("timm_"):
            require("timm", "timm", f"the encoder {config[side]['name']}")
    return config


def _checked(path: Path, name: str, rule: Rule, *default: Any) -> Any:
    """The value of a file of the bundle, or the default where there is one and no file."""
    if default and not os.path.lexists(path / name):
        return default[0]
    return check(read_json(path / name, "bundle"), rule, path / name, "bundle")


def _check_sizes(weights: Path, config: dict[str, Any], labels: list[str]) -> None:
    """See that what ``config.json`` describes is no larger than the weights, before memory is taken for it.

    Raises:
        ValueError: it is.
    """
    with safe_open(str(weights), framework="pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - it is no mapping
    if shapes.get("head.weight", [None])[0] != len(labels):
        raise ValueError(f"there are {len(labels):,} labels, and weights for {shapes.get('head.weight', [0])[0]:,}")
    most = max(256, len(shapes))
    for side in ("text_encoder", "image_encoder"):
        described = config[side]["config"]
        if counted := too_many(described, most):
            raise ValueError(f"{side}.config.{counted} is more than the weights have")
        if described["model_type"].startswith("timm_"):  # timm sizes its models by their names
            continue
        with torch.device("meta"):
            tower = build_tower(described, "text" if side == "text_encoder" else "vision")
        wanted = sum(parameter.numel() for parameter in tower.parameters())
        held = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith(f"{side}."))
        if wanted > held:
            raise ValueError(f"{side}.config describes {wanted:,} weights, and there are {held:,}")


def _try(
    model: JointModel, text: TextPreprocessor, image: ImagePreprocessor, labels: list[str], calibration: Any
) -> None:
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
        logits = model(to_inputs(trial_batch(text, image), torch.device("cpu"))).logits.numpy()
    check_trial(logits, labels)


def _read_log(path: Path) -> list[dict[str, Any]]:
    with clear_read_errors(path, "bundle"):
        return check(
            [json.loads(line) for line in read_text(path, "bundle").splitlines()], listed(record({})), path, "bundle"
        )
