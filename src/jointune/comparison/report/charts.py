"""Draw the charts of a report as inline SVG: one small panel per method."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jointune.comparison.summary import Line
from jointune.evaluation.score_table import title
from jointune.output.pages.drawings import METHOD, MUTE, PAPER, REFERENCE, canvas, inline_svg
from jointune.output.pages.figures import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

APART = 3.5
"""CSS pixels by which a panel's method and the reference stand left and right of their number of posts."""


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
    with canvas(260, 210) as figure:
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
        return inline_svg(
            figure, name, f"{_capital(everything[0].main)} of {method} and {reference} against training posts"
        )


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
