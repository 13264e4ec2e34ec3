"""Load the tokenizer of a checkpoint, and the settings of a sentence-transformers folder."""

import inspect
from dataclasses import dataclass, field
from typing import Any

from transformers import AutoTokenizer

from jointune.encoders.foreign_config import is_inside
from jointune.encoders.text_encoder import POOLINGS
from jointune.encoders.weights import Source, find_file, read_json
from jointune.errors import EncoderError, SettingsError
from jointune.modalities.text.tokens import TextPreprocessor

DEFAULT_MAX_TOKENS = 128

_SENTENCEPIECE = ("spm.model", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")

_KINDS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
"""Architectures after which the settings file of a sentence-transformers folder is named; since version 1, ``bert``."""

_OLD_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""The names of pooling modes before sentence-transformers 6."""


@dataclass
class SentenceSettings:
    """The settings of a sentence-transformers folder; the defaults for other checkpoints.

    Attributes:
        folder: the folder of model and tokenizer inside the checkpoint.
        pooling: one of ``POOLINGS``, if it is stated.
        prompt: the prefix of each text.
        lowercase: whether texts are read in lower case.
        max_tokens: the length used in training.
        notes: settings that jointune does not follow.
    """

    folder: str = ""
    pooling: str | None = None
    prompt: str = ""
    lowercase: bool = False
    max_tokens: int | None = None
    notes: list[str] = field(default_factory=list)


def sentence_settings(source: Source) -> SentenceSettings:
    """Read ``modules.json`` and the files that it names, if there are any.

    Raises:
        EncoderError: a file is not JSON, or the modules do not begin with a transformer.
    """
    modules = read_json(source, "modules.json")
    settings = SentenceSettings()
    if not modules:
        return settings
    if not all(isinstance(module, dict) and is_inside(module.get("path", "")) for module in modules):
        raise EncoderError(f"the text encoder {source.name!r}: modules.json names a folder outside its own, or none")
    kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
    if kinds[0] != "Transformer":
        raise EncoderError(
            f"the text encoder {source.name!r} begins with a module {kinds[0]} (modules.json), not with a Transformer: "
            "jointune cannot take it"
        )
    settings.folder = modules[0].get("path", "")
    tokens: dict[str, Any] = {}
    for kind in _KINDS:
        tokens = tokens or read_json(source, f"sentence_{kind}_config.json", settings.folder)
    settings.max_tokens, settings.lowercase = tokens.get("max_seq_length"), bool(tokens.get("do_lower_case"))
    config = read_json(source, "config_sentence_transformers.json")
    prompts = {name: text for name, text in (config.get("prompts") or {}).items() if text}
    default = config.get("default_prompt_name")
    settings.prompt = prompts.get(default, "")
    if prompts and default not in prompts:
        settings.notes.append(
            f"the text encoder {source.name!r} knows prompts ({', '.join(sorted(prompts))}) and names none of them as "
            "its default: texts are read without"
        )
    for kind, module in zip(kinds[1:], modules[1:], strict=True):
        if kind == "Pooling":
            _read_pooling(source, read_json(source, "config.json", module.get("path", "")), settings)
        elif kind == "Normalize":
            settings.notes.append(
                f"the text encoder {source.name!r} scales its vectors to length 1; here they keep their length, since "
                "what is trained on top weighs them itself"
            )
        elif kind != "Dropout":
            settings.notes.append(
                f"the text encoder {source.name!r} ends with a module {kind} (modules.json), which is left out"
            )
    return settings


def load_text_preprocessor(
    source: Source, settings: SentenceSettings, model: Any, max_tokens: int | None
) -> TextPreprocessor:
    """Load the tokenizer of a checkpoint, for a model.

    Args:
        source: the folder of the model itself.
        settings: the settings of sentence-transformers.
        model: the model; special tokens that it lacks are added to its embeddings.
        max_tokens: the length that texts are cut to; by default 128, or less if the encoder was trained with less.

    Raises:
        EncoderError: there is no fast tokenizer, or it has words that the model does not know.
        SettingsError: ``max_tokens`` is more than the encoder allows.
    """
    name, config = source.name, model.config
    arguments = inspect.signature(model.forward).parameters
    tokenizer = _load_tokenizer(source, config.model_type)
    _check_vocabulary(name, tokenizer, model)
    limit = _most_tokens(tokenizer, model)
    if max_tokens is not None and not 4 <= max_tokens <= limit:
        raise SettingsError(
            f"max_tokens={max_tokens}: the text encoder {name!r} takes 4 to {limit} tokens", setting="max_tokens"
        )
    fixed = config.model_type.startswith("siglip")
    inputs = [kind for kind in ("input_ids", "attention_mask") if kind in arguments]
    if fixed:
        inputs.remove("attention_mask")
    if (
        "token_type_ids" in tokenizer.model_input_names
        and getattr(config, "type_vocab_size", 0) > 1
        and "token_type_ids" in arguments
    ):
        inputs.append("token_type_ids")
    return TextPreprocessor(
        tokenizer.backend_tokenizer,
        max_tokens=limit if fixed else max_tokens or min(limit, DEFAULT_MAX_TOKENS, settings.max_tokens or limit),
        pad_id=tokenizer.pad_token_id or 0,
        inputs=tuple(inputs),
        fixed_length=fixed,
        prompt=settings.prompt,
        lowercase=settings.lowercase,
    )


def _load_tokenizer(source: Source, kind: str) -> Any:
    name = source.name
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.path, trust_remote_code=False, **source.options)
    except Exception as reason:
        files = [file for file in _SENTENCEPIECE if find_file(source, file)]
        if files and not find_file(source, "tokenizer.json"):
            raise EncoderError(
                f"the text encoder {name!r} has its tokenizer as a SentencePiece model ({files[0]}) only, no "
                "tokenizer.json",
                "pip install sentencepiece protobuf, with which transformers can convert it",
            ) from reason
        raise
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise EncoderError(f"the text encoder {name!r} has no fast tokenizer (tokenizer.json), which jointune needs")
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        # transformers makes up an empty one if there is none: every word would be unknown.
        whose = "google-bert/bert-base-uncased" if kind == "visual_bert" else "the model it is made from"
        raise EncoderError(
            f"the text encoder {name!r} comes without a tokenizer",
            "put tokenizer.json and tokenizer_config.json beside its weights in a folder and give that "
            f"({kind}: those of {whose})",
        )
    return tokenizer


def _check_vocabulary(name: str, tokenizer: Any, model: Any) -> None:
    """Check that the model has an embedding for every word.

    Special tokens that it lacks, such as padding that was added to a decoder's tokenizer, start from the mean of all
    embeddings: they distinguish no texts.
    """
    try:
        weight = model.get_input_embeddings().weight
    except (AttributeError, NotImplementedError):  # CANINE reads characters, and has no table of them
        return
    size = len(weight)
    vocabulary = tokenizer.get_vocab()
    beyond = sorted((number, token) for token, number in vocabulary.items() if number >= size)
    if not beyond:
        return
    special = {added.content for added in tokenizer.added_tokens_decoder.values() if added.special}
    words = [token for _, token in beyond if token not in special]
    if words or hasattr(model, "whole_config"):
        shown = ", ".join(map(repr, (words or [token for _, token in beyond])[:3]))
        raise EncoderError(
            f"the text encoder {name!r} has {size:,} token embeddings and a tokenizer that knows "
            f"{beyond[-1][0] + 1:,} tokens: {len(beyond):,} were added to the tokenizer alone, such as {shown}",
            "give the tokenizer of these weights, or resize the model's embeddings, train them and save both",
        )
    mean = weight.detach().mean(0)
    model.resize_token_embeddings(beyond[-1][0] + 1, mean_resizing=False).weight.data[size:] = mean


def _most_tokens(tokenizer: Any, model: Any) -> int:
    positions = getattr(model.config, "max_position_embeddings", None) or 0
    limit = min(tokenizer.model_max_length, positions if positions > 0 else 10**9)  # XLNet has -1
    table: Any = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    if padding is not None:
        limit = min(limit, len(table.weight) - padding - 1)  # RoBERTa's family counts positions from the padding id on
    return int(limit)


def _read_pooling(source: Source, values: dict[str, Any], settings: SentenceSettings) -> None:
    modes = values.get("pooling_mode")
    if modes is None:
        modes = [mode for name, mode in _OLD_POOLINGS.items() if values.get(name)]
    modes = [modes] if isinstance(modes, str) else list(modes)
    if len(modes) == 1 and modes[0] in POOLINGS:
        settings.pooling = modes[0]
    else:
        settings.notes.append(
            f"the text encoder {source.name!r} pools its tokens in a way that jointune does not know "
            f"({' and '.join(modes) or 'none is named'}): here their mean is taken"
        )
    if settings.prompt and not values.get("include_prompt", True):
        settings.notes.append(
            f"the text encoder {source.name!r} leaves its prompt out of the pooled vector; here it is a part of it"
        )
