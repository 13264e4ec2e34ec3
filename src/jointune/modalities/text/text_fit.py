"""Measure how texts fit a text encoder: how many are cut, and how many words its tokenizer does not know."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from unicodedata import category

from tokenizers import Encoding

from jointune.data.post import Post
from jointune.modalities.text.tokens import TextPreprocessor, Tokens

_SAMPLE = 1000
"""The most texts whose words are checked."""

_MANY_CUT = 0.05
_MANY_UNKNOWN = 0.1
"""Shares that are worth a note. Of the words of English tweets, about 1 % are unknown to MiniLM."""


@dataclass(frozen=True)
class TextFit:
    """How texts fit a text encoder.

    Attributes:
        texts: number of texts.
        max_tokens: the length that they are cut to.
        cut: number of longer texts.
        median_cut_off: tokens that half of the longer texts lose, or more.
        longest: tokens of the longest.
        unknown_words: share of the words that become unknown tokens or single letters.
    """

    texts: int
    max_tokens: int
    cut: int
    median_cut_off: int
    longest: int
    unknown_words: float

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON values."""
        return asdict(self)

    def summary(self) -> str:
        """Return two sentences with all numbers."""
        texts = f"{self.texts:,} text{'s' * (self.texts != 1)}"
        cut = f"{self.cut:,} ({self.cut / self.texts:.1%})" if self.cut else "none"
        return (
            f"Of {texts}, {cut} {'is' if self.cut == 1 else 'are'} cut at {self.max_tokens} tokens; the longest has "
            f"{self.longest:,}. The tokenizer does not know {self.unknown_words:.1%} of the words."
        )

    def notes(self, encoder: str) -> list[str]:
        """Return warnings for the user, if any; ``encoder`` is the name of the text encoder."""
        notes = []
        if self.cut > _MANY_CUT * self.texts:
            notes.append(
                f"{self.cut:,} of {self.texts:,} texts ({self.cut / self.texts:.0%}) are cut at {self.max_tokens} "
                f"tokens, and half of those lose {self.median_cut_off:,} or more; the longest has {self.longest:,}. If "
                "what tells labels apart may stand there, train with more max_tokens, or a text encoder that takes more"
            )
        if self.unknown_words > _MANY_UNKNOWN:
            notes.append(
                f"the tokenizer of the text encoder {encoder} does not know {self.unknown_words:.0%} of the words: it "
                "sees them letter by letter or not at all. Choose a text encoder for the language of these posts"
            )
        return notes


class TextFitCounter:
    """Measure how texts fit a text encoder, in memory that does not grow with their number."""

    def __init__(self, text: TextPreprocessor) -> None:
        self._text = text
        self._texts = self._longest = 0
        self._cut_off: Counter[int] = Counter()
        self._sample: list[str] = []
        self._seen, self._distance = 0, 1

    def add(self, rows: Iterable[Tokens | None], posts: Iterable[Post]) -> None:
        """Count posts by their tokens, None for a post without text; and sample texts, to check their words later."""
        for row in rows:
            if row is not None:
                self._texts += 1
                self._longest = max(self._longest, len(row) + row.cut_off)
                self._cut_off[row.cut_off] += 1
        for text in (text for post in posts for text in (post.text, post.second_text, post.image_text) if text):
            if self._seen % self._distance == 0:
                self._sample.append(text)
            self._seen += 1
            if len(self._sample) > _SAMPLE:
                self._sample, self._distance = self._sample[::2], 2 * self._distance

    def result(self) -> TextFit:
        """Return the numbers; words are those of at most a thousand texts, at equal distances."""
        longer = +Counter({number: count for number, count in self._cut_off.items() if number})
        counted, cut = 0, longer.total()
        median = next((n for n in sorted(longer, reverse=True) if 2 * (counted := counted + longer[n]) >= cut), 0)
        unknown = _unknown_words(self._sample, self._text)
        return TextFit(self._texts, self._text.max_tokens, cut, median, self._longest, unknown)


def _unknown_words(texts: Sequence[str], text: TextPreprocessor) -> float:
    """Return the share of words that become single letters, bytes, or unknown tokens."""
    model = text.tokenizer.model
    if hasattr(model, "unk_token"):
        unknown_id = text.tokenizer.token_to_id(model.unk_token) if model.unk_token else None
    else:  # a Unigram model
        unknown_id = json.loads(text.tokenizer.to_str())["model"].get("unk_id")
    plain = [text.plain(one) for one in texts]
    encodings = text.tokenizer.encode_batch(plain, add_special_tokens=False)
    words = unknown = 0
    for one, encoded in zip(plain, encodings, strict=True):
        for ids, word in _words(encoded, one):
            kinds = [category(character) for character in word]
            if "Nd" in kinds or not any(kind[0] == "L" or kind == "So" for kind in kinds):
                continue  # numbers are written digit by digit on purpose, and punctuation is no word
            characters = sum(kind[0] not in "MZC" for kind in kinds)  # accents and joiners do not count
            words += 1
            unknown += unknown_id in ids or 1 < len(ids) >= characters
    return unknown / words if words else 0.0


def _words(encoded: Encoding, text: str) -> Iterator[tuple[list[int], str]]:
    """Yield the token ids and the text of each word. Some tokenizers do not split words: white space ends them, too."""
    ids: list[int] = []
    first = last = 0
    previous = None
    for number, word, (start, end) in zip(encoded.ids, encoded.word_ids, encoded.offsets, strict=True):
        while start < end and text[start].isspace():
            start += 1
        if ids and (word != previous or any(map(str.isspace, text[last:start]))):
            yield ids, text[first:last]
            ids = []
        previous = word
        if start < end:
            first = first if ids else start
            last = end
            ids.append(number)
    if ids:
        yield ids, text[first:last]
