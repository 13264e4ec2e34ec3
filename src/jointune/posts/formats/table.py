"""What every format gives: named columns, and rows that know where they stand."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol


class Row(NamedTuple):
    """One row: how messages name it, and its values by column."""

    where: str
    values: Mapping[str, object]


class Table(Protocol):
    """Rows of one file, read as often as asked, never all in memory."""

    path: Path

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        ...

    def rows(self) -> Iterator[Row]:
        """Each row in file order.

        Raises:
            PostsError: the file is damaged; the message names the first bad row.
        """
        ...

    def count(self) -> int:
        """The number of rows, read without decoding pictures; raises what ``rows`` raises."""
        ...
