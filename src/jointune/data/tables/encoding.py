"""Detect the character encoding of texts that are not UTF-8, over all of them together.

The same bytes are often a text in several encodings: Portuguese "não" is Romanian "năo", or a Chinese word. So each
encoding is scored by the frequency of its characters in the languages that use it, and chosen only if it is clearly
more likely than every other one. (charset-normalizer, which looks for the disorder that a wrong encoding causes, takes
real tweets in cp1252 for cp1250, five of them as well as a hundred.)
"""

import codecs
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jointune.errors import PostsError, setting

_WESTERN = (
    "éèàêçùâîôûëïœ",
    "üäöß",
    "íóáéñú¡¿ü",
    "ãáéçíóêõâúàô",
    "èàéòùì",
    "äåöøæé",
    "áðéíóúýþæö",
    "éëïó",
    "àèéíòóç·ïúü",
)
_CENTRAL = ("łąęóżśćńź", "áíěéřšýčžůúťďňóľôä", "éáöóőüíúű", "ăîâşţ", "čšžćđ", "üäöß")
_CYRILLIC = ("оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё", "оанивітерсклдмупязьбгйчхжцюшєїщфґ", "аеоитнрсвлкдпмзъугбчяжцхщйшюф")
_GREEK = ("αοιετσνηυρπκμλςωόίάδγέήχύθώφβξζψϊϋ",)
_LANGUAGES = {
    "cp1252": _WESTERN,
    "iso8859-15": _WESTERN,
    "mac-roman": _WESTERN,
    "cp1250": _CENTRAL,
    "iso8859-2": _CENTRAL,
    "cp1251": _CYRILLIC,
    "koi8-r": _CYRILLIC,
    "cp1253": _GREEK,
    "iso8859-7": _GREEK,
    "cp1254": ("ıüşğöçâîû",),
    "cp1255": ("יוהלארתבמשנםכדקעחפצגטסזןךףץ",),
    "cp1256": ("اليمونترعدبسفهكحقجىشطذخةصضزءغثأظإآئؤ", "اینردمتوهبشسکلگزفقعخجپحصطغژضچآذظث"),
    "cp1257": ("ėšįžąųūčę", "āīēšņļūžčģķ", "äõüöšž"),
    "cp874": ("านรอกเงมยลวดทสตะปบคหแจพชขใไโผฟซฉถธณญศษภึืุูิีั่้็์ำ๊๋ๆ",),
}
"""Non-ASCII letters, the most frequent first, of the languages that are written in each encoding."""

_ASIAN = {
    "gb18030": ("gb2312", 0xB0, 0xD7),
    "big5": ("big5", 0xA4, 0xC6),
    "cp932": ("euc_jp", 0xB0, 0xCF),
    "euc-jp": ("euc_jp", 0xB0, 0xCF),
    "cp949": ("euc_kr", 0xB0, 0xC8),
}
"""Encodings of two bytes a character: the standard behind each, and the first bytes of its usual characters."""

_CANDIDATES = (*_LANGUAGES, *_ASIAN)
_PUNCTUATION = "’“”…–—‘«»„•€£°©®™\u00a0"  # noqa: RUF001
_WIDE_PUNCTUATION = "，。！？、：；…“”’‘—（）「」『』《》【】〜～・ー·￥"  # noqa: RUF001
_FREQUENT = {
    "gb2312": "的一是不了我有在人这他你好大个上们到说来要就天会看很真去也时没下子那吗都和年为可以吧还小想啊太今过给",
    "big5": "的一是不了我有在人這他你好大個上們到說來要就天會看很真去也時沒下子那嗎都和年為可以吧還小想啊太今過給",
    "euc_jp": "のいしてるにんはたとをがでなかもすれまさっらくあこりうそよきだめわどえおちゃつけじみばやせょずろゆべ",
    "euc_kr": "이다는에가고지하을의은로기한사도를서어리아대자나시스해인정들전게구부그보수요네너무오늘진짜",
}
"""The most frequent characters of Chinese, Japanese and Korean texts, by the standard behind the encoding."""

_UNUSUAL = math.log(1e-4)
"""Log-probability of an unusual character, for each of its bytes."""

_MARGIN = 5.0
"""Nats by which an encoding has to be more likely than any other one to be chosen."""

_LINES, _CHARACTERS = 500, 500
"""Non-ASCII lines that are scored, and characters of each."""

_NOT_OF_FILES = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")
"""Python's encodings of domain names and of source code."""

UNDECODED = re.compile("[\udc80-\udcff]")
"""An undecodable byte, after decoding with ``errors="surrogateescape"``."""


@dataclass(frozen=True)
class Detected:
    """The result of ``detect_encoding``.

    Attributes:
        encoding: the one that fits; None if none or more than one does.
        candidates: if there is no encoding, those that are about equally likely; empty if nothing fits.
    """

    encoding: str | None
    candidates: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """Why there is no encoding."""
        if self.candidates:
            return f"too little to tell {' and '.join(self.candidates)} apart"
        return "no encoding that was tried fits"


def known_encoding(encoding: str | None) -> str:
    """Return the name to open files with; that of UTF-8, the default, also allows a byte-order mark.

    Raises:
        PostsError: Python knows no such encoding, or it is not one of text files.
    """
    try:
        "".encode(encoding or "utf-8")
        name = codecs.lookup(encoding or "utf-8").name
        if name in _NOT_OF_FILES:
            raise LookupError(f"{name!r} is not an encoding of text files")
    except (LookupError, ValueError) as reason:
        raise PostsError(
            f"{reason}", f"give {setting('encoding')} a name that Python knows, such as cp1252"
        ) from reason
    return "utf-8-sig" if name == "utf-8" else name


def decode_utf8(content: bytes) -> str | None:
    """Decode UTF-8, or UTF-16 and UTF-32 with a byte-order mark; return None for anything else."""
    encoding = marked_encoding(content) or "utf-8"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    # Texts in UTF-16 without a mark, and in the 7 bits of ISO-2022, are UTF-8 only by the letter.
    return None if encoding == "utf-8" and ("\0" in text or "\x1b" in text) else text


def file_encoding(path: Path, encoding: str) -> str:
    """Return the encoding to open a file with: ``encoding``, or, instead of UTF-8, that of its byte-order mark.

    Raises:
        PostsError: ``encoding`` is UTF-8, and the file is in UTF-16 without a mark.
    """
    if encoding != "utf-8-sig":
        return encoding
    with open(path, "rb") as file:
        start = file.read(4)
    if marked := marked_encoding(start):
        return marked
    if len(start) == 4 and 0 in start[:2]:
        likely = "utf-16-be" if start[0] == 0 else "utf-16-le"
        raise PostsError(
            f"{path.name}: the file is not UTF-8", f"save it as UTF-8, or try {setting('encoding', likely)}"
        )
    return encoding


def advice(path: Path) -> str:
    """Return the remedy for a file that is not UTF-8."""
    with open(path, "rb") as file:
        detected = detect_encoding([file.read(2**22).rpartition(b"\n")[0]])
    names = [detected.encoding] if detected.encoding else detected.candidates
    named = f", which is probably {' or '.join(names)}" if names else ""
    example = setting("encoding", names[0] if names else "cp1252")
    return f"save the file as UTF-8, or name its encoding{named}, such as {example}"


def marked_encoding(start: bytes) -> str | None:
    """Return the encoding of the byte-order mark at the start of a file; None if there is none."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),  # begins with the mark of UTF-16
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if start.startswith(mark):
            return encoding
    return None


def detect_encoding(contents: Sequence[bytes], known: str | None = None) -> Detected:
    """Detect the one encoding of several texts that are not UTF-8; up to a tenth of them may be damaged.

    The encoding that they are ``known`` to be in is chosen unless another one is clearly more likely.
    """
    scores = {
        name: score
        for name in dict.fromkeys([*([known] if known else []), *_CANDIDATES])
        if (score := _score(contents, name)) is not None
    }
    if not scores:
        return Detected(None)
    best = max(scores, key=scores.__getitem__)
    if known in scores and scores[known] > scores[best] - _MARGIN:
        return Detected(known)
    text = _decoded(contents, best)
    rivals = [
        name for name, score in scores.items() if score > scores[best] - _MARGIN and _decoded(contents, name) != text
    ]
    return Detected(None, (best, *rivals)) if rivals else Detected(best)


def _decoded(contents: Iterable[bytes], encoding: str) -> list[str | None]:
    texts: list[str | None] = []
    for content in contents:
        try:
            texts.append(content.decode(encoding))
        except UnicodeDecodeError:
            texts.append(None)
    return texts


def _score(contents: Sequence[bytes], encoding: str) -> float | None:
    """Return the log-likelihood of the texts in an encoding; None if it does not fit them."""
    texts = _decoded(contents, encoding)
    misfits = [content for content, text in zip(contents, texts, strict=True) if text is None]
    if len(misfits) > 0.1 * len(contents):
        return None
    lines = [line for text in texts if text for line in text.split("\n") if not line.isascii() or "\0" in line]
    values = [value for line in lines[:_LINES] for value in _log_probabilities(line[:_CHARACTERS], encoding)]
    floor = _floor(encoding)
    if sum(value <= floor for value in values) > 0.2 * len(values):
        return None
    rare = _MARGIN if encoding == "mac-roman" else 0.0  # nothing has written it by default for twenty years
    return sum(values) - rare + _UNUSUAL * sum(byte > 127 for content in misfits for byte in content)


def _log_probabilities(line: str, encoding: str) -> list[float]:
    """Return that of each non-ASCII character of a line, in the language that makes the line most likely."""
    if line.isupper():
        line = line.lower()  # encodings with swapped cases would make shouted words usual ones
    places = [
        (own, _out_of_place(before, own, after))
        for before, own, after in zip(f" {line}", line, f"{line[1:]} ", strict=False)
        if not own.isascii() or own == "\0"
    ]
    floor = _floor(encoding)
    spellings = [
        [floor if odd else language.get(own) or _rare(own, encoding) for own, odd in places]
        for language in _languages(encoding)
    ]
    return max(spellings, key=sum)


def _floor(encoding: str) -> float:
    """Return the log-probability of a character that nobody writes."""
    return _UNUSUAL * (2 if encoding in _ASIAN else 1)


def _out_of_place(before: str, letter: str, after: str) -> bool:
    """Return whether a letter is where only a wrong encoding puts one.

    That is a capital after a small letter, a letter beside a digit, and one of another script, or a quotation mark,
    within a Latin word.
    """
    latin = [one.isascii() and one.isalpha() for one in (before, after)]
    if unicodedata.category(letter)[0] not in "LM":
        return letter in "“”„" and all(latin)
    if letter >= "\u1100":  # Chinese, Japanese and Korean have no spaces between scripts
        return all(latin)
    foreign = letter > "\u024f" and any(latin)
    return foreign or (letter.isupper() and before.islower()) or before.isdigit() or after.isdigit()


def _rare(character: str, encoding: str) -> float:
    """Return the log-probability of a character that is not among the frequent ones of a language."""
    if unicodedata.category(character) == "Cc":
        return 2 * _UNUSUAL
    if encoding not in _ASIAN:
        return _UNUSUAL
    standard, first, last = _ASIAN[encoding]
    try:
        code = character.encode(standard)
    except UnicodeEncodeError:
        return 2 * _UNUSUAL
    if len(code) != 2:
        return _UNUSUAL  # half-width katakana, of one byte
    if "\u3041" <= character <= "\u30fa" or (character < "\u0500" and character.isalpha()):
        return -6.0  # kana, Cyrillic, and Latin letters with accents: Chinese and Korean encodings have them, too
    if first <= code[0] <= last:
        return -8.0
    return 2 * _UNUSUAL if "\u3131" <= character <= "\u318e" else -11.0  # parts of syllables


@lru_cache
def _languages(encoding: str) -> list[Mapping[str, float]]:
    """Return the log-probabilities of the usual characters of each language that is written in an encoding."""
    if encoding in _ASIAN:
        return [_ranked(_WIDE_PUNCTUATION, 0.2) | _ranked(_FREQUENT[_ASIAN[encoding][0]], 0.4)]
    languages = [
        _ranked(letters.upper(), 0.05) | _ranked(letters, 0.55) | _ranked(_PUNCTUATION, 0.4)
        for letters in _LANGUAGES.get(encoding, [])
    ]
    return [*languages, _ranked(_PUNCTUATION, 0.95)]  # English has nothing else


def _ranked(characters: str, share: float) -> dict[str, float]:
    """Return log-probabilities, by Zipf's law, of characters that together make up ``share`` of a text."""
    total = sum(1 / rank for rank in range(2, len(characters) + 2))
    return {character: math.log(share / rank / total) for rank, character in enumerate(characters, 2)}
