"""Counts, names and lists in messages."""

import re
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
"""Characters of a name, and five times as many of a text, that a message shows."""


def counted(number: int, one: str, several: str | None = None) -> str:
    """``1 post``, ``2 posts``, ``1,000 posts``.

    Args:
        number: how many.
        one: what follows a 1.
        several: what follows any other number; by default the same with an s.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def visible(text: str) -> str:
    """``text`` on one line, with escapes for characters that a terminal would obey instead of showing them."""
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def visible_lines(text: str) -> str:
    """The same for a message of several lines, which stay lines."""
    return "\n".join(map(visible, text.split("\n")))


def shortened(text: str, most: int = 5 * _LONGEST) -> str:
    """``text`` itself, or its beginning where it is longer than a message should be."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def listed(names: Iterable[object], count: int) -> str:
    """The first of some names, made visible, and how many more there are.

    Args:
        names: from a user's file; read as far as needed.
        count: of all names.
    """
    first = ", ".join(visible(shortened(str(name), _LONGEST)) for name in islice(names, _LISTED))
    return f"{first} and {count - _LISTED:,} more" if count > _LISTED else first
