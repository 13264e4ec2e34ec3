"""Refuse configurations of checkpoints that would run code or load files from elsewhere."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

_BUILT_IN = ("eager", "sdpa", "grouped_mm", "batched_mm")
"""Implementations that torch has; transformers downloads others and runs them."""

_COUNTS = re.compile(r"layers|blocks|depths?$|stages|groups$|experts$|heads$")
_LABELS = ("id2label", "label2id")


def is_inside(name: Any) -> bool:
    """Return whether a path is relative and stays inside the folder that it is relative to."""
    if not isinstance(name, str) or "\0" in name:
        return False
    path = PurePosixPath(name.replace("\\", "/"))
    return not path.is_absolute() and ".." not in path.parts and ":" not in name


def forbidden(values: Any) -> str | None:
    """Return the entry, and why, by which a configuration would run code or load from elsewhere; None if none does.

    Args:
        values: the JSON values of a model, a tokenizer or a processor; searched to any depth.
    """
    nodes = [("", values)]
    while nodes:
        path, node = nodes.pop()
        if isinstance(node, list):
            nodes += [(path, entry) for entry in node]
        elif isinstance(node, dict):
            for key, value in node.items():
                for name, allowed, why in _RULES:
                    if name.fullmatch(key) and not allowed(value, node):
                        return f"{path}{key} {why}"
            nodes += [(f"{path}{key}.", value) for key, value in node.items() if key not in _LABELS]
    return None


def too_many(values: Any, most: int) -> str | None:
    """Return the name of a number of layers, blocks or the like that is above ``most``; None if none is."""
    nodes = [("", values)]
    while nodes:
        path, node = nodes.pop()
        for key, value in node.items():
            if isinstance(value, dict):
                nodes.append((f"{path}{key}.", value))
            counts = value if isinstance(value, list) else [value]
            if _COUNTS.search(key) and any(isinstance(count, int) and count > most for count in counts):
                return f"{path}{key}"
    return None


def _is_empty(value: Any, _: dict[str, Any]) -> bool:
    return not value


def _is_built_in(value: Any, node: dict[str, Any]) -> bool:
    if isinstance(value, dict):  # by part of the model
        return all(_is_built_in(entry, node) for entry in value.values())
    return value is None or isinstance(value, bool) or value in _BUILT_IN


def _is_architecture(value: Any, _: dict[str, Any]) -> bool:
    return value is None or (isinstance(value, str) and not set("/\\:") & set(value))


def _is_backbone(value: Any, node: dict[str, Any]) -> bool:
    return value is None or (node.get("model_type") == "timm_backbone" and _is_architecture(value, node))


def _is_file_inside(value: Any, _: dict[str, Any]) -> bool:
    return value is None or all(map(is_inside, value if isinstance(value, list) else [value]))


_CODE = "names code of its own, which jointune does not run"
_FETCHED = "names what would be downloaded and run"
_ELSEWHERE = "names weights or settings outside its folder"

_RULES: tuple[tuple[re.Pattern[str], Callable[[Any, dict[str, Any]], bool], str], ...] = tuple(
    (re.compile(name), allowed, why)
    for name, allowed, why in (
        ("auto_map|custom_pipelines", _is_empty, _CODE),
        (r"\w*(attn|attention|experts)_implementation\w*", _is_built_in, _FETCHED),
        ("use_kernels|kernel_config", _is_empty, _FETCHED),
        ("quantization_config", _is_empty, "says that it is quantized, which cannot be trained"),
        ("architecture", _is_architecture, _ELSEWHERE),
        ("backbone", _is_backbone, _ELSEWHERE + "; save the model again with save_pretrained"),
        ("checkpoint_path|pretrained|pretrained_cfg_overlay", _is_empty, _ELSEWHERE),
        ("configuration_files", _is_empty, _ELSEWHERE),
        ("transformers_weights|fast_tokenizer_files", _is_file_inside, _ELSEWHERE),
    )
)
