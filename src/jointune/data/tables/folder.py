"""A folder of tables, read one after the other in the order of their names."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from jointune.data.tables.table import Row, Table


class FolderTable:
    """Several tables as one; a column that one of them lacks is a missing value there."""

    def __init__(self, path: Path, tables: Sequence[Table]) -> None:
        self.path = path
        self.tables = list(tables)
        self.columns = list(dict.fromkeys(name for table in self.tables for name in table.columns))

    def rows(self) -> Iterator[Row]:
        """Each row of each table; see ``Table.rows``."""
        for table in self.tables:
            yield from table.rows()

    def untyped_rows(self) -> Iterator[Row]:
        """Those of each table; see ``Table.untyped_rows``."""
        for table in self.tables:
            yield from table.untyped_rows()

    def count(self) -> int:
        """The number of rows of all tables."""
        return sum(table.count() for table in self.tables)
