"""Tables and literal texts in Markdown."""

import re
from collections.abc import Iterable, Sequence

_MEANING = re.compile(r"[&<>*`\[\]~\\#]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""Characters with a meaning in Markdown or HTML; an underscore inside a word has none."""


def literal(text: object) -> str:
    """Escape foreign text, such as a label, so that Markdown shows it literally, on one line."""
    return _MEANING.sub(lambda match: f"&#{ord(match[0])};", " ".join(str(text).split()))


def table(header: Sequence[str], align: str, rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table; ``align`` has a letter for each column, ``l`` for left or ``r`` for right."""
    rule = ["---:" if letter == "r" else "---" for letter in align]
    return [_line(map(_cell, header)), _line(rule), *(_line(map(_cell, row)) for row in rows)]


def _cell(value: object) -> str:
    return " ".join(str(value).replace("\\", "\\\\").replace("|", "\\|").split())


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
