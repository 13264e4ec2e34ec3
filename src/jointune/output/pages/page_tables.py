"""Tables of a page: rows of formatted cells, with notes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from jointune.evaluation.score_table import ScoreTable
from jointune.output.pages.figures import count, interval, score


class Estimated(Protocol):
    """A score and its interval, to draw."""

    @property
    def value(self) -> float:
        """The score."""

    @property
    def low(self) -> float:
        """The lower end."""

    @property
    def high(self) -> float:
        """The upper end."""


@dataclass(frozen=True)
class Value:
    """A cell of a table.

    Attributes:
        text: the figure or name.
        small: smaller text under it.
        tone: ``good``, ``bad`` or ``mute``; the class of the text in HTML.
        heat: how deeply it is coloured, 0 to 1.
        estimate: a score and its interval, to draw.
    """

    text: str
    small: str = ""
    tone: str = ""
    heat: float | None = None
    estimate: Estimated | None = None

    def __str__(self) -> str:
        return f"{self.text} ({self.small})" if self.small else self.text


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, its alignment, and a heading above it that neighbours may share.

    A column of drawings is in HTML only; its heading is the axis.
    """

    name: str
    align: Literal["l", "r"] = "r"
    group: str = ""
    drawing: bool = False


class Table:
    """Rows under headings; the first cell of a row heads it.

    Args:
        caption: what the rows are.
        columns: each a ``Column``, or a text for a right-aligned one.
        rows: cells, each a ``Value`` or a text.
        notes: for under the table.
        folded: in HTML, fold the table under these words.
        marked: the index of the row that stands out, if one does.
        axis: the two ends of the axis of its drawings.
    """

    def __init__(
        self,
        caption: str,
        columns: Sequence[Any],
        rows: Sequence[Sequence[Any]],
        notes: Sequence[str] = (),
        folded: str = "",
        marked: int | None = None,
        axis: tuple[float, float] | None = None,
    ) -> None:
        self.caption, self.notes, self.folded, self.marked, self.axis = caption, notes, folded, marked, axis
        self.columns = [column if isinstance(column, Column) else Column(column) for column in columns]
        self.rows = [[value if isinstance(value, Value) else Value(value) for value in row] for row in rows]


def confusion_table(name: str, metrics: ScoreTable) -> Table:
    """Count the labels that are confused, coloured by the share of the posts that truly have the label."""
    rows = []
    for label, counts in zip(metrics.labels, metrics.confusion_matrix, strict=True):
        total = max(sum(counts), 1)
        shares = [f"{100 * number / total:.0f} %" if sum(counts) and len(counts) <= 6 else "" for number in counts]
        row = zip(counts, shares, strict=True)
        rows.append([Value(label), *(Value(count(number), share, heat=number / total) for number, share in row)])
    return Table(name, [Column("true ↓ predicted →", "l"), *metrics.labels], rows)


def class_table(name: str, metrics: ScoreTable) -> Table:
    """List precision, recall and F1 of each label, with their intervals."""
    rows = [
        [
            Value(label),
            Value(score(row.precision), interval(*row.precision_ci)),
            Value(score(row.recall), interval(*row.recall_ci)),
            Value(score(row.f1), interval(*row.f1_ci)),
            Value(count(row.support)),
        ]
        for label, row in metrics.by_label().items()
    ]
    return Table(name, [Column("label", "l"), "precision", "recall", "F1", "support"], rows)
