"""Draw the charts of a report as inline SVG: one small panel per method."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from jointune.comparison.figures import count, score
from jointune.comparison.report.pooled import Pool
from jointune.comparison.summary import Line
from jointune.evaluation.score_table import title
from jointune.utils.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

APART = 3.5
"""CSS pixels by which a panel's method and the reference stand left and right of their number of posts."""

_COLOURS = {f"#f0f0f{n}": name for n, name in enumerate(("ink", "mute", "rule", "paper", "method", "reference"), 1)}
"""Colours that are replaced by the page's own."""

INK, MUTE, RULE, PAPER, METHOD, REFERENCE = _COLOURS

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": MUTE,
    "axes.labelcolor": INK,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 1,
    "axes.facecolor": "none",
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": RULE,
    "grid.linewidth": 1,
    "xtick.color": MUTE,
    "ytick.color": MUTE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 4,
    "ytick.major.size": 0,
}
_STYLED = {"axes", "xtick", "ytick", "lines", "font", "svg", "figure", "savefig", "text", "grid", "patch", "path"}


def learning_curve(curves: Mapping[str, Sequence[Line]], method: str, reference: str, name: str) -> str:
    """Draw the main score of a method and the reference by training posts, with intervals; the others as thin lines.

    Args:
        curves: the lines of each method, by ascending budget; all panels of a report get the same, for equal axes.
        method: of the panel.
        reference: the method that all are compared with.
        name: unique among the drawings of the page.
    """
    everything = [line for lines in curves.values() for line in lines]
    sizes = sorted({line.train_size for line in everything})
    with _canvas(260, 210) as figure:
        axes: Axes = figure.add_axes((0.15, 0.2, 0.82, 0.77))
        axes.grid(axis="x", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xscale("log", base=2)
        margin = 0.09 * max(np.log2(sizes[-1] / sizes[0]), 0.5)
        axes.set_xlim(sizes[0] * 2**-margin, sizes[-1] * 2**margin)
        _score_axis(axes, everything)
        for other, lines in curves.items():
            if other not in (method, reference):
                values = [line.score.value for line in lines]
                axes.plot([line.train_size for line in lines], values, color=MUTE, alpha=0.45, linewidth=1)
        step = APART * np.log2(axes.get_xlim()[1] / axes.get_xlim()[0]) / (260 * 0.82)  # of a pixel, in powers of two
        drawn = [(reference, REFERENCE, "s", -step if method != reference else 0.0)]
        drawn += [(method, METHOD, "o", step)] if method != reference else []
        for one, colour, marker, moved in drawn:
            places = [line.train_size * 2**moved for line in curves.get(one, [])]
            scores = [line.score for line in curves.get(one, [])]
            axes.vlines(places, [s.low for s in scores], [s.high for s in scores], color=colour, linewidth=1.4)
            axes.plot(
                places,
                [estimate.value for estimate in scores],
                color=colour,
                linewidth=1.6,
                marker=marker,
                markersize=6,
                markeredgecolor=PAPER,
                zorder=3,
            )
        _size_axis(axes, sizes, apart=34)
        return _inline_svg(
            figure, name, f"{_capital(everything[0].main)} of {method} and {reference} against training posts"
        )


def reliability(pool: Pool, name: str) -> str:
    """Draw the share of right predictions against confidence; a point's area grows with its number of predictions.

    Args:
        pool: the predictions.
        name: unique among the drawings of the page.
    """
    confidence, right, number = pool.bins()
    with _canvas(200, 190) as figure:
        axes = figure.add_axes((0.17, 0.2, 0.8, 0.76))
        axes.plot([0, 1], [0, 1], color=MUTE, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(confidence, right, color=METHOD, linewidth=1.4, alpha=0.7)
        area = 12 + 110 * number / number.max()
        axes.scatter(confidence, right, s=area, color=METHOD, edgecolors=PAPER, linewidths=0.8, zorder=3)
        axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.03), xlabel="confidence")
        for set_ticks in (axes.set_xticks, axes.set_yticks):
            set_ticks([0, 0.5, 1], ["0", "0.5", "1"])
        label = f"Reliability of {pool.method}: expected calibration error {score(pool.metrics.ece)}"
        return _inline_svg(figure, name, label)


def _capital(name: str) -> str:
    shown = title(name)
    return shown[0].upper() + shown[1:]


def _score_axis(axes: "Axes", lines: Sequence[Line]) -> None:
    low = min(line.score.low for line in lines)
    high = max(line.score.high for line in lines)
    spare = max(0.04 * (high - low), 0.01)
    axes.set_ylim(max(low - spare, 0.0) if low >= 0 else low - spare, min(high + spare, 1.0))
    axes.locator_params(axis="y", nbins=5)
    places = [place for place in axes.get_yticks() if axes.get_ylim()[0] <= place <= axes.get_ylim()[1]]
    axes.set_yticks(places, [f"{place:.2f}" for place in places])


def _size_axis(axes: "Axes", places: Sequence[float], apart: float) -> None:
    """Put ticks at these places if their labels do not touch; at the last one always."""
    from matplotlib.ticker import NullLocator

    across = [axes.transData.transform((place, 0))[0] for place in places]
    shown: list[int] = []
    for index in reversed(range(len(places))):
        if not shown or across[shown[-1]] - across[index] >= apart:
            shown.append(index)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks([places[index] for index in shown], [count(places[index]) for index in shown])
    axes.set_xlabel("training posts")


@contextmanager
def _canvas(width: float, height: float) -> Iterator["Figure"]:
    """Yield a figure of ``width`` by ``height`` CSS pixels in the report's style.

    matplotlib's own settings are changed inside the block, and put back at its end.
    """
    matplotlib = require("matplotlib", "train", "the report of a comparison")
    figure = require("matplotlib.figure", "train", "the report of a comparison")

    plain = {name: value for name, value in matplotlib.rcParamsDefault.items() if name.split(".")[0] in _STYLED}
    with matplotlib.rc_context({**plain, **_STYLE}):
        yield figure.Figure(figsize=(width / 72, height / 72), dpi=72)


def _inline_svg(figure: "Figure", name: str, label: str) -> str:
    """Return the SVG of a figure for the body of a page; ``label`` is for screen readers."""
    import matplotlib as mpl

    written = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(written, format="svg", metadata={"Date": None})
    width, height = figure.get_size_inches() * 72
    body = written.getvalue().partition("<svg")[2].partition(">")[2]
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r"#f0f0f\d", lambda colour: f"var(--{_COLOURS[colour[0]]})", body)
    body = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font-size: \1px", body)
    # A part that nothing refers to needs no name, and names must be unique on the page.
    used = set(re.findall(r"#([\w-]+)", body))
    body = re.sub(r' id="([^"]+)"', lambda part: f' id="{name}-{part[1]}"' if part[1] in used else "", body)
    body = body.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'href="#{name}-')
    opening = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
    return opening + re.sub(r"\s*\n\s*", "\n", body).strip()
