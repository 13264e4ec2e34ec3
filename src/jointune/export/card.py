"""The model card of an exported model."""

from collections.abc import Mapping
from typing import Any

from jointune.counting import counted
from jointune.extras import install_command
from jointune.report.card import with_interval
from jointune.report.markdown import literal, table


def export_card(card: str, precision: str, posts: str, report: Mapping[str, Mapping[str, Any]]) -> str:
    """The bundle's card with a section on the export.

    Args:
        card: of the bundle, Markdown.
        precision: ``fp32`` or ``int8``.
        posts: what the graph was checked on.
        report: what ``export`` found, by precision.
    """
    lines = [
        "## Export",
        "",
        f"One ONNX graph in {precision}, checked against torch on "
        f"{counted(report[precision]['posts'], 'post')} of {literal(posts)}:",
        "",
        *report_table(report),
        "",
        "Run it with `jointune predict`, `evaluate` or `serve`. What they need, without torch, is installed "
        f"{install_command('serve')}",
        "",
    ]
    return card + "\n" + "\n".join(lines)


def report_table(report: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A row for each precision: size, labels, scores."""
    rows = [
        [
            name,
            f"{found['bytes'] / 1e6:.1f} MB",
            f"{found['difference']:.1e}",
            f"{100 * found['same']:.1f} %",
            *("" if found[score] is None else with_interval(found, score) for score in ("accuracy", "macro_f1")),
        ]
        for name, found in report.items()
    ]
    return table(
        ["graph", "size", "largest difference of a logit", "same labels", "accuracy", "macro F1"], "lrrrrr", rows
    )
