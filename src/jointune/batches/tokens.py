"""Texts to token ids, through the ``tokenizers`` library alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer


@dataclass(frozen=True)
class TextPreprocessor:
    """A fast tokenizer with the way a text encoder wants its ids.

    Attributes:
        tokenizer: the tokenizer, special tokens included.
        max_tokens: longer texts are cut to this many tokens.
        pad_id: the id that fills a row of a batch up to its longest.
        inputs: which of ``input_ids``, ``attention_mask`` and ``token_type_ids`` the encoder takes.
        fixed_length: pad every batch to ``max_tokens``, for encoders that were trained so (SigLIP).
    """

    tokenizer: Tokenizer
    max_tokens: int
    pad_id: int = 0
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    fixed_length: bool = False

    def __post_init__(self) -> None:
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.max_tokens)

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The token ids of each text: int32 arrays [L], L at most ``max_tokens``."""
        # Characters beyond this many cannot reach the cut, and tokenizing 100 kB to keep 128 tokens is slow.
        clipped = [text[: 64 * self.max_tokens] for text in texts]
        return [np.array(encoded.ids, dtype=np.int32) for encoded in self.tokenizer.encode_batch(clipped)]

    def pad(self, rows: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """A batch: ``input_ids`` int64 [B, L] and ``attention_mask`` int64 [B, L], and what else the encoder takes."""
        length = self.max_tokens if self.fixed_length else max(map(len, rows))
        ids = np.full((len(rows), length), self.pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), length), dtype=np.int64)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        batch = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self.inputs:
            batch["token_type_ids"] = np.zeros_like(ids)
        return batch

    def config(self) -> dict[str, Any]:
        """Everything but the tokenizer, as JSON values."""
        return {
            "max_tokens": self.max_tokens,
            "pad_id": self.pad_id,
            "inputs": list(self.inputs),
            "fixed_length": self.fixed_length,
        }

    @classmethod
    def load(cls, tokenizer_file: Path, config: dict[str, Any]) -> "TextPreprocessor":
        """Read a ``tokenizer.json`` and what ``config`` returned."""
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
        return cls(tokenizer, **(config | {"inputs": tuple(config["inputs"])}))
