"""What every format gives: named columns, and rows that know where they stand."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from jointune.data.problems import Problem
from jointune.data.tables.encoding import advice
from jointune.errors import PostsError

MOST_COLUMNS = 100_000
"""Of one table."""

MOST_CHARACTERS = 16 * 2**20
"""Of one row in a text format, which is in memory as a whole."""

MOST_DEPTH = 100
"""Of lists and objects within each other in one JSON value."""


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


@contextmanager
def clear_read_errors(path: Path) -> Iterator[None]:
    """Turn what the system or a decoder says against a file into one clear error."""
    try:
        yield
    except OSError as reason:
        raise PostsError(
            f"{path}: not readable: {reason.strerror or reason}", "correct the path or its permissions"
        ) from reason
    except UnicodeError as reason:
        raise PostsError(f"{path.name}: not in the encoding that was meant: {reason}", f"{advice(path)}") from reason


TableT = TypeVar("TableT", bound=Table)


def with_clear_errors(rows: Callable[[TableT], Iterator[Row]]) -> Callable[[TableT], Iterator[Row]]:
    """Have ``rows`` of a table raise nothing but errors that name the file, also where that is gone by then."""

    @wraps(rows)
    def read(table: TableT) -> Iterator[Row]:
        with clear_read_errors(table.path):
            yield from rows(table)

    return read
