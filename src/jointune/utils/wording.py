"""Counts, names, lists and options in messages."""

import re
import shlex
from collections.abc import Iterable
from itertools import islice

_INVISIBLE = re.compile(
    # Control characters, marks that change the direction of writing, and others without a shape; but not the joiners
    # U+200C and U+200D, which emoji and many scripts need.
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)

_LISTED = 20
"""Names that a message lists."""

_LONGEST = 200
"""Characters of a name that a message shows; of a text, five times as many."""


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return a count with its noun: ``1 post``, ``2 posts``, ``1,000 posts``; ``several`` is an irregular plural."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def visible(text: str) -> str:
    """Return ``text`` on one line, with escapes for characters that a terminal would obey instead of showing them."""
    return _INVISIBLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def visible_lines(text: str) -> str:
    """Return ``text`` with such escapes, but with its line breaks."""
    return "\n".join(map(visible, text.split("\n")))


def encodable(text: str) -> str:
    """Replace lone surrogates by question marks: half an emoji, escaped in JSON, has no UTF-8 form."""
    return text.encode("utf-8", "replace").decode("utf-8")


def shortened(text: str, most: int = 5 * _LONGEST) -> str:
    """Return ``text``, cut if it is longer than a message should be."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def listed(names: Iterable[object], count: int) -> str:
    """Return the first of some names, made visible, and how many more there are.

    Args:
        names: from a user's file; read as far as needed.
        count: of all names.
    """
    first = ", ".join(visible(shortened(str(name), _LONGEST)) for name in islice(names, _LISTED))
    return f"{first} and {count - _LISTED:,} more" if count > _LISTED else first


def option(name: str, *value: object) -> str:
    """Return a setting as a shell takes it, such as ``--no-probe``; see ``jointune.errors.setting``."""
    setting = value[0] if value else True
    flag = f"--{'no-' if setting is False else ''}{name.replace('_', '-')}"
    if isinstance(setting, bool):
        return flag
    if isinstance(setting, list | tuple):
        setting = ",".join(map(str, setting))
    return f"{flag} {'all' if setting is None else shlex.quote(str(setting))}"
