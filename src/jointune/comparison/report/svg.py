"""Drawings by matplotlib as SVG that takes its colours and its font from the page."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from jointune.extras import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTE, RULE, PAPER, METHOD, REFERENCE = (f"#f0f0f{number}" for number in range(1, 7))
"""Colours that stand for the page's own."""

_NAMES = {INK: "ink", MUTE: "mute", RULE: "rule", PAPER: "paper", METHOD: "method", REFERENCE: "reference"}
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 12,
    "text.color": INK,
    "axes.edgecolor": MUTE,
    "axes.labelcolor": INK,
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
    "xtick.major.size": 4,
    "ytick.major.size": 0,
}


@contextmanager
def canvas(width: float, height: float) -> Iterator["Figure"]:
    """A figure of ``width`` by ``height`` CSS pixels, in the report's style whatever the user's own is."""
    matplotlib = require("matplotlib", "train", "the report of a comparison")
    figure = require("matplotlib.figure", "train", "the report of a comparison")

    plain = {name: value for name, value in matplotlib.rcParamsDefault.items() if name.split(".")[0] in _STYLED}
    with matplotlib.rc_context({**plain, **_STYLE}):
        yield figure.Figure(figsize=(width / 72, height / 72), dpi=72)


def inline_svg(figure: "Figure", name: str, label: str) -> str:
    """The SVG of a figure for the body of a page.

    Args:
        figure: from ``canvas``, inside its block.
        name: what its parts are called after, unlike that of any other drawing on the page.
        label: what a screen reader says.
    """
    import matplotlib as mpl

    written = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(written, format="svg", metadata={"Date": None})
    width, height = figure.get_size_inches() * 72
    body = written.getvalue().partition("<svg")[2].partition(">")[2]
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r"#f0f0f\d", lambda found: f"var(--{_NAMES[found[0]]})", body)
    body = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font-size: \1px", body)
    # A part that nothing refers to needs no name, and names must be unique on the page.
    used = set(re.findall(r"#([\w-]+)", body))
    body = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", body)
    body = body.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'href="#{name}-')
    opening = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
    return opening + re.sub(r"\s*\n\s*", "\n", body).strip()


_STYLED = {"axes", "xtick", "ytick", "lines", "font", "svg", "figure", "savefig", "text", "grid", "patch", "path"}
