"""A predictor from a bundle or from an exported model."""

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from jointune.data.read import Columns
from jointune.errors import BundleError, SettingsError, setting
from jointune.evaluation.calibration import check_wanted, least_confidence
from jointune.inference.onnx_backend import ENGINES
from jointune.inference.predictor import Predictor
from jointune.modalities.image.ocr import check_ocr
from jointune.modalities.modality import with_further_columns
from jointune.targets.choice import chosen_target
from jointune.utils.files import EXPORT_MARK, check_bundle, read_json
from jointune.utils.hub import is_hub_id, local_folder

_DEVICE = re.compile(r"(cpu|cuda|mps|xpu|hpu|npu|mtia)(:\d+)?")
"""What torch may call a device that can run a model."""


def check_options(
    path: str | Path, device: str | None = None, abstain: float | None = None, engine: str | None = None
) -> None:
    """See that there is something to load and that the options are possible, as far as that is told without torch.

    Args:
        path: its folder, or a bundle's hub id.
        device: see ``load_predictor``.
        abstain: see ``load_predictor``.
        engine: see ``load_predictor``.

    Raises:
        BundleError: there is no such folder, or it is neither a bundle nor an exported model.
        MissingExtraError: it reads the text in pictures, and what does that is not installed.
        SettingsError: an option is none.
    """
    if device is not None and not _DEVICE.fullmatch(device):
        raise SettingsError(
            f"{setting('device', device)}: no device is called so",
            "give cpu, cuda or cuda:1, mps, xpu",
            setting="device",
        )
    if abstain is not None:
        check_wanted(abstain)
    if engine not in (None, *ENGINES):
        raise SettingsError(f"{setting('engine', engine)}: choose one of {', '.join(ENGINES)}", setting="engine")
    folder = Path(path).expanduser()
    if not folder.exists() and isinstance(path, str) and is_hub_id(path):
        return  # told when it is downloaded
    exported = (folder / EXPORT_MARK).is_file()
    if not exported:
        check_bundle(folder)
    with suppress(*_DAMAGED):
        described = _description(folder)
        if (described if exported else described["settings"]).get("read_image_text") is True:
            check_ocr()


def load_predictor(
    path: str | Path, device: str | None = None, abstain: float | None = None, engine: str | None = None
) -> Predictor:
    """Read a bundle, which torch runs, or an exported model, which needs no torch.

    Args:
        path: its folder, or a bundle's hub id such as ``name/model``.
        device: such as ``cpu`` or ``cuda:1``; an exported model knows no other than ``cpu``.
        abstain: the accuracy wanted of its answers: with less confidence than that took on the validation posts, it is
            unsure.
        engine: what runs an exported model; ``onnxruntime`` by default.

    Raises:
        BundleError: it is incomplete, altered, or written by a newer jointune.
        MissingExtraError: what runs it is not installed.
        SettingsError: an exported model is to run elsewhere than on the CPU, a bundle by an engine, or no confidence
            reaches that accuracy.
    """
    check_options(path, device, abstain, engine)
    predictor = _load(path, device, engine)
    if abstain is None:
        return predictor
    predictor.target.abstention()
    least = least_confidence(predictor.about.get("calibration"), abstain, predictor.labels)
    return replace(predictor, least_confidence=least)


def _load(path: str | Path, device: str | None, engine: str | None) -> Predictor:
    folder = Path(path).expanduser()
    if (folder / EXPORT_MARK).is_file():
        from jointune.inference.onnx_backend import load_exported

        if device not in (None, "cpu"):
            raise SettingsError(
                f"{path} is an exported model, which runs on the CPU: leave out {setting('device', device)}"
            )
        return load_exported(folder, engine)
    if engine is not None:
        raise SettingsError(
            f"{setting('engine', engine)}: {path} is no exported model, and torch runs it",
            "see jointune export",
            setting="engine",
        )
    # By its public name, which says what to install where torch is missing.
    from jointune import JointClassifier

    return JointClassifier.load(path, device=device).predictor()


def columns_of(path: str | Path, use: Columns) -> Columns:
    """Return the columns to read for a bundle or an export, without loading it: ``use`` with what the model needs.

    A model of two texts reads the columns that it was trained with, unless ``use`` names other ones than the usual.

    Raises:
        BundleError: the bundle is one of the hub, and is not to be had.
        SettingsError: ``use`` names one column, and the model reads two texts.
    """
    folder = local_folder(path)
    pair: tuple[str, ...] = ()
    with suppress(*_DAMAGED):
        description = _description(folder)
        settings = (description.get("about") or description)["settings"]
        use = with_further_columns(replace(use, labelling=chosen_target(settings)), settings)
        pair = tuple(map(str, description["text_preprocessing"].get("pair", ())))
    if not use.text or "," in use.text or len(pair) != 2:
        return use
    if use.text != Columns().text:
        raise SettingsError(
            f"{setting('text_column', use.text)}: one column, and the model reads two texts",
            f"name both, such as {use.text},{pair[1]}",
            setting="text_column",
        )
    return replace(use, text=pair[0], second_text=pair[1])


def bundle_settings(path: str | Path) -> dict[str, Any]:
    """Return the settings that a bundle was trained with, without loading it.

    Raises:
        BundleError: it is an exported model, or the bundle is one of the hub, and is not to be had.
    """
    folder = local_folder(path)
    if (folder / EXPORT_MARK).is_file():
        raise BundleError(f"{path} is an exported model, which cannot be trained", "name the bundle it was made from")
    with suppress(*_DAMAGED):
        return dict(_description(folder)["settings"])
    return {}


_DAMAGED = (BundleError, SettingsError, AttributeError, KeyError, TypeError)
"""What reading values of a damaged description may raise; loading says what is wrong with it."""


def _description(folder: Path) -> Any:
    """Read the JSON file that describes an export or a bundle, unchecked."""
    return read_json(folder / (EXPORT_MARK if (folder / EXPORT_MARK).is_file() else "config.json"))
