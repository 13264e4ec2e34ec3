"""Write the report of a comparison: a page, the same in Markdown, and two tables."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jointune.comparison.comparison import Comparison
from jointune.comparison.report import answer, report_tables, run_tables
from jointune.comparison.report.caveats import limits
from jointune.comparison.report.charts import learning_curve
from jointune.comparison.report.disagreements import disagreements
from jointune.comparison.report.pooled import Pool, pool_predictions
from jointune.comparison.summary import COSTS, Line, Summary
from jointune.output.pages.drawings import reliability
from jointune.output.pages.figures import budget_name, score
from jointune.output.pages.page_tables import class_table, confusion_table
from jointune.output.pages.render import render
from jointune.output.writers import safe_cell
from jointune.utils.files import atomic_file
from jointune.utils.wording import encodable

REPORT = ("report.html", "report.md", "cells.csv", "summary.csv")
"""The files of a report."""

CELL_COLUMNS = ("method", "fold", "seed", "labels_per_class")

TITLES = {
    "answer": "The answer",
    "scores": "Scores",
    "curve": "Learning curve",
    "cost": "Cost against quality",
    "confusion": "Confused labels",
    "calibration": "Reliability",
    "posts": "Posts on which methods disagree",
    "limits": "What cannot be concluded",
    "setting": "What was run",
}
"""The headings of the sections, by their anchors."""


def write_report(comparison: Comparison, folder: Path, reference: str | None = None) -> list[Path]:
    """Write ``report.html``, ``report.md``, ``cells.csv`` and ``summary.csv``, in place of earlier ones.

    The same comparison gives the same bytes. The page needs nothing but itself. It shows texts and images of posts;
    the other files hold figures only.

    Args:
        comparison: its results.
        folder: where to write.
        reference: the method that the others are compared with; ``joint`` by default, or the first.

    Returns:
        The paths of the files.

    Raises:
        OutputError: a file cannot be written.
        MissingExtraError: matplotlib or jinja2 is not installed.
    """
    summary = comparison.summary(reference)
    content = _content(comparison, summary)
    markdown = render("comparison.md.j2", content, False, __package__)
    files = (
        render("comparison.html.j2", content, True, __package__),
        re.sub(r"\n{3,}", "\n\n", markdown).strip() + "\n",
        _csv(comparison.table(), CELL_COLUMNS),
        _csv([_summary_row(line, summary) for line in summary.lines], ("method", "labels_per_class")),
    )
    paths = [folder / name for name in REPORT]
    for path, text in zip(paths, files, strict=True):
        with atomic_file(path) as temporary:
            temporary.write_bytes(encodable(text).encode("utf-8"))
    return paths


def _content(comparison: Comparison, summary: Summary) -> dict[str, Any]:
    """Return sentences, tables and charts, for both templates."""
    budgets, reference = comparison.budgets, summary.reference
    lines = [summary.at(budget) for budget in budgets]
    pools = pool_predictions(comparison, budgets[-1]) if budgets else []
    confused = pools if comparison.target.each_one_label else []
    shown = {"confusion": comparison.labels, "calibration": comparison.target.each_one_label}
    left_out = [key for key, any_shown in shown.items() if not any_shown]
    return {
        "titles": {key: text for key, text in TITLES.items() if key not in left_out},
        "title": f"Comparison of methods on {comparison.posts.name}",
        "reference": reference,
        "main": summary.main,
        "explained": comparison.target.scores_explained,
        "labelled": bool(comparison.labels),
        "one_label": comparison.target.each_one_label,
        "methods": comparison.methods,
        "several_folds": len({result.cell.fold for result in comparison.results}) > 1,
        "largest": budget_name(budgets[-1] if budgets else None),
        "finished": bool(budgets),
        "margin": answer.MARGIN,
        "question": answer.question(comparison),
        "answer": answer.answer(comparison, summary),
        "answer_cautions": answer.cautions(comparison, summary, budgets[-1]) if budgets else [],
        "answer_table": report_tables.answer_table(summary, budgets[-1]) if budgets else None,
        "further": answer.further(comparison, summary) if budgets else [],
        "score_tables": [
            # The cautions of the largest budget stand in the answer.
            (
                report_tables.score_table(summary, budget),
                answer.cautions(comparison, summary, budget) if budget != budgets[-1] else [],
            )
            for budget in reversed(budgets)
        ],
        "bases": _interval_bases(summary),
        "curve_panels": _curve_panels(comparison, summary) if len(budgets) > 1 else [],
        "curve_table": report_tables.curve_table(summary, comparison),
        "savings": [answer.saving_sentence(saving, reference, summary.main) for saving in summary.saved],
        "saved_table": report_tables.saved_table(summary),
        "cost_tables": [report_tables.cost_table(of_budget) for of_budget in reversed(lines)],
        "confusion_tables": [confusion_table(pool.method, pool.metrics) for pool in confused],
        "class_tables": [class_table(pool.method, pool.metrics) for pool in pools if pool.labels],
        "reliability_panels": [_reliability_panel(pool, number) for number, pool in enumerate(confused)],
        "calibration_table": report_tables.calibration_table(confused),
        "disagreements": disagreements(comparison, pools),
        "limits": limits(comparison, summary),
        "facts": run_tables.facts(comparison),
        "method_table": run_tables.method_table(comparison),
        "settings_table": run_tables.settings_table(comparison),
        "label_table": run_tables.label_table(comparison),
        "fold_table": run_tables.fold_table(comparison),
        "failures": comparison.failures,
    }


def _curve_panels(comparison: Comparison, summary: Summary) -> list[tuple[str, str, str]]:
    curves = {method: [line for line in summary.lines if line.method == method] for method in comparison.methods}
    return [
        (
            method,
            score(curves[method][-1].score.value),
            learning_curve(curves, method, summary.reference, f"learning-{number}"),
        )
        for number, method in enumerate(comparison.methods)
        if method != summary.reference or len(comparison.methods) == 1
    ]


def _reliability_panel(pool: Pool, number: int) -> tuple[str, str, str]:
    return (
        pool.method,
        f"ECE {score(pool.metrics.ece)}",
        reliability(pool.confidence, pool.right, pool.method, pool.metrics.ece, f"reliability-{number}"),
    )


def _interval_bases(summary: Summary) -> dict[str, list[str]]:
    """Return each variation that intervals include, and the methods and budgets whose intervals do."""
    bases: dict[str, list[str]] = {}
    for line in summary.lines:
        of_line = [line.score.basis, *(difference.basis for difference in line.differences.values())]
        for basis in dict.fromkeys(of_line):
            bases.setdefault(basis, []).append(f"{line.method} with {budget_name(line.budget)}")
    return bases


def _summary_row(line: Line, summary: Summary) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": line.method,
        "labels_per_class": "all" if line.budget is None else line.budget,
        "trainings": line.runs,
        "training_posts": line.train_size,
        "reference": summary.reference,
    }
    for name in summary.target.compared:
        estimate = line.scores[name]
        row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    for name in summary.target.compared:
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
    """Return the rows as CSV in which no cell is a formula; without rows, the header ``otherwise``."""
    plain = [{name: _csv_value(value) for name, value in row.items()} for row in rows]
    written = io.StringIO()
    writer = csv.DictWriter(written, list(plain[0]) if plain else list(otherwise), lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain)
    return written.getvalue()


def _csv_value(value: Any) -> Any:
    if isinstance(value, str):
        return safe_cell(value)
    return round(value, 6) if isinstance(value, float) else value
