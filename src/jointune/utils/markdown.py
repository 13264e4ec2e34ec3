"""Tables and literal texts in Markdown."""

import re
from collections.abc import Iterable, Sequence

_MEANING = re.compile(r"[&<>*`\[\]~\\#]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""What Markdown and HTML read as more than a character; an underscore within a word is none."""


def literal(text: object) -> str:
    """A text of others as Markdown shows it literally, in one line: a label, a name, a note."""
    return _MEANING.sub(lambda found: f"&#{ord(found[0])};", " ".join(str(text).split()))


def table(header: Sequence[str], align: str, rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table; what would end a cell or a line is escaped.

    Args:
        header: column names.
        align: one letter a column, ``l`` for left and ``r`` for right.
        rows: cells.
    """
    rule = ["---:" if letter == "r" else "---" for letter in align]
    return [_line(map(_cell, header)), _line(rule), *(_line(map(_cell, row)) for row in rows)]


def _cell(value: object) -> str:
    return " ".join(str(value).replace("\\", "\\\\").replace("|", "\\|").split())


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
