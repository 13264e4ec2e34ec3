"""What a report consists of, before it is HTML or Markdown: plain text and numbers as people read them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

Tone = Literal["", "good", "bad", "mute"]


@dataclass(frozen=True)
class Whisker:
    """A score and its interval on an axis that all rows share, for HTML only; all within 0 to 1, as shares of the axis.

    Attributes:
        low: lower end of the interval.
        value: the score.
        high: upper end of the interval.
        band: the interval of the reference.
        said: what a screen reader says.
    """

    low: float
    value: float
    high: float
    band: tuple[float, float] | None
    said: str


@dataclass(frozen=True)
class Value:
    """A table's cell.

    Attributes:
        text: what it says.
        below: what stands below it, smaller.
        tone: whether it is good news, bad news, or of less weight.
        heat: how deeply it is coloured, 0 to 1.
        whisker: what is drawn in it.
    """

    text: str
    below: str = ""
    tone: Tone = ""
    heat: float | None = None
    whisker: Whisker | None = None

    def __str__(self) -> str:
        return f"{self.text} ({self.below})" if self.below else self.text


@dataclass(frozen=True)
class Column:
    """A table's column.

    Attributes:
        name: its heading.
        align: ``l`` for left, ``r`` for right.
        group: the heading above it, which neighbours may share.
        drawing: whether only drawings stand in it, which are for HTML only.
    """

    name: str
    align: Literal["l", "r"] = "r"
    group: str = ""
    drawing: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under headings; the first cell of a row heads it.

    Attributes:
        caption: what the rows are.
        columns: their headings.
        rows: the cells.
        notes: what stands below the table.
        folded: the words to unfold it by, where it is folded at first.
        marked: the number of the row that stands out, if one does.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]
    notes: Sequence[str] = ()
    folded: str = ""
    marked: int | None = None

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The headings above the columns, each with the number of columns that it spans."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if found and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1] + 1)
            else:
                found.append((column.group, 1))
        return found


@dataclass(frozen=True)
class Paragraph:
    """One paragraph; ``strong`` ones stand out."""

    kind: ClassVar[str] = "paragraph"
    text: str
    strong: bool = False


@dataclass(frozen=True)
class Items:
    """A list; ``cautions`` stand out."""

    kind: ClassVar[str] = "items"
    texts: Sequence[str]
    cautions: bool = False


@dataclass(frozen=True)
class Notes:
    """Footnotes."""

    kind: ClassVar[str] = "notes"
    texts: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    kind: ClassVar[str] = "facts"
    entries: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Panels:
    """Small drawings side by side, for HTML only; each is a title, a line of text, and an SVG.

    Attributes:
        caption: how to read them.
        panels: the drawings.
        key: what the colours stand for: the colour's name on the page, and what it is.
    """

    kind: ClassVar[str] = "panels"
    caption: str
    panels: Sequence[tuple[str, str, str]]
    key: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Matrices:
    """Small tables side by side."""

    kind: ClassVar[str] = "matrices"
    tables: Sequence[Table]


@dataclass(frozen=True)
class Traces:
    """What crashed: a title, the reason, and the last lines printed, which only HTML shows."""

    kind: ClassVar[str] = "traces"
    traces: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Card:
    """A post.

    Attributes:
        name: what to find the post by.
        text: of the post; None where it has none.
        label: the true one.
        picture: a data URI; None where there is none to show.
        missing: why there is no picture.
        rows: method, prediction, confidence, and whether it is right.
    """

    name: str
    text: str | None
    label: str
    picture: str | None
    missing: str
    rows: Sequence[tuple[str, str, str, bool]]


@dataclass(frozen=True)
class Cards:
    """Posts, for HTML only: a report that is passed on as Markdown holds no post."""

    kind: ClassVar[str] = "cards"
    caption: str
    cards: Sequence[Card]


Block = Table | Paragraph | Items | Notes | Facts | Panels | Matrices | Traces | Cards


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        key: its anchor.
        title: its heading.
        lead: one sentence that says what one sees.
        blocks: its content.
    """

    key: str
    title: str
    lead: str
    blocks: Sequence[Block] = field(default_factory=list)
