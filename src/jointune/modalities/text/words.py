"""The words of a text as its tokenizer finds them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Encoding

from jointune.modalities.parts import Parts

if TYPE_CHECKING:
    from jointune.modalities.text.tokens import Tokens

_LONGEST = 24
"""Characters of a word. Longer ones are runs of a script without spaces, and each token of them is a part."""


def words(encoded: Encoding, texts: Sequence[str], prompt: int, row: "Tokens") -> Parts:
    """Divide tokens into words, by the offsets of the tokenizer.

    Args:
        encoded: the texts, encoded.
        texts: one, or two that are read together.
        prompt: the number of characters at the beginning of the first that belong to no post.
        row: the tokens.
    """
    tokens: dict[tuple[int, ...], list[int]] = {}
    spans: dict[tuple[int, int], list[int]] = {}
    found = list(zip(encoded.word_ids, encoded.sequence_ids, encoded.offsets, strict=True))
    for word, segment, (start, end) in found:
        if word is not None and segment is not None:
            span = spans.setdefault((segment, word), [start, end])
            span[:] = min(span[0], start), max(span[1], end)
    for number, (word, segment, (start, end)) in enumerate(found):
        if word is None or segment is None or start == end or (segment == 0 and end <= prompt):
            continue
        first, last = spans[segment, word]
        start, end = (first, last) if last - first <= _LONGEST else (start, end)
        while start < end - 1 and texts[segment][start].isspace():
            start += 1
        tokens.setdefault((segment, start, end), []).append(number)
    index = np.full(len(row), -1)
    for part, numbers in enumerate(tokens.values()):
        index[numbers] = part
    names = [texts[segment][start:end] for segment, start, end in tokens]

    def remove(hidden: np.ndarray) -> "Tokens | None":
        if hidden.all():
            return None
        stays = (index < 0) | ~hidden[index]
        return replace(row, ids=row.ids[stays], types=None if row.types is None else row.types[stays])

    return Parts("word", names, index, remove, list(tokens), texts)
