"""The folder that export writes: its files, and reading them only as they were written."""

from pathlib import Path
from typing import Any

from jointune.bundle_schema import EXPORT, check, record, whole
from jointune.files import EXPORT_MARK, check_format, check_manifest, read_json

FORMAT = 2
"""Raised when an older jointune could no longer read the folder."""

GRAPH, WEIGHTS = "model.onnx", "model.onnx.data"
CARD = "README.md"
LABELS, TOKENIZER, PREPROCESSOR = "labels.json", "tokenizer.json", "preprocessor_config.json"

VERIFIED = (EXPORT_MARK, GRAPH, WEIGHTS, LABELS, TOKENIZER, PREPROCESSOR)
"""The files that decide probabilities; the manifest has the SHA-256 of each."""


def read_description(folder: Path) -> dict[str, Any]:
    """What ``export.json`` says, once every file of the folder is what it was.

    Raises:
        BundleError: a file is missing or altered, or was written by a newer jointune.
    """
    check_manifest(folder, VERIFIED, "folder", "the export")
    description: dict[str, Any] = read_json(folder / EXPORT_MARK)
    check(description, record({"format": whole(0, 10**9)}), folder / EXPORT_MARK, "folder")
    check_format(folder, description, FORMAT)
    return check(description, EXPORT, folder / EXPORT_MARK, "folder")
