"""Draw small charts for a page as inline SVG in the page's own colours."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from jointune.evaluation.metrics import confidence_bins
from jointune.output.pages.figures import score
from jointune.utils.extras import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 15

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


def reliability(confidence: np.ndarray, right: np.ndarray, of: str, ece: float, name: str) -> str:
    """Draw the share of right predictions against confidence; a point's area grows with its number of predictions.

    Args:
        confidence: of each prediction, float [N].
        right: whether it is right, bool [N].
        of: who predicts.
        ece: the expected calibration error.
        name: unique among the drawings of the page.
    """
    bin_of = confidence_bins(confidence, BINS)
    number = np.bincount(bin_of, minlength=BINS)
    filled = number > 0
    sums = (np.bincount(bin_of, weights=values, minlength=BINS) for values in (confidence, right))
    mean, share = (total[filled] / number[filled] for total in sums)
    with canvas(200, 190) as figure:
        axes = figure.add_axes((0.17, 0.2, 0.8, 0.76))
        axes.plot([0, 1], [0, 1], color=MUTE, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(mean, share, color=METHOD, linewidth=1.4, alpha=0.7)
        area = 12 + 110 * number[filled] / number.max()
        axes.scatter(mean, share, s=area, color=METHOD, edgecolors=PAPER, linewidths=0.8, zorder=3)
        axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.03), xlabel="confidence")
        for set_ticks in (axes.set_xticks, axes.set_yticks):
            set_ticks([0, 0.5, 1], ["0", "0.5", "1"])
        return inline_svg(figure, name, f"Reliability of {of}: expected calibration error {score(ece)}")


@contextmanager
def canvas(width: float, height: float) -> Iterator["Figure"]:
    """Yield a figure of ``width`` by ``height`` CSS pixels in the page's style.

    matplotlib's own settings are changed inside the block, and put back at its end.
    """
    matplotlib = require("matplotlib", "train", "a report")
    figure = require("matplotlib.figure", "train", "a report")

    plain = {name: value for name, value in matplotlib.rcParamsDefault.items() if name.split(".")[0] in _STYLED}
    with matplotlib.rc_context({**plain, **_STYLE}):
        yield figure.Figure(figsize=(width / 72, height / 72), dpi=72)


def inline_svg(figure: "Figure", name: str, label: str) -> str:
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
