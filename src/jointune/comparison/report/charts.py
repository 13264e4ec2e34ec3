"""The drawings in the report of a comparison: one small panel a method."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jointune.comparison.report.figures import count
from jointune.comparison.report.svg import METHOD, MUTE, PAPER, REFERENCE, canvas, inline_svg
from jointune.comparison.summary import Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

APART = 3.5
"""CSS pixels by which a panel's method and the reference stand left and right of their number of posts."""


def learning_curve(curves: Mapping[str, Sequence[Line]], method: str, reference: str, name: str) -> str:
    """Macro F1 of a method against training posts, with intervals, beside the reference; the others are thin lines.

    Args:
        curves: the lines of each method, by ascending budget; all panels of a report get the same, for equal axes.
        method: whose panel it is.
        reference: the method that all are compared with.
        name: unlike that of any other drawing.
    """
    everything = [line for lines in curves.values() for line in lines]
    sizes = sorted({line.learned for line in everything})
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
                values = [line.scores["macro_f1"].value for line in lines]
                axes.plot([line.learned for line in lines], values, color=MUTE, alpha=0.45, linewidth=1)
        step = APART * np.log2(axes.get_xlim()[1] / axes.get_xlim()[0]) / (260 * 0.82)  # of a pixel, in powers of two
        drawn = [(reference, REFERENCE, "s", -step if method != reference else 0.0)]
        drawn += [(method, METHOD, "o", step)] if method != reference else []
        for one, colour, marker, moved in drawn:
            lines = curves.get(one, [])
            places = [line.learned * 2**moved for line in lines]
            scores = [line.scores["macro_f1"] for line in lines]
            axes.vlines(places, [s.low for s in scores], [s.high for s in scores], color=colour, linewidth=1.4)
            axes.plot(
                places,
                [found.value for found in scores],
                color=colour,
                linewidth=1.6,
                marker=marker,
                markersize=6,
                markeredgecolor=PAPER,
                zorder=3,
            )
        _ticks(axes, sizes, 34)
        axes.set_xlabel("training posts", fontsize=11)
        axes.tick_params(labelsize=11)
        return inline_svg(figure, name, f"Macro F1 of {method} and {reference} against training posts")


def reliability(sure: np.ndarray, right: np.ndarray, number: np.ndarray, name: str, label: str) -> str:
    """Share of right predictions against confidence; a point's area goes with its number of predictions.

    Args:
        sure: mean confidence of each bin, float [B].
        right: share of right predictions of each bin, float [B].
        number: of predictions in each bin, int [B].
        name: unlike that of any other drawing.
        label: what a screen reader says.
    """
    with canvas(200, 190) as figure:
        axes = figure.add_axes((0.17, 0.2, 0.8, 0.76))
        axes.plot([0, 1], [0, 1], color=MUTE, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(sure, right, color=METHOD, linewidth=1.4, alpha=0.7)
        area = 12 + 110 * number / number.max()
        axes.scatter(sure, right, s=area, color=METHOD, edgecolors=PAPER, linewidths=0.8, zorder=3)
        axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.03), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], xlabel="confidence")
        axes.set_xticklabels(["0", "0.5", "1"])
        axes.set_yticklabels(["0", "0.5", "1"])
        axes.tick_params(labelsize=11)
        axes.xaxis.label.set_fontsize(11)
        return inline_svg(figure, name, label)


def _score_axis(axes: "Axes", lines: Sequence[Line]) -> None:
    low = min(line.scores["macro_f1"].low for line in lines)
    high = max(line.scores["macro_f1"].high for line in lines)
    spare = max(0.04 * (high - low), 0.01)
    axes.set_ylim(max(low - spare, 0.0), min(high + spare, 1.0))
    axes.locator_params(axis="y", nbins=5)
    places = [place for place in axes.get_yticks() if axes.get_ylim()[0] <= place <= axes.get_ylim()[1]]
    axes.set_yticks(places, [f"{place:.2f}" for place in places])


def _ticks(axes: "Axes", places: Sequence[float], apart: float) -> None:
    """Ticks at these places, as far as their labels do not touch; the last one always."""
    from matplotlib.ticker import NullLocator

    across = [axes.transData.transform((place, 0))[0] for place in places]
    kept: list[int] = []
    for index in reversed(range(len(places))):
        if not kept or across[kept[-1]] - across[index] >= apart:
            kept.append(index)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks([places[index] for index in kept], [count(places[index]) for index in kept])
