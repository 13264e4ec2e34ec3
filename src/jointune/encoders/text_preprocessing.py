"""A checkpoint's tokenizer, and what a sentence-transformers folder says of how its texts are read."""

import inspect
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AutoTokenizer

from jointune.encoders.foreign_config import is_inside
from jointune.encoders.text_encoder import POOLINGS, TextEncoder
from jointune.encoders.weights import Source, find_file, read_json
from jointune.errors import EncoderError, SettingsError
from jointune.modalities.text.tokens import TextPreprocessor

DEFAULT_MAX_TOKENS = 128

_SENTENCEPIECE = ("spm.model", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
"""The names that SentencePiece models go by."""

_KINDS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
"""That the settings of a sentence-transformers folder are named after; the first one in all but old ones."""


@dataclass
class SentenceSettings:
    """What a sentence-transformers folder says beside its weights; nothing of it for other checkpoints.

    Attributes:
        folder: where in the checkpoint model and tokenizer are.
        pooling: one of ``POOLINGS``; None where it is not said.
        prompt: what is put before each text.
        lowercase: whether texts are read in lower case.
        max_tokens: the length that it was trained with.
        notes: what jointune does not follow.
    """

    folder: str = ""
    pooling: str | None = None
    prompt: str = ""
    lowercase: bool = False
    max_tokens: int | None = None
    notes: list[str] = field(default_factory=list)


def sentence_settings(source: Source) -> SentenceSettings:
    """Read ``modules.json`` and the files that it names, where there are any.

    Raises:
        EncoderError: a file is no JSON, or the modules do not begin with a transformer.
    """
    modules = read_json(source, "modules.json")
    found = SentenceSettings()
    if not modules:
        return found
    if not all(isinstance(module, dict) and is_inside(module.get("path", "")) for module in modules):
        raise EncoderError(f"the text encoder {source.name!r}: modules.json names a folder outside its own, or none")
    kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
    if kinds[0] != "Transformer":
        raise EncoderError(
            f"the text encoder {source.name!r} begins with a module {kinds[0]} (modules.json), not with a Transformer: "
            "jointune cannot take it"
        )
    found.folder = modules[0].get("path", "")
    about: dict[str, Any] = {}
    for kind in _KINDS:
        about = about or read_json(source, f"sentence_{kind}_config.json", found.folder)
    found.max_tokens, found.lowercase = about.get("max_seq_length"), bool(about.get("do_lower_case"))
    whole = read_json(source, "config_sentence_transformers.json")
    prompts = {name: text for name, text in (whole.get("prompts") or {}).items() if text}
    default = whole.get("default_prompt_name")
    found.prompt = prompts.get(default, "")
    if prompts and default not in prompts:
        found.notes.append(
            f"the text encoder {source.name!r} knows prompts ({', '.join(sorted(prompts))}) and names none of them as "
            "its default: texts are read without"
        )
    for kind, module in zip(kinds[1:], modules[1:], strict=True):
        if kind == "Pooling":
            _read_pooling(source, read_json(source, "config.json", module.get("path", "")), found)
        elif kind == "Normalize":
            found.notes.append(
                f"the text encoder {source.name!r} scales its vectors to length 1; here they keep their length, since "
                "what is trained on top weighs them itself"
            )
        elif kind != "Dropout":
            found.notes.append(
                f"the text encoder {source.name!r} ends with a module {kind} (modules.json), which is left out"
            )
    return found


def load_text_preprocessor(
    source: Source, settings: SentenceSettings, model: Any, max_tokens: int | None
) -> TextPreprocessor:
    """Load the tokenizer of a checkpoint.

    Args:
        source: where it is, the folder of the model itself.
        settings: of sentence-transformers.
        model: that its tokens are for.
        max_tokens: the length that texts are cut to; by default 128, or less where the encoder says so.

    Raises:
        EncoderError: there is no fast tokenizer, or it has tokens that the model does not know.
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
                "tokenizer.json: pip install sentencepiece protobuf, with which transformers can convert it"
            ) from reason
        raise
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise EncoderError(f"the text encoder {name!r} has no fast tokenizer (tokenizer.json), which jointune needs")
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        # transformers makes up an empty one where there is none: every word would be unknown.
        whose = "google-bert/bert-base-uncased" if kind == "visual_bert" else "the model it is made from"
        raise EncoderError(
            f"the text encoder {name!r} comes without a tokenizer: put tokenizer.json and tokenizer_config.json beside "
            f"its weights in a folder and give that ({kind}: those of {whose})"
        )
    return tokenizer


def _check_vocabulary(name: str, tokenizer: Any, model: Any) -> None:
    """See that the model has an embedding for every token.

    Special tokens that it lacks, such as padding that was added to a decoder's tokenizer, start from the mean of all
    embeddings: no text of a post is told apart by them.
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
        shown = ", ".join(repr(token) for token in (words or [token for _, token in beyond])[:3])
        raise EncoderError(
            f"the text encoder {name!r} has {size:,} token embeddings and a tokenizer that knows "
            f"{beyond[-1][0] + 1:,} tokens: {len(beyond):,} were added to the tokenizer alone, such as "
            f"{shown}",
            "give the tokenizer that belongs to the weights, or resize the model's embeddings, train "
            "them and save both",
        )
    mean = weight.detach().mean(0)
    model.resize_token_embeddings(beyond[-1][0] + 1, mean_resizing=False).weight.data[size:] = mean


def _most_tokens(tokenizer: Any, model: Any) -> int:
    """How long a text may be."""
    positions = getattr(model.config, "max_position_embeddings", None) or 0
    # XLNet says -1.
    limit = min(tokenizer.model_max_length, positions if positions > 0 else 10**9)
    table: Any = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    if padding is not None:
        # RoBERTa's family counts positions from the padding id on.
        limit = min(limit, len(table.weight) - padding - 1)
    return int(limit)


def _read_pooling(source: Source, values: dict[str, Any], found: SentenceSettings) -> None:
    modes = values.get("pooling_mode")
    if modes is None:
        modes = [mode for name, mode in _OLD_POOLINGS.items() if values.get(name)]
    modes = [modes] if isinstance(modes, str) else list(modes)
    if len(modes) == 1 and modes[0] in POOLINGS:
        found.pooling = modes[0]
    else:
        found.notes.append(
            f"the text encoder {source.name!r} pools its tokens in a way that jointune does not know "
            f"({' and '.join(modes) or 'none is named'}): here their mean is taken"
        )
    if found.prompt and not values.get("include_prompt", True):
        found.notes.append(
            f"the text encoder {source.name!r} leaves its prompt out of the pooled vector; here it is a part of it"
        )


_OLD_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""The names of pooling modes before sentence-transformers 6."""


def check_pairs(encoder: TextEncoder, text: TextPreprocessor, name: str) -> None:
    """Make sure that two texts are told apart, that each keeps a token, and that the second one counts.

    Args:
        encoder: the text encoder.
        text: its preprocessing.
        name: what messages call it.

    Raises:
        EncoderError: the tokenizer puts nothing between two texts, or the encoder's vector ends with the first.
        SettingsError: ``max_tokens`` leaves no room for two.
    """
    special = text.tokenizer.num_special_tokens_to_add(True)
    if special <= text.tokenizer.num_special_tokens_to_add(False):
        raise EncoderError(f"the tokenizer of the text encoder {name!r} puts nothing between two texts{_REMEDY}")
    if text.max_tokens < special + 2:
        raise SettingsError(
            f"max_tokens={text.max_tokens}: with read_image_text the text encoder {name!r} needs {special + 2} or more",
            setting="max_tokens",
        )
    # CLIP's vector is that of the first end-of-text token, which comes before the second text. Asked of the encoder
    # itself, since what its vector depends on is nowhere declared.
    training = encoder.training
    encoder.eval()
    with torch.no_grad():
        without, with_second = (
            encoder({key: torch.from_numpy(array) for key, array in text.collate(text.encode(["a"], [second])).items()})
            for second in ("", "a b")
        )
    encoder.train(training)
    if torch.allclose(without.pooled, with_second.pooled, atol=1e-6):
        raise EncoderError(f"the text encoder {name!r} reads no further than the first of two texts{_REMEDY}")


_REMEDY = ", so that it cannot take in the text in pictures: choose another text encoder, or do without read_image_text"
