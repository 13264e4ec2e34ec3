"""The report of a comparison: a page, the same in Markdown, and two tables."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jointune.comparison.comparison import Comparison
from jointune.comparison.report.as_markdown import comparison_markdown
from jointune.comparison.report.blocks import Section
from jointune.comparison.report.sections import sections
from jointune.comparison.summary import COSTS, SCORES, Line, Summary
from jointune.data.post import encodable
from jointune.utils.extras import require
from jointune.utils.files import atomic_file

REPORT = ("report.html", "report.md", "cells.csv", "summary.csv")
"""The files of a report."""

CELL_COLUMNS = ("method", "fold", "seed", "labels_per_class")


def write_report(comparison: Comparison, folder: Path, reference: str | None = None) -> list[Path]:
    """Write ``report.html``, ``report.md``, ``cells.csv`` and ``summary.csv``, in place of earlier ones.

    The same comparison gives the same bytes. The page needs nothing but itself. It shows texts and pictures of posts;
    the other files hold figures only.

    Args:
        comparison: what to report on.
        folder: where to write.
        reference: the method that the others are compared with; ``joint`` by default, or the first.

    Returns:
        The paths of the files.

    Raises:
        OutputError: a file cannot be written.
        MissingExtraError: matplotlib or jinja2 is not installed.
    """
    summary = comparison.summary(reference)
    title = f"Comparison of methods on {comparison.posts.name}"
    parts = sections(comparison, summary)
    written = (
        _page(title, parts),
        comparison_markdown(title, parts),
        _csv(comparison.table(), CELL_COLUMNS),
        _csv([_summary_row(line, summary) for line in summary.lines], ("method", "labels_per_class")),
    )
    paths = []
    for name, content in zip(REPORT, written, strict=True):
        path = folder / name
        with atomic_file(path) as temporary:
            temporary.write_bytes(encodable(content).encode("utf-8"))
        paths.append(path)
    return paths


def _page(title: str, parts: list[Section]) -> str:
    jinja2 = require("jinja2", "train", "the report of a comparison")

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jointune.comparison.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return str(environment.get_template("comparison.html.j2").render(title=title, sections=parts))


def _summary_row(line: Line, summary: Summary) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": line.method,
        "labels_per_class": "all" if line.budget is None else line.budget,
        "trainings": line.runs,
        "training_posts": line.learned,
        "reference": summary.reference,
    }
    for name in SCORES:
        found = line.scores[name]
        row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    for name in SCORES:
        difference = line.differences.get(name)
        row |= {
            f"{name}_reference_minus_it": difference.value if difference else None,
            f"{name}_reference_minus_it_low": difference.low if difference else None,
            f"{name}_reference_minus_it_high": difference.high if difference else None,
            f"{name}_p": difference.p_value if difference else None,
            f"{name}_p_holm": line.adjusted.get(name),
            f"{name}_verdict": line.verdict(name),
            f"{name}_reason": line.reason(name),
        }
    return row | {name: line.cost[name] for name in COSTS} | {"notes": "; ".join(line.notes)}


def _csv(rows: Iterable[Mapping[str, Any]], otherwise: Iterable[str]) -> str:
    """The rows as CSV, UTF-8; of none, the header ``otherwise``."""
    found = [{name: _rounded(value) for name, value in row.items()} for row in rows]
    written = io.StringIO()
    writer = csv.DictWriter(written, list(found[0]) if found else list(otherwise), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return written.getvalue()


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
