"""Load a checkpoint's weights with transformers, and refuse one that leaves a part of the encoder random."""

import contextlib
import inspect
import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.utils import cached_file

from jointune.encoders.efficientnet_lite import EfficientNetLiteConfig, EfficientNetLiteModel
from jointune.encoders.foreign_config import forbidden, is_inside
from jointune.errors import EncoderError

AutoConfig.register("efficientnet_lite", EfficientNetLiteConfig, exist_ok=True)
AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteModel, exist_ok=True)

_WRAPPERS = ("module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Parts of the names of weights that DataParallel, torch.compile, DeepSpeed and FSDP add."""

_CONFIGS = ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json")
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_MACHINE = ("transformers_version", "dtype", "torch_dtype")
_ORIGINS = ("_name_or_path", "name_or_path", "_commit_hash")

_WRAPPED = re.compile(rf"(?:(?<=^)|(?<=\.))(?:(?:{'|'.join(_WRAPPERS)})\.)+")


@dataclass(frozen=True)
class Source:
    """The origin of an encoder.

    Attributes:
        name: what the user called it.
        path: a folder or a Hugging Face id, for transformers.
        licence: the licence of the weights.
        options: arguments for every ``from_pretrained``.
    """

    name: str
    path: str
    licence: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers, and draw from a seed of our own.

    The log levels and progress bars of transformers and huggingface_hub, and torch's random state on the CPU, change
    while the block runs and are restored after it.
    """
    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    levels, bars = [logger.level for logger in loggers], transformers.utils.logging.is_progress_bar_enabled()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            transformers.utils.logging.enable_progress_bar()


def find_file(source: Source, name: str, folder: str = "") -> str | None:
    """Return the path of a file of the checkpoint, downloaded if need be; None if there is none."""
    options = source.options | ({"subfolder": folder} if folder else {})
    path: str | None = cached_file(
        source.path,
        name,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        **options,
    )
    return path


def read_json(source: Source, name: str, folder: str = "") -> Any:
    """Return the content of a file of the checkpoint; an empty mapping if there is none."""
    path = find_file(source, name, folder)
    if path is None:
        return {}
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as reason:
        raise EncoderError(f"{path} is not JSON: {reason}") from reason


def refuse_foreign_code(source: Source) -> None:
    """Refuse a checkpoint that needs code of its own, or files from elsewhere, before transformers reads it.

    Raises:
        EncoderError: it needs them, or is an adapter without its weights.
    """
    for name in _CONFIGS:
        if reason := forbidden(read_json(source, name)):
            raise EncoderError(
                f"{source.name!r}: in {name}, {reason}",
                "choose an encoder that transformers has by itself, or take the entry out if the encoder does without",
            )
    for name in _INDEXES:
        index = read_json(source, name)
        files = index.get("weight_map", {}) if isinstance(index, dict) else None
        if not isinstance(files, dict) or not all(map(is_inside, files.values())):
            raise EncoderError(f"{source.name!r}: {name} names no weights, or some outside its folder", "save it again")
    if find_file(source, "adapter_config.json"):
        raise EncoderError(
            f"{source.name!r} is an adapter beside the weights of another checkpoint",
            "merge both (PeftModel.merge_and_unload), save the result, and give that folder",
        )


def load_tower(source: Source, side: str, ignore: str = "") -> tuple[Any, list[str]]:
    """Load a checkpoint, and take the encoder of one modality from it.

    Args:
        source: its origin.
        side: ``text`` or ``vision``; ``whole`` for all of it.
        ignore: a prefix of the weights that are not used, so that the checkpoint may lack them.

    Returns:
        The encoder, and notes on its weights.

    Raises:
        EncoderError: a weight of the encoder is missing or has another shape, or ``refuse_foreign_code`` refuses it.
    """
    refuse_foreign_code(source)
    config = AutoConfig.from_pretrained(source.path, trust_remote_code=False, **source.options)
    model, report = _load(source, config)
    lacking = _lacking(model, side, report, ignore)
    if lacking and (renaming := _renaming(source, lacking, report["unexpected_keys"])):
        model, report = _load(source, config, renaming)
        lacking = _lacking(model, side, report, ignore)
    encoder = tower(model, side)
    own = _names(model, encoder)
    for name, held, wanted in sorted(report["mismatched_keys"]):
        if name in own:
            raise EncoderError(
                f"the weights of {source.name!r} do not fit its config.json: {name} is {_shape(held)} there, and "
                f"{_shape(wanted)} by the configuration"
            )
    if lacking:
        unused = sorted(report["unexpected_keys"])
        raise EncoderError(
            f"{source.name!r} lacks {len(lacking):,} of {len(own):,} weights of its {type(encoder).__name__}, which "
            f"would stay random: {_some(sorted(lacking))}"
            + (f"; its file holds others that fit nowhere: {_some(unused)}" if unused else ""),
            "save the model again with save_pretrained",
        )
    for weight in encoder.parameters():
        if weight.untyped_storage().nbytes() > weight.nbytes:
            # A view of a larger tensor of the file cannot be saved by itself.
            weight.data = weight.data.clone()
    return encoder, _unused(source, model, report["unexpected_keys"])


def tower(model: Any, side: str) -> Any:
    """Return the text or vision tower of a dual encoder, the encoder of an encoder-decoder, or the model itself."""
    _forget_cache(model)
    part = getattr(model, f"{side}_model", None)
    if isinstance(part, nn.Module) and hasattr(model.config, f"{side}_config"):
        part.whole_config = model.config
        return part
    # The configuration of a T5 encoder saved by itself no longer says that it is one half.
    is_half = hasattr(getattr(model, "encoder", None), "embed_tokens") and hasattr(model, "decoder")
    if is_half or getattr(model.config, "is_encoder_decoder", False):
        encoder = model.get_encoder()
        encoder.whole_config = model.config
        return encoder
    return model


def build_tower(config: dict[str, Any], side: str) -> Any:
    """Build the encoder that ``describe`` described, with random weights."""
    built = AutoConfig.for_model(**without_origin(config))
    with torch.random.fork_rng(devices=[]):
        return tower(AutoModel.from_config(built, trust_remote_code=False, **_without_pooler(built)), side)


def describe(model: Any, name: str) -> dict[str, Any]:
    """Return the configuration from which ``build_tower`` builds the encoder, as JSON values."""
    config = getattr(model, "whole_config", model.config)
    values: dict[str, Any] = without_origin(json.loads(config.to_json_string(use_diff=False)))
    for entry in _MACHINE:
        values.pop(entry, None)
    if reason := forbidden(values):
        raise EncoderError(f"{name!r}: its configuration {reason}")
    return values


def without_origin(values: Any) -> Any:
    """Remove the notes of transformers on where a configuration and its parts were loaded from."""
    if isinstance(values, list):
        return [without_origin(entry) for entry in values]
    if not isinstance(values, dict):
        return values
    return {name: without_origin(value) for name, value in values.items() if name not in _ORIGINS}


def _load(source: Source, config: Any, renaming: dict[str, str] | None = None) -> tuple[Any, dict[str, Any]]:
    model, report = AutoModel.from_pretrained(
        source.path,
        config=config,
        dtype=torch.float32,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,  # they are in the report
        output_loading_info=True,
        key_mapping=renaming,
        **_without_pooler(config),
        **source.options,
    )
    return model, report


def _without_pooler(config: Any) -> dict[str, bool]:
    """Leave out BERT's and ViT's pooler, a layer for another task that many checkpoints lack."""
    model_class = transformers.models.auto.modeling_auto.MODEL_MAPPING.get(type(config), None)
    if isinstance(model_class, tuple | list):
        model_class = model_class[0]
    takes = model_class is not None and "add_pooling_layer" in inspect.signature(model_class.__init__).parameters
    return {"add_pooling_layer": False} if takes else {}


def _forget_cache(model: nn.Module) -> None:
    """Switch the cache of keys and values off: nothing is generated, and recomputed layers would add theirs twice."""
    for module in model.modules():
        config: Any = getattr(module, "config", None)
        if getattr(config, "use_cache", False):
            config.use_cache = False


def _names(model: nn.Module, part: nn.Module) -> set[str]:
    """Return the names in ``model`` of the weights of ``part``."""
    own = {id(value) for value in (*part.parameters(), *part.buffers())}
    named = (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False))
    return {name for name, value in named if id(value) in own}


def _lacking(model: nn.Module, side: str, report: dict[str, Any], ignore: str) -> set[str]:
    """Return the names of the encoder's weights that are used and missing from the checkpoint."""
    own = _names(model, tower(model, side))
    return {name for name in report["missing_keys"] if name in own and not (ignore and name.startswith(ignore))}


def _renaming(source: Source, lacking: Iterable[str], held: Iterable[str]) -> dict[str, str]:
    """Return patterns to leave out of the checkpoint's names so that they fit the model; empty if there are none."""
    plain = {_WRAPPED.sub("", name): name for name in held}
    counts: Counter[str] = Counter()
    for wanted in lacking:
        counts.update({name.removesuffix(wanted) for name in plain if name == wanted or name.endswith("." + wanted)})
    if not counts:
        return {}
    (prefix, most), *others = counts.most_common()
    if rivals := [other for other, count in others if count == most]:
        raise EncoderError(
            f"{source.name!r} holds several encoders, named {_some(sorted([prefix, *rivals]))}",
            "save the one that is wanted by itself, with save_pretrained",
        )
    # transformers applies each pattern once to a name, which wrappers may change in several places.
    times = max(len(_WRAPPED.findall(name)) for name in held)
    renaming = {_WRAPPED.pattern + "(?:)" * number: "" for number in range(times)}
    return renaming | ({rf"^{re.escape(prefix)}": ""} if prefix else {})


def _unused(source: Source, model: nn.Module, unused: Iterable[str]) -> list[str]:
    """Return a note if the file has more layers than the model; heads of other tasks are only logged."""
    unused = sorted(unused)
    if not unused:
        return []
    logging.getLogger(__name__).info("%s: weights that are not used: %s", source.name, _some(unused))
    prefix = getattr(model, "base_model_prefix", "")
    kinds = {re.sub(r"\d+", "#", name) for name in model.state_dict()}
    layers = [name for name in unused if re.sub(r"\d+", "#", name.removeprefix(f"{prefix}.")) in kinds]
    if not layers:
        return []
    return [
        f"{source.name!r} holds more layers than its config.json says; {len(layers):,} weights are not used: "
        f"{_some(layers)}"
    ]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(name or "(no prefix)" for name in names[:3]) + more


def _shape(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape)) or "a number"
