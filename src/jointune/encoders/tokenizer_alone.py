"""Load a text encoder's tokenizer without its model, torch and transformers."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from jointune.encoders import packaged
from jointune.errors import EncoderError, SettingsError, foreign_errors, setting
from jointune.modalities.text.tokens import TextPreprocessor

DEFAULT_MAX_TOKENS = 128
_COUNTED_FROM_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer")


def load_tokenizer(name: str, max_tokens: int | None = None, normalise: tuple[str, ...] = ()) -> TextPreprocessor:
    """Load a text encoder's tokenizer from its ``tokenizer.json``; nothing is downloaded.

    Args:
        name: a built-in name, a local folder, or a Hugging Face id that was downloaded before.
        max_tokens: the length that texts are cut to; by default 128, or what the encoder allows if that is less.
        normalise: the kinds of writing that become plain text.

    Raises:
        EncoderError: there is no such file on this machine, or it is no tokenizer.
        SettingsError: ``max_tokens`` is more than the encoder allows.
    """
    file = _tokenizer_file(name)
    with foreign_errors(f"{file} is not a tokenizer"):
        tokenizer = Tokenizer.from_file(str(file))
    with foreign_errors(f"{file.parent} does not say how long texts may be"):
        limit, usual = _lengths(file.parent)
    check_length(name, max_tokens, limit)
    return TextPreprocessor(tokenizer, max_tokens or usual, normalise=normalise)


def check_length(name: str, max_tokens: int | None, limit: int) -> None:
    """Refuse a length of texts that a text encoder does not allow.

    Raises:
        SettingsError: it is less than 4 or more than ``limit``.
    """
    if max_tokens is not None and not 4 <= max_tokens <= limit:
        raise SettingsError(
            f"{setting('max_tokens', max_tokens)}: the text encoder {name!r} takes 4 to {limit} tokens",
            setting="max_tokens",
        )


def _tokenizer_file(name: str) -> Path:
    if name in packaged.TEXT:
        return packaged.TEXT[name].locate() / packaged.TEXT[name].inside / "tokenizer.json"
    folder = Path(name).expanduser()
    if folder.is_dir():
        if (folder / "tokenizer.json").is_file():
            return folder / "tokenizer.json"
        raise EncoderError(f"{name} has no tokenizer.json")
    try:
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(name, "tokenizer.json")
    except (ImportError, ValueError):  # not installed; or a name that no hub has
        path = None
    if not isinstance(path, str):
        raise EncoderError(f"{name} is neither built in nor a folder, and its tokenizer was not downloaded before")
    return Path(path)


def _lengths(folder: Path) -> tuple[int, int]:
    """Return the most tokens that an encoder takes, and its default."""
    tokenizer, config = _json(folder / "tokenizer_config.json"), _json(folder / "config.json")
    config |= config.get("text_config") or {}
    limit = min(int(tokenizer.get("model_max_length") or 10**9), 10**9)
    if (positions := config.get("max_position_embeddings") or 0) > 0:
        padding = config.get("pad_token_id") or 0
        limit = min(limit, positions - (padding + 1 if config.get("model_type") in _COUNTED_FROM_PADDING else 0))
    trained = _json(folder / "sentence_bert_config.json").get("max_seq_length") or limit
    fixed = str(config.get("model_type")).startswith("siglip")
    return limit, limit if fixed else min(limit, trained, DEFAULT_MAX_TOKENS)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # training reads these files too, and says what is wrong with them
        return {}
    return content if isinstance(content, dict) else {}
