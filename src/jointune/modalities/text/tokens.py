"""Texts to token ids, through the ``tokenizers`` library alone."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tokenizers import Encoding, Tokenizer

from jointune.data.post import Post, Posts
from jointune.errors import PostsError, setting
from jointune.modalities.batch import Arrays, Input, Preprocessor
from jointune.modalities.parts import Parts
from jointune.modalities.rows import Rows
from jointune.modalities.text.normalise import Normaliser
from jointune.modalities.text.words import words

_TRIED_TOKENS = 512
"""Most tokens of the text that a loaded model is tried on."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """One text, or two that are read together.

    Attributes:
        ids: token ids, special ones included, int32 [L].
        types: which segment each token belongs to, 0 or 1, int32 [L]; None where there is one segment.
        cut_off: number of tokens that were too many; an estimate for texts of more than 64 characters a token allowed.
    """

    ids: np.ndarray
    types: np.ndarray | None = None
    cut_off: int = 0

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class TextPreprocessor(Preprocessor):
    """A fast tokenizer with the way a text encoder wants its ids.

    Attributes:
        tokenizer: the tokenizer, special tokens included.
        max_tokens: longer texts are cut to this many tokens.
        pad_id: the id that fills a row of a batch up to its longest.
        inputs: which of ``input_ids``, ``attention_mask`` and ``token_type_ids`` the encoder takes.
        fixed_length: pad every batch to ``max_tokens``, for encoders that were trained so (SigLIP).
        normalise: which kinds of writing in first segments become plain text; see ``normalise.py``.
        prompt: what the encoder was trained to read before each text.
        lowercase: whether texts are read in lower case.
        with_image_text: whether the text in an image is read too, as a second segment.
        pair: the columns of two texts, of which the second one is a second segment, before the text in an image; empty
            where posts have one text.
    """

    name: ClassVar[str] = "text"

    tokenizer: Tokenizer
    max_tokens: int
    pad_id: int = 0
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    fixed_length: bool = False
    normalise: tuple[str, ...] = ()
    prompt: str = ""
    lowercase: bool = False
    with_image_text: bool = False
    pair: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.tokenizer.no_padding()
        # Of two segments the longer one is cut first: neither ever pushes the other out.
        self.tokenizer.enable_truncation(self.max_tokens, strategy="longest_first")

    def encode(self, texts: Sequence[str], seconds: Sequence[str | None] | None = None) -> list[Tokens]:
        """Tokens of each text, ``max_tokens`` at most.

        Args:
            texts: the first segments, or all there is.
            seconds: the second segment of each, as the tokenizer joins pairs; None where there is none.
        """
        pairs = list(zip(texts, seconds or [None] * len(texts), strict=True))
        clipped = [self._clipped(*pair) for pair in pairs]
        lengths = [[len(text) for text in pair if text] for pair in pairs]
        return [
            Tokens(
                np.array(encoded.ids, dtype=np.int32),
                np.array(encoded.type_ids, dtype=np.int32) if isinstance(given, tuple) else None,
                self._cut_off(encoded, given, long)
                if encoded.overflowing or any(length > self._most_characters for length in long)
                else 0,
            )
            for long, given, encoded in zip(lengths, clipped, self.tokenizer.encode_batch(clipped), strict=True)
        ]

    def plain(self, text: str) -> str:
        """Return a first segment as the tokenizer is given it, but for the prompt."""
        return self._worded(self._normaliser(self._clip(text)))

    def _clipped(self, text: str, second: str | None) -> str | tuple[str, str]:
        """Return what the tokenizer is given of a text, or of two."""
        first = self._worded(self.prompt) + self.plain(text)
        return first if second is None else (first, self._worded(self._clip(second)))

    def parts(self, post: Post, row: Tokens) -> Parts:
        """Divide a row into words."""
        given = self._clipped(post.text or "", self._second(post))
        texts = (given,) if isinstance(given, str) else given
        return words(self.tokenizer.encode(*texts), texts, len(self.prompt), row)

    def without(self, post: Post) -> Post:
        """Return a post without its texts."""
        return post if post.text is None else replace(post, text=None, second_text=None)

    def _cut_off(self, encoded: Encoding, given: str | tuple[str, str], lengths: Sequence[int]) -> int:
        """Return the number of tokens that were too many for ``encoded``; ``lengths`` are those of the texts."""
        special = self.tokenizer.num_special_tokens_to_add(isinstance(given, tuple))
        if isinstance(given, str):
            # What overflows is the rest, in pieces that do not overlap, each with its own special tokens.
            counted = sum(len(piece.ids) - special for piece in (encoded, *encoded.overflowing))
        else:
            wholes = self.tokenizer.encode_batch(list(given), add_special_tokens=False)
            counted = sum(len(piece.ids) for whole in wholes for piece in (whole, *whole.overflowing))
        looked_at = sum(min(length, self._most_characters) for length in lengths)
        not_looked_at = counted * (sum(lengths) - looked_at) // max(1, looked_at)
        return max(1, special + counted + not_looked_at - self.max_tokens)

    @cached_property
    def _normaliser(self) -> Normaliser:
        return Normaliser(self.normalise, self.tokenizer.get_vocab() if self.normalise else {})

    def _clip(self, text: str) -> str:
        return text[: self._most_characters]

    @property
    def _most_characters(self) -> int:
        # Characters beyond this many rarely reach the cut, and tokenizing 100 kB to keep 128 tokens is slow.
        return 64 * self.max_tokens

    def _worded(self, text: str) -> str:
        """Return the text in the case that the tokenizer is given."""
        return text.lower() if self.lowercase else text

    @property
    def reads(self) -> list[Input]:
        """The second of two texts."""
        return [Input(name, "text") for name in self.pair[1:]]

    def rows(self, posts: Iterable[Post]) -> list[Tokens | None]:
        """Tokenize posts; None for a post that gives the text encoder nothing to read.

        The first segment is empty where a post has no text of its own, but one in its image.
        """
        pairs = [(post.text, self._second(post)) for post in posts]
        read = [(own or "", second) for own, second in pairs if own is not None or second is not None]
        encoded = iter(self.encode([own for own, _ in read], [second for _, second in read]))
        return [None if own is None and second is None else next(encoded) for own, second in pairs]

    def _second(self, post: Post) -> str | None:
        """Return the second segment of a post: its second text, as plain as the first, and the text in its image."""
        if post.second_text is not None and not self.pair:
            raise PostsError(
                f"{post.where}: it has two texts, and the model was trained on posts with one",
                f"name one column with {setting('text_column')}",
                setting="text_column",
            )
        # What is never looked at stays as it is, to be counted as cut off.
        second = self.plain(post.second_text) + post.second_text[self._most_characters :] if post.second_text else None
        return " ".join(filter(None, (second, post.image_text if self.with_image_text else None))) or None

    def collate(self, rows: Sequence[Tokens]) -> Arrays:
        """Pad a batch: ``input_ids`` and ``attention_mask``, int64 [B, L], and what else the encoder takes."""
        length = self.max_tokens if self.fixed_length else max(map(len, rows))
        ids = np.full((len(rows), length), self.pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), length), dtype=np.int64)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens.ids
            mask[row, : len(tokens)] = 1
        batch = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self.inputs:
            types = batch["token_type_ids"] = np.zeros_like(ids)
            for row, tokens in enumerate(rows):
                if tokens.types is not None:
                    types[row, : len(tokens)] = tokens.types
        return batch

    def trim(self, arrays: Arrays) -> Arrays:
        """Cut the padding that none of the rows needs."""
        longest = self.max_tokens if self.fixed_length else int(arrays["attention_mask"].sum(1).max())
        return {name: values[:, :longest] for name, values in arrays.items()}

    def examples(self) -> list[Tokens]:
        """Tokenize texts of three lengths."""
        return self.encode(["a", "a b", "a b c d e"])

    def open_axes(self) -> tuple[int, ...]:
        """Return the axes of posts and tokens."""
        return (0,) if self.fixed_length else (0, 1)

    def summary(self) -> str:
        """Describe the preparation in a sentence."""
        pair = f" Two texts are read together, from the columns {' and '.join(self.pair)}." if self.pair else ""
        read = " The text in pictures is read too, by RapidOCR." if self.with_image_text else ""
        return f"Texts are cut to {self.max_tokens} tokens.{pair}{read}"

    def trial_row(self) -> Tokens:
        """Make words, padding, and the last token of the vocabulary."""
        tokens = self.encode(["a good day"])[0].ids
        ids = np.full(max(len(tokens), min(self.max_tokens, _TRIED_TOKENS)), self.pad_id, dtype=np.int32)
        ids[: len(tokens)] = tokens
        ids[len(tokens) : len(tokens) + 1] = max(self.tokenizer.get_vocab().values())
        return Tokens(ids)

    def config(self) -> dict[str, Any]:
        """Everything but the tokenizer, as JSON values."""
        return {
            "max_tokens": self.max_tokens,
            "pad_id": self.pad_id,
            "inputs": list(self.inputs),
            "fixed_length": self.fixed_length,
            "normalise": list(self.normalise),
            "prompt": self.prompt,
            "lowercase": self.lowercase,
            "with_image_text": self.with_image_text,
            **({"pair": list(self.pair)} if self.pair else {}),
        }

    @classmethod
    def load(cls, tokenizer_file: Path, config: dict[str, Any]) -> "TextPreprocessor":
        """Read a ``tokenizer.json`` and what ``config`` returned."""
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
        lists: dict[str, Any] = {n: tuple(config[n]) for n in ("inputs", "normalise", "pair") if n in config}
        return cls(tokenizer, **(config | lists))


class TextRows(Rows):
    """Tokens of posts, also as they are while the text, or the image with the text in it, is hidden.

    Args:
        posts: to tokenize.
        preprocessor: of the texts.
    """

    preprocessor: TextPreprocessor

    def __init__(self, posts: Posts, preprocessor: TextPreprocessor) -> None:
        super().__init__(preprocessor.rows(posts), preprocessor)
        self._of_text = self._of_image = None
        if preprocessor.with_image_text:
            self._of_text = replace(preprocessor, with_image_text=False).rows(posts)
            self._of_image = preprocessor.rows(posts.without("text"))

    @property
    def lengths(self) -> np.ndarray:
        """The number of tokens of each text, int [N]."""
        return np.array([0 if row is None else len(row) for row in self.rows])

    def content(self, index: int) -> bytes:
        """See ``Rows.content``: the token ids, and where segments begin."""
        row = self.rows[index]
        return row.ids.tobytes() if row.types is None else b"2" + row.ids.tobytes() + row.types.tobytes()

    def row_without(self, index: int, row: Any, hidden: Set[str]) -> Any:
        """Return what remains of a text: the text in an image is hidden with the image."""
        if "text" in hidden:
            return None if self._of_image is None or "image" in hidden else self._of_image[index]
        return self._of_text[index] if self._of_text is not None and "image" in hidden else row

    def cacheable(self, augment: bool) -> bool:
        """Return whether the tokens are the same in each epoch: not if hiding an image removes some."""
        return self._of_text is None

    def own_parts(self, activations: np.ndarray, inputs: Mapping[str, Any]) -> Iterable[np.ndarray]:
        """Return the activations of each text's own tokens."""
        if self.preprocessor.fixed_length:
            return activations  # the encoder attends to padding too
        return [row[:length] for row, length in zip(activations, inputs["attention_mask"].sum(1).tolist(), strict=True)]

    def collate(self, indices: Sequence[int], rows: Sequence[Any]) -> tuple[Arrays | None, np.ndarray | None]:
        """Return token ids and masks, and the activations where these are computed."""
        arrays = self.preprocessor.collate(rows)
        if self.activations is None:
            return arrays, None
        kept = [self.activations[index] for index in indices]
        padded = np.zeros((len(kept), arrays["input_ids"].shape[1], *kept[0].shape[1:]), dtype=kept[0].dtype)
        for row, activations in zip(padded, kept, strict=True):
            row[: len(activations)] = activations
        return arrays, padded
