"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


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
