"""Open a table of any format by its path."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jointune.data.tables.delimited import DelimitedTable
from jointune.data.tables.json_table import JsonlTable, open_json
from jointune.data.tables.parquet import ParquetTable
from jointune.data.tables.saved_dataset import SavedDataset, is_saved_dataset
from jointune.data.tables.table import MOST_COLUMNS, Row, Table
from jointune.errors import PostsError
from jointune.utils.wording import shortened

_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")


class FolderTable(Table):
    """Several tables as one, in the order of their names; a column that one of them lacks is a missing value there."""

    def __init__(self, path: Path, tables: Sequence[Table]) -> None:
        self.path = path
        self.tables = list(tables)
        self.columns = list(dict.fromkeys(name for table in self.tables for name in table.columns))

    def _rows(self) -> Iterator[Row]:
        for table in self.tables:
            yield from table.rows()

    def untyped_rows(self) -> Iterator[Row]:
        """Yield those of each table; see ``Table.untyped_rows``."""
        for table in self.tables:
            yield from table.untyped_rows()

    def count(self) -> int:
        """Return the number of rows of all tables."""
        return sum(table.count() for table in self.tables)


def tables_among(names: Iterable[str]) -> list[str]:
    """Return the names of a folder's tables, sorted; without .json files, which rather describe tables beside them."""
    found = sorted(name for name in names if name.lower().endswith(_ENDINGS) and not name.startswith("."))
    return [name for name in found if not name.lower().endswith(".json")] or found


def open_table(path: Path, encoding: str, wanted: Sequence[str], in_folder: bool = False) -> Table:
    """Open a file, a folder of files or a saved dataset; ``wanted`` columns decide between separators of a CSV file.

    Raises:
        PostsError: there is no such table, or it is damaged, empty or of an unknown format.
        MissingExtraError: the package that reads the format is not installed.
    """
    table = _open(path, encoding, wanted, in_folder)
    _check_columns(table.columns, path.name)
    return table


def _open(path: Path, encoding: str, wanted: Sequence[str], in_folder: bool) -> Table:
    endings = ", ".join(_ENDINGS)
    if path.is_dir() and not in_folder:
        if is_saved_dataset(path):
            return SavedDataset(path)
        files = [path / name for name in tables_among(file.name for file in path.iterdir())]
        if not files:
            raise PostsError(f"{path}: the folder holds no {endings} file and no saved dataset")
        return FolderTable(path, [open_table(file, encoding, wanted, in_folder=True) for file in files])
    if path.is_symlink() and not path.exists():
        raise PostsError(f"{path}: a link that leads to no file", "mend it or remove it")
    if not path.exists():
        raise PostsError(f"{path}: no such file", f"give a {endings} file, a folder of them or a saved dataset")
    if path.is_dir():
        raise PostsError(f"{path}: a folder within a folder of tables", "move its files up, or give it by itself")
    if not path.is_file():
        raise PostsError(f"{path}: a pipe or a device, and a table is read more than once", "write it to a file first")
    ending = path.suffix.lower()
    if not path.stat().st_size and ending in _ENDINGS:  # also files that the system makes up
        raise PostsError(f"{path.name}: the file is empty", "save it again")
    match ending:
        case ".csv" | ".tsv":
            return DelimitedTable(path, encoding, wanted)
        case ".jsonl" | ".ndjson":
            return JsonlTable(path, encoding)
        case ".json":
            return open_json(path, encoding)
        case ".parquet":
            return ParquetTable(path)
    if ending in _PACKED:
        raise PostsError(f"{path.name}: a packed file", "unpack it, and give what was in it")
    raise PostsError(f"{path.name}: the ending {ending or '(none)'} is not known", f"use one of {endings}")


def _check_columns(names: Sequence[str], file: str) -> None:
    if len(names) > MOST_COLUMNS:
        raise PostsError(f"{file}: more than {MOST_COLUMNS:,} columns", "write only those that are of use")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise PostsError(f"{file}: two columns are named {shortened(name)!r}", "rename one of them")
        seen.add(name)
