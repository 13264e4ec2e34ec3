"""Fill the templates of pages."""

from collections.abc import Callable, Mapping, Sequence
from itertools import compress, groupby
from operator import attrgetter
from typing import Any

from jointune.output.pages.figures import listed
from jointune.output.pages.page_tables import Table
from jointune.utils.extras import require
from jointune.utils.markdown import literal, table
from jointune.utils.wording import counted


def check_pages() -> None:
    """Check that pages can be written.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    for name in ("jinja2", "matplotlib"):
        require(name, "train", "a report")


def render(
    template: str,
    content: Mapping[str, Any],
    autoescape: bool,
    package: str = "jointune.output.pages",
    finalize: Callable[[Any], Any] | None = None,
) -> str:
    """Fill a template.

    Args:
        template: its name.
        content: its variables.
        autoescape: whether it is HTML.
        package: that has the template, beside those that all pages share.
        finalize: converts each value before it is written.
    """
    jinja2 = require("jinja2", "train", "a report")

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(one) for one in dict.fromkeys((package, __package__))]),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
    environment.filters |= {
        "counted": counted,
        "listed": listed,
        "literal": _literal,
        "markdown_table": _markdown_table,
        "markdown_pairs": lambda pairs: _markdown_rows(["", ""], "ll", pairs),
        "neighbours": lambda columns: [(name, len(list(same))) for name, same in groupby(columns, attrgetter("group"))],
    }
    return str(environment.get_template(template).render(content))


def _literal(text: object) -> str:
    return literal(text).replace("$", "&#36;")  # or GitHub shows what is between two of them as a formula


def _markdown_table(content: Table) -> str:
    """Return the lines of a table without its drawings."""
    shown = [not column.drawing for column in content.columns]
    columns = list(compress(content.columns, shown))
    header = [f"{column.group}: {column.name}" if column.group else column.name for column in columns]
    align = "".join(column.align for column in columns)
    return _markdown_rows(header, align, [list(compress(row, shown)) for row in content.rows])


def _markdown_rows(header: Sequence[str], align: str, rows: Sequence[Sequence[object]]) -> str:
    return "\n".join(table([*map(_literal, header)], align, [[*map(_literal, row)] for row in rows]))
