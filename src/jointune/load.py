"""A scorer from a bundle or from an exported model."""

from dataclasses import replace
from pathlib import Path

from jointune.errors import SettingsError
from jointune.evaluation.calibration import least_confidence
from jointune.files import EXPORT_MARK
from jointune.scorer import Scorer


def load_scorer(
    path: str | Path, device: str | None = None, abstain: float | None = None, engine: str | None = None
) -> Scorer:
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
    scorer = _load(path, device, engine)
    if abstain is None:
        return scorer
    least = least_confidence(scorer.about.get("calibration"), abstain, scorer.labels)
    return replace(scorer, least_confidence=least)


def _load(path: str | Path, device: str | None, engine: str | None) -> Scorer:
    folder = Path(path).expanduser()
    if (folder / EXPORT_MARK).is_file():
        from jointune.runtime.exported import load_exported

        if device not in (None, "cpu"):
            raise SettingsError(f"{path} is an exported model, which runs on the CPU: leave out device={device!r}")
        return load_exported(folder, engine)
    if engine is not None:
        raise SettingsError(f"engine={engine!r}: {path} is no exported model, and torch runs it; see jointune export")
    # By its public name, which says what to install where torch is missing.
    from jointune import JointClassifier

    return JointClassifier.load(path, device=device).scorer()
