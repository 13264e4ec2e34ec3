"""The interface of every table format: named columns, and rows that know their place in the file."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from jointune.data.problems import Problem
from jointune.data.tables.encoding import advice
from jointune.errors import PostsError, first_line

MOST_COLUMNS = 100_000
"""Of one table."""

MOST_CHARACTERS = 16 * 2**20
"""Of one row in a text format, which is in memory as a whole."""

MOST_DEPTH = 100
"""Of nested lists and objects in one JSON value."""


class Row(NamedTuple):
    """One row: its name in messages, its values by column, and why they could not be read, if so."""

    where: str
    values: Mapping[str, object]
    problem: Problem | None = None


class Table(ABC):
    """The rows of one file, read as often as asked, never all in memory.

    Attributes:
        path: the file.
        columns: the names of the columns, in order.
    """

    path: Path
    columns: list[str]

    def rows(self) -> Iterator[Row]:
        """Yield each row in file order; a row that is malformed on its own has a problem instead of values.

        Raises:
            PostsError: the file is damaged from here on; the message names the first bad row.
        """
        with table_errors(self.path):
            yield from self._rows()

    @abstractmethod
    def _rows(self) -> Iterator[Row]: ...

    def untyped_rows(self) -> Iterator[Row]:
        """Yield the rows that may be malformed: all of them, or none if the format itself keeps them well formed.

        They are read before any work is done, and typed formats may hold images, which would be read for nothing.
        """
        return self.rows()

    def count(self) -> int:
        """Return the number of rows, without decoding images; raises what ``rows`` raises."""
        return sum(1 for _ in self.rows())


@contextmanager
def table_errors(path: Path) -> Iterator[None]:
    """Turn errors of the system or of a decoder into one ``PostsError`` that names the file."""
    try:
        yield
    except OSError as reason:
        raise PostsError(
            f"{path}: not readable: {reason.strerror or reason}", "correct the path or its permissions"
        ) from reason
    except UnicodeError as reason:
        raise PostsError(f"{path.name}: not in the expected encoding: {reason}", advice(path)) from reason


@contextmanager
def library_errors(failed: Callable[[], str], remedy: str) -> Iterator[None]:
    """Turn any error of a library into a ``PostsError``: damaged bytes make pyarrow raise nearly anything."""
    try:
        yield
    except (PostsError, MemoryError):
        raise
    except Exception as reason:
        raise PostsError(f"{failed()}: {first_line(reason)}", remedy) from reason
