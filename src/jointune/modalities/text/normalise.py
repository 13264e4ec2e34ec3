"""Rewrite what is particular to posts, such as links and hashtags, as the plain text that encoders know."""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping

from jointune.errors import SettingsError, setting

KINDS = ("links", "retweets", "handles", "hashtags", "emoji", "repeats")
"""The parts of a text that can be normalised.

- ``links`` are left out;
- ``retweets``: ``RT @someone:`` at the beginning is left out; ``RT if you agree`` stays;
- ``handles`` become ``@user``; addresses of e-mail and times (``@5pm``) stay;
- ``hashtags`` are split into words; numbers (``#1``) stay;
- ``emoji`` are named, without skin tones; the same joiner between letters, which many scripts need, stays;
- ``repeats``: a letter written three times or more is written twice (``soooo``). Three capitals stay, which may be an
  abbreviation (``AAA``), and so do Roman numerals, sizes, words of one letter (``zzz``), words with digits, and letters
  of scripts without case, where a letter repeated is spelling as often as emphasis.
"""

# Scripts without spaces between words: in them, a link or a handle may be followed by a word at once.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
    r"\U00020000-\U0003ffff"
)
# Vowel signs and joiners: parts of words that \w does not match.
_SIGNS = r"\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u109f\u1780-\u17ff\u200c\u200d"
_SYMBOLS = r"\u2600-\u27bf\U0001f300-\U0001faff"

_LINK = re.compile(
    rf"(?:https?://|(?<![a-z0-9])www\.(?=[\w…]))[^\s{_UNSPACED}{_SYMBOLS}]*|\bhttps?:?/?…|\bhtt?p?…", re.IGNORECASE
)
_RETWEET = re.compile(r"^\s*RT\s+@\w+:?")
_HANDLE = re.compile(rf"(?<!\w)@(?!\d+(?:[AaPp][Mm]|h)?\b)(?:(?:[^\W{_UNSPACED}]|[{_SIGNS}])+|[\w{_SIGNS}]+)")
_HASHTAG = re.compile(rf"(?<!&)#(?!\d+\b)(\w[\w{_SIGNS}]*)")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_WORD = re.compile(r"\w+")
_REPEAT = re.compile(r"([^\W\d_])\1{2,}")
_SPELLED_SO = re.compile(
    r"m{0,3}(?:cm|cd|d?c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})|x+[sl]|(.)\1{2,3}|.*[\d_].*", re.IGNORECASE
)
_EMOJI = re.compile(f"[{_SYMBOLS}]")
_JOINERS = re.compile(rf"[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]|(?<=[{_SYMBOLS}\ufe0f])\u200d")

_FEWEST_WORDS = 1000
"""In a vocabulary that is used to split hashtags."""

_LONGEST = 20
"""Letters of a word."""

_CACHED = 100_000
"""The most runs of letters whose words are cached."""


def valid_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds in the order of ``KINDS``.

    Raises:
        SettingsError: one is unknown.
    """
    if isinstance(kinds, str):
        kinds = [kind.strip() for kind in kinds.split(",") if kind.strip() not in ("", "none")]
    chosen = set(kinds)
    if unknown := sorted(chosen - set(KINDS)):
        raise SettingsError(
            f"{setting('normalise', unknown)}: choose among {', '.join(KINDS)}, or none", setting="normalise"
        )
    return tuple(kind for kind in KINDS if kind in chosen)


class Normaliser:
    """Rewrite a post as plain text.

    Hashtags are split with the unigram model of Norvig (2009, "Natural language corpus data"). Common tokens come first
    in nearly every vocabulary, so that ranks and Zipf's law give the probabilities of words.

    Args:
        kinds: which of ``KINDS`` to normalise.
        vocabulary: the tokenizer's, token to id.
    """

    def __init__(self, kinds: Iterable[str], vocabulary: Mapping[str, int]) -> None:
        self._kinds = frozenset(valid_kinds(kinds))
        self._costs = _word_costs(vocabulary) if "hashtags" in self._kinds else {}
        self._words: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """Normalise a text; one of which nothing would be left stays as it is."""
        plain = text
        if "links" in self._kinds:
            plain = _LINK.sub(" ", plain)
        if "retweets" in self._kinds:
            plain = _RETWEET.sub("", plain)
        if "handles" in self._kinds:
            plain = _HANDLE.sub("@user", plain)
        if "hashtags" in self._kinds:
            plain = _HASHTAG.sub(lambda match: f"# {self._tag(match[1])}", plain)
        if "emoji" in self._kinds:
            plain = _EMOJI.sub(
                lambda match: f" {unicodedata.name(match[0], match[0]).lower()} ", _JOINERS.sub("", plain)
            )
        if "repeats" in self._kinds and _REPEAT.search(plain):
            plain = _WORD.sub(_shortened, plain)
        return text if plain == text else " ".join(plain.split()) or text

    def _tag(self, tag: str) -> str:
        if not tag.isascii():
            return tag.replace("_", " ")
        return " ".join(self._split(part) for part in _PART.findall(tag)) or tag

    def _split(self, letters: str) -> str:
        """Split a run of letters into words; it stays as it is if one of them is unknown, or if it is a number."""
        if not self._costs or letters.isdigit():
            return letters
        if letters not in self._words:
            if len(self._words) >= _CACHED:
                self._words.clear()
            self._words[letters] = self._most_probable(letters)
        return self._words[letters]

    def _most_probable(self, letters: str) -> str:
        """Find the words with the highest product of probabilities, by dynamic programming over the last one."""
        lower = letters.lower()
        best: list[tuple[float, int]] = [(0.0, 0)]
        for end in range(1, len(lower) + 1):
            starts = range(max(0, end - _LONGEST), end)
            best.append(min((best[start][0] + self._costs.get(lower[start:end], math.inf), start) for start in starts))
        if math.isinf(best[-1][0]):
            return letters
        cased = letters if letters.isupper() else lower  # US and us are two words to many tokenizers
        words, end = [], len(lower)
        while end:
            start = best[end][1]
            words.append(cased[start:end])
            end = start
        return " ".join(reversed(words))


def without_emoji(text: str) -> str:
    """Return a text without its emoji and what joins them."""
    return _EMOJI.sub("", _JOINERS.sub("", text))


def _word_costs(vocabulary: Mapping[str, int]) -> dict[str, float]:
    """Return the negative log-probability of each word."""
    marked = [token for token in vocabulary if token[:1] in ("▁", "Ġ")]
    whole = marked or [token for token in vocabulary if not token.startswith("##")]
    words: dict[str, int] = {}
    for token in sorted(whole, key=vocabulary.__getitem__):
        word = token.lstrip("▁Ġ").lower()
        if word.isascii() and word.isalpha() and (len(word) > 1 or word in ("a", "i")):
            words.setdefault(word, vocabulary[token])
    if len(words) < _FEWEST_WORDS:
        return {}
    scale = math.log(len(vocabulary))
    return {word: math.log((rank + 1) * scale) for word, rank in words.items()}


def _shortened(word: re.Match[str]) -> str:
    if _SPELLED_SO.fullmatch(word[0]):
        return word[0]
    return _REPEAT.sub(_twice, word[0])


def _twice(run: re.Match[str]) -> str:
    drawn_out = run[1].islower() or (run[1].isupper() and len(run[0]) > 3)
    return run[1] * 2 if drawn_out else run[0]
