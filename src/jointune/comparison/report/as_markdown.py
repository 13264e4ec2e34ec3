"""The report of a comparison as Markdown: figures only, neither texts nor pictures of posts."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from typing import Any

from jointune.comparison.report.blocks import Facts, Items, Matrices, Notes, Paragraph, Section, Table, Traces, Value
from jointune.utils.markdown import table

NO_POSTS = "report.html shows them; this file holds no posts."


def comparison_markdown(title: str, parts: Iterable[Section]) -> str:
    """The whole report.

    Args:
        title: its heading.
        parts: its sections; drawings and posts are left out.
    """
    lines = [f"# {_plain(title)}", ""]
    for part in parts:
        lines += [f"## {_plain(part.title)}", "", _plain(part.lead), ""]
        for block in part.blocks:
            write = _WRITERS.get(block.kind)
            lines += [*write(block), ""] if write else []
        if any(block.kind == "cards" for block in part.blocks):
            lines += [NO_POSTS, ""]
    return "\n".join(lines).rstrip() + "\n"


def _paragraph(block: Paragraph) -> list[str]:
    return [f"**{_plain(block.text)}**" if block.strong else _plain(block.text)]


def _items(block: Items) -> list[str]:
    return [f"- {_plain(text)}" for text in block.texts]


def _notes(block: Notes) -> list[str]:
    return "\n\n".join(_plain(text) for text in block.texts).split("\n")


def _facts(block: Facts) -> list[str]:
    return _rows(["", ""], "ll", [[Value(name), Value(what)] for name, what in block.entries])


def _traces(block: Traces) -> list[str]:
    return [f"- {_plain(title)}: {_plain(reason)}" for title, reason, _ in block.traces]


def _table(block: Table) -> list[str]:
    shown = [not column.drawing for column in block.columns]
    columns = list(compress(block.columns, shown))
    grouped = len({column.group for column in columns}) > 1
    header = [f"{column.group}: {column.name}" if grouped and column.group else column.name for column in columns]
    align = "".join(column.align for column in columns)
    notes = [line for note in block.notes for line in ("", _plain(note))]
    rows = [list(compress(row, shown)) for row in block.rows]
    return [f"{_plain(block.caption)}:", "", *_rows(header, align, rows), *notes]


def _matrices(block: Matrices) -> list[str]:
    lines: list[str] = []
    for entry in block.tables:
        lines += [*_table(entry), ""]
    return lines[:-1]


def _rows(header: Sequence[str], align: str, rows: Iterable[Sequence[Value]]) -> list[str]:
    return table([_plain(name) for name in header], align, [[_plain(str(value)) for value in row] for row in rows])


def _plain(text: str) -> str:
    """Text on one line in which nothing is Markdown or HTML."""
    escaped = re.sub(r"&(?=[#\w])", "&amp;", " ".join(text.split()))
    escaped = re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", escaped)
    return re.sub(r"[*`\[\]$~]|(?<!\w)_|_(?!\w)", lambda found: f"&#{ord(found[0])};", escaped)


_WRITERS: Mapping[str, Callable[[Any], list[str]]] = {
    "paragraph": _paragraph,
    "items": _items,
    "notes": _notes,
    "facts": _facts,
    "traces": _traces,
    "table": _table,
    "matrices": _matrices,
}
