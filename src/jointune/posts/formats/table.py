"""What every format gives: named columns, and rows that know where they stand."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from jointune.posts.problems import Problem


class Row(NamedTuple):
    """One row: how messages name it, its values by column, and why they could not be read, if so."""

    where: str
    values: Mapping[str, object]
    problem: Problem | None = None


class Table(Protocol):
    """Rows of one file, read as often as asked, never all in memory."""

    path: Path

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        ...

    def rows(self) -> Iterator[Row]:
        """Each row in file order; one that is malformed on its own has a problem instead of values.

        Raises:
            PostsError: the file is damaged from here on; the message names the first bad row.
        """
        ...

    def untyped_rows(self) -> Iterator[Row]:
        """The rows again where any may be malformed; none where the format itself keeps them well formed.

        They are read before any work is done: pictures among them would be read for nothing.
        """
        ...

    def count(self) -> int:
        """The number of rows, read without decoding pictures; raises what ``rows`` raises."""
        ...
