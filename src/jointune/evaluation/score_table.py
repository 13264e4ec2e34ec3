"""Scores of a model on labelled posts, as text, as tables and as JSON values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

from jointune.utils.wording import counted

_TITLES = {"auroc": "AUROC", "ece": "ECE", "mae": "MAE", "rmse": "RMSE", "map": "mAP", "r2": "R²"}


class ScoreTable:
    """What the scores of all targets have in common; each is a data class of its own.

    Attributes:
        n: number of posts.
        with_intervals: names of the scores that have a 95 % interval, under the name with ``_ci`` added.
        without: names of further scores.
    """

    n: int
    with_intervals: ClassVar[tuple[str, ...]]
    without: ClassVar[tuple[str, ...]] = ()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON values."""
        return asdict(self)  # type: ignore[call-overload]  # each is a data class

    def by_label(self) -> Mapping[str, Any]:
        """Return the scores of each label; none where labels are numbers."""
        return getattr(self, "per_class", {})

    def __str__(self) -> str:
        return ", ".join(f"{title(name)} {with_interval(self, name)}" for name in self.with_intervals)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} on {counted(self.n, 'post')}, with 95 % intervals:"]
        lines += [f"  {name}: {score}" for name, score in self._overall()]
        lines += [f"  {label}: {scores}" for label, scores in self.by_label().items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return tables for a notebook."""
        overall = html_table(["score", "value (95 % interval)"], self._overall())
        rows = [
            (label, *(with_interval(scores, name) for name in ("precision", "recall", "f1")), f"{scores.support:,}")
            for label, scores in self.by_label().items()
        ]
        by_label = html_table(["label", "precision", "recall", "F1", "posts"], rows) if rows else ""
        return f"<p>{counted(self.n, 'post')}</p>{overall}{by_label}"

    def _overall(self) -> list[tuple[str, str]]:
        scores = [(title(name), with_interval(self, name)) for name in self.with_intervals]
        plain = [(name, getattr(self, name)) for name in self.without]
        return scores + [(title(name), f"{value:.3f}") for name, value in plain if value is not None]


def with_interval(scores: Any, name: str) -> str:
    """Return the score of this name and its interval, as text; ``scores`` are an object or its JSON values.

    Bundles of earlier versions have no intervals for single labels.
    """
    values = scores if isinstance(scores, Mapping) else vars(scores)
    if f"{name}_ci" not in values:
        return f"{values[name]:.3f}"
    low, high = values[f"{name}_ci"]
    return f"{values[name]:.3f} ({low:.3f} to {high:.3f})"


def title(name: str) -> str:
    """Return the name of a score for people."""
    return _TITLES.get(name, name.replace("_", " ").replace("f1", "F1"))


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a notebook."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
