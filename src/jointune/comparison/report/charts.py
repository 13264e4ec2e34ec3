"""The drawings in the report of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jointune.comparison.report.figures import amount, count
from jointune.comparison.report.svg import MUTE, PAPER, canvas, inline_svg, series_colour
from jointune.comparison.summary import Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "*")
STROKES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
QUICKEST = 0.1
"""Seconds below which a training is drawn as if it had taken so many: a logarithm knows no zero."""

WIDE, NARROW = (920, 460), (350, 340)
_LINE_HEIGHT = 15.0


@dataclass(frozen=True)
class Look:
    """How a method is drawn, everywhere alike."""

    colour: str
    marker: str
    stroke: Any
    weight: float
    shade: float


def looks(methods: Sequence[str], reference: str) -> dict[str, Look]:
    """A look for each method: colour, marker and stroke all tell it from its neighbours."""
    return {
        name: Look(
            series_colour(number),
            MARKERS[number % len(MARKERS)],
            STROKES[number % len(STROKES)],
            2.6 if name == reference else 1.6,
            0.16 if name == reference else 0.07,
        )
        for number, name in enumerate(methods)
    }


def legend(shown: Mapping[str, Look], lines: bool, name: str) -> list[tuple[str, str]]:
    """Each method with a small SVG of how it is drawn."""
    found = []
    for number, (method, look) in enumerate(shown.items()):
        with canvas(34, 14) as figure:
            axes = figure.add_axes((0, 0, 1, 1))
            axes.set_axis_off()
            axes.set_xlim(0, 1)
            if lines:
                axes.plot([0.05, 0.95], [0, 0], color=look.colour, linestyle=look.stroke, linewidth=look.weight)
            axes.plot([0.5], [0], color=look.colour, marker=look.marker, markersize=7, markeredgecolor=PAPER)
            found.append((method, inline_svg(figure, f"{name}-{number}", method)))
    return found


def learning_curves(curves: Mapping[str, Sequence[Line]], shown: Mapping[str, Look], wide: bool) -> str:
    """Macro F1 against training posts: one line a method, with a band for its interval.

    Args:
        curves: the lines of each method, by ascending budget.
        shown: the look of each method.
        wide: whether for a wide screen, with the methods' names at the lines' ends.
    """
    width, height = WIDE if wide else NARROW
    with canvas(width, height) as figure:
        axes = _axes(figure, wide, right=150)
        axes.set_xscale("log", base=2)
        for number, (method, lines) in enumerate(curves.items()):
            look = shown[method]
            sizes = [line.learned for line in lines]
            scores = [line.scores["macro_f1"] for line in lines]
            lows, highs = [found.low for found in scores], [found.high for found in scores]
            axes.fill_between(sizes, lows, highs, color=look.colour, alpha=look.shade, linewidth=0)
            axes.plot(
                sizes,
                [found.value for found in scores],
                color=look.colour,
                linestyle=look.stroke,
                linewidth=look.weight,
                marker=look.marker,
                markersize=7,
                markeredgecolor=PAPER,
                zorder=40 - number,
            )
        everything = [line for lines in curves.values() for line in lines]
        _score_axis(axes, [line.scores["macro_f1"] for line in everything])
        sizes = sorted({line.learned for line in everything})
        margin = 0.04 * max(np.log2(sizes[-1] / sizes[0]), 0.5)
        axes.set_xlim(sizes[0] * 2**-margin, sizes[-1] * 2**margin)
        _ticks(axes, sizes, 44 if wide else 36)
        axes.set_xlabel("training posts (logarithmic)")
        if wide:
            _name_ends(axes, curves, shown)
        name = f"learning-{'wide' if wide else 'narrow'}"
        return inline_svg(figure, name, f"Macro F1 against training posts of {len(curves)} methods")


def cost_and_quality(lines: Sequence[Line], shown: Mapping[str, Look], wide: bool) -> str:
    """Macro F1 against seconds of training: one point a method, with its interval.

    Args:
        lines: one of each method.
        shown: the look of each method.
        wide: whether for a wide screen, with the methods' names beside the points.
    """
    width, height = WIDE if wide else NARROW
    with canvas(width, height) as figure:
        axes = _axes(figure, wide, right=24)
        axes.set_xscale("log")
        seconds = [max(line.cost["train_seconds"] or 0.0, QUICKEST) for line in lines]
        for line, x in zip(lines, seconds, strict=True):
            look, found = shown[line.method], line.scores["macro_f1"]
            axes.plot([x, x], [found.low, found.high], color=look.colour, linewidth=1.6, alpha=0.55)
            axes.plot([x], [found.value], color=look.colour, marker=look.marker, markersize=9, markeredgecolor=PAPER)
        _score_axis(axes, [line.scores["macro_f1"] for line in lines])
        low, high = min(seconds), max(seconds)
        spare = max((high / low) ** 0.08, 1.25)
        axes.set_xlim(low / spare, high * spare ** (2 if wide else 1))
        _ticks(axes, _round_seconds(*axes.get_xlim()), 50 if wide else 36)
        axes.set_xlabel("seconds of training (logarithmic)")
        if wide:
            _name_points(axes, lines, seconds)
        name = f"cost-{'wide' if wide else 'narrow'}"
        return inline_svg(figure, name, f"Macro F1 against seconds of training of {len(lines)} methods")


def reliability(sure: np.ndarray, right: np.ndarray, number: np.ndarray, look: Look, name: str, label: str) -> str:
    """Share of right predictions against confidence; a point's area goes with its number of predictions.

    Args:
        sure: mean confidence of each bin, float [B].
        right: share of right predictions of each bin, float [B].
        number: of predictions in each bin, int [B].
        look: of the method.
        name: unlike that of any other drawing.
        label: what a screen reader says.
    """
    with canvas(200, 190) as figure:
        axes = figure.add_axes((0.17, 0.2, 0.8, 0.76))
        axes.plot([0, 1], [0, 1], color=MUTE, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(sure, right, color=look.colour, linewidth=1.4, alpha=0.7)
        area = 12 + 110 * number / number.max()
        axes.scatter(sure, right, s=area, color=look.colour, edgecolors=PAPER, linewidths=0.8, zorder=3)
        axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.03), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], xlabel="confidence")
        axes.set_xticklabels(["0", "0.5", "1"])
        axes.set_yticklabels(["0", "0.5", "1"])
        axes.tick_params(labelsize=11)
        axes.xaxis.label.set_fontsize(11)
        return inline_svg(figure, name, label)


def _axes(figure: Any, wide: bool, right: float) -> "Axes":
    """Axes with room for what stands around them, in CSS pixels."""
    width, height = figure.get_size_inches() * 72
    left, bottom, top = (56, 48, 26) if wide else (42, 44, 24)
    across = width - left - (right if wide else 12)
    axes: Axes = figure.add_axes((left / width, bottom / height, across / width, (height - bottom - top) / height))
    axes.grid(axis="x", visible=False)
    axes.spines["left"].set_visible(False)
    axes.text(2, height - 14, "macro F1", transform=None, va="center_baseline")
    return axes


def _score_axis(axes: "Axes", found: Sequence[Any]) -> None:
    low, high = min(entry.low for entry in found), max(entry.high for entry in found)
    spare = max(0.04 * (high - low), 0.01)
    axes.set_ylim(max(low - spare, 0.0), min(high + spare, 1.0))
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
    axes.set_xticks([places[index] for index in kept], [_tick(places[index]) for index in kept])


def _tick(place: float) -> str:
    return count(place) if place >= 10 else f"{place:g}" if place == round(place, 2) else amount(place)


def _round_seconds(low: float, high: float) -> list[float]:
    steps = (1, 2, 5) if high / low < 100 else (1,)
    tens = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [place for ten in tens for step in steps if low <= (place := float(f"{step}e{ten}")) <= high]


def _short(name: str, most: int = 20) -> str:
    name = " ".join(name.split())
    return name if len(name) <= most else name[: most - 1] + "…"


def _name_ends(axes: "Axes", curves: Mapping[str, Sequence[Line]], shown: Mapping[str, Look]) -> None:
    """Each method's name right of its line, moved up or down as far as names would overlap."""
    right = axes.transAxes.transform((1, 0))[0]
    ends = {}
    for method, lines in curves.items():
        ends[method] = axes.transData.transform((lines[-1].learned, lines[-1].scores["macro_f1"].value))
    names = sorted(ends, key=lambda method: (ends[method][1], method))
    low, high = axes.transAxes.transform((0, 0))[1], axes.transAxes.transform((0, 1))[1]
    places = _spread([float(ends[method][1]) for method in names], _LINE_HEIGHT, float(low), float(high))
    for method, place in zip(names, places, strict=True):
        look = shown[method]
        x, y = ends[method]
        _stroke(axes, [(x + 5, y), (right + 6, place), (right + 12, place)], look.colour)
        axes.text(
            right + 16, place, _short(method), transform=None, va="center_baseline", color=look.colour, parse_math=False
        )


def _spread(wanted: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones, which ascend, that lie apart and, with room enough, within ``low`` to ``high``."""
    clusters: list[tuple[float, int]] = []
    for place in wanted:
        centre, size = place, 1
        while clusters and centre - (size - 1) / 2 * apart < clusters[-1][0] + ((clusters[-1][1] - 1) / 2 + 1) * apart:
            other, others = clusters.pop()
            centre, size = (centre * size + other * others) / (size + others), size + others
        half = (size - 1) / 2 * apart
        clusters.append((max(min(centre, high - half), low + half), size))
    return [centre + (step - (size - 1) / 2) * apart for centre, size in clusters for step in range(size)]


def _name_points(axes: "Axes", lines: Sequence[Line], seconds: Sequence[float]) -> None:
    """Each method's name beside its point, where it covers no other name, point or interval."""
    spots: list[tuple[float, float]] = []
    taken: list[tuple[float, ...]] = []
    for line, second in zip(lines, seconds, strict=True):
        found = line.scores["macro_f1"]
        (x, y), (_, low), (_, high) = axes.transData.transform(
            [(second, found.value), (second, found.low), (second, found.high)]
        )
        spots.append((float(x), float(y)))
        taken += [(x - 7, y - 7, x + 7, y + 7), (x - 2, low, x + 2, high)]
    (left, bottom), (right, top) = axes.transAxes.transform([(0, 0), (1, 1)])
    for line, (x, y) in zip(lines, spots, strict=True):
        shown = _short(line.method)
        width = 7.2 * len(shown)
        best, least = (x, y, x, y), np.inf
        for step in range(6):
            for across, up in ((10, step), (-10 - width, step), (10, -step), (-10 - width, -step)):
                corner = x + across, y + up * 0.8 * _LINE_HEIGHT - 7
                box = (*corner, corner[0] + width, corner[1] + 14)
                outside = box[0] < left or box[2] > right + 20 or box[1] < bottom or box[3] > top
                bad = sum(_overlap(box, other) for other in taken) + 1e4 * outside + 6 * step
                if bad < least:
                    best, least = box, bad
        taken.append(best)
        if abs(best[1] + 7 - y) > 1:
            _stroke(axes, [(x, y), (best[0] if best[0] > x else best[2], best[1] + 7)], MUTE)
        axes.text(best[0], best[1] + 7, shown, transform=None, va="center_baseline", parse_math=False)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    up = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0.0) * max(up, 0.0)


def _stroke(axes: "Axes", points: Sequence[tuple[float, float]], colour: str) -> None:
    """A thin line in pixels of the figure."""
    from matplotlib.lines import Line2D

    across, up = zip(*points, strict=True)
    axes.add_artist(Line2D(across, up, transform=None, color=colour, linewidth=0.8, alpha=0.7, clip_on=False))
