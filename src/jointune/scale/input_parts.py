"""The parts of an input: the tables of a folder, or ranges of the rows of a single table."""

import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.parse import urlsplit

from jointune.data.remote import is_address, list_folder
from jointune.data.tables.open_table import tables_among
from jointune.data.tables.saved_dataset import is_saved_dataset
from jointune.data.tables.table import table_errors
from jointune.errors import PostsError, SettingsError, setting
from jointune.output.predicted_table import PredictOptions
from jointune.output.writers import ENDINGS
from jointune.utils.wording import listed

PART_ROWS = 5_000
"""Rows of a part of a single table: some minutes of work for one core, and few enough to lose."""


@dataclass(frozen=True)
class InputPart:
    """One part of an input, which one worker scores.

    Attributes:
        name: of the output file.
        table: path or address of the table.
        stamp: JSON values by which a changed table is recognised.
        start: number of the first row.
        stop: number of the row after the last; None for all.
    """

    name: str
    table: str
    stamp: Sequence[object]
    start: int = 0
    stop: int | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def source(self) -> list[object]:
        """What the output depends on, as JSON values."""
        return [*self.stamp, self.start, self.stop]


def input_parts(posts: str, options: PredictOptions) -> list[InputPart]:
    """Return the parts of a file, a folder of tables, a saved dataset, or of what is behind an address.

    A table in a folder or behind an address is one part. A single table on a disk is cut into parts of ``PART_ROWS``.

    Raises:
        PostsError: there are none, or two would have the same output.
        MissingExtraError: the package that lists the address is not installed.
    """
    parts = _remote_parts(posts) if is_address(posts) else _local_parts(Path(posts).expanduser(), options)
    twice = [name for name, count in Counter(part.name for part in parts).items() if count > 1]
    if twice:
        raise PostsError(f"{posts}: several tables would have the output {listed(twice, len(twice))}", "rename one")
    return parts


def share_of(parts: Sequence[InputPart], share: str) -> list[InputPart]:
    """Return every N-th part from the I-th on, counted from 0, for a share such as ``0/8``.

    Raises:
        SettingsError: it is no such share.
    """
    index, slash, number = share.partition("/")
    if not (slash and index.isascii() and number.isascii() and index.isdigit() and number.isdigit() and int(number)):
        raise SettingsError(f"{setting('part', share)}: give I/N, such as 0/8 for the first of eight", setting="part")
    if int(index) >= int(number):
        last = f"{int(number) - 1}/{number}"
        raise SettingsError(f"{setting('part', share)}: they are counted from 0/{number} to {last}", setting="part")
    return list(parts[int(index) :: int(number)])


def _remote_parts(address: str) -> list[InputPart]:
    stamps = dict(list_folder(address))
    tables = [address] if address in stamps else tables_among(stamps)
    if not tables:
        raise PostsError(f"{address}: no table of posts is there", "give the address of a folder of tables, or of one")
    return [InputPart(_output_name(PurePath(urlsplit(table).path)), table, stamps[table]) for table in tables]


def _local_parts(path: Path, options: PredictOptions) -> list[InputPart]:
    with table_errors(path):
        if path.is_dir() and not is_saved_dataset(path):
            tables = [path / name for name in tables_among(file.name for file in path.iterdir())]
            if tables:
                return [InputPart(_output_name(table), str(table), _stamp(table)) for table in tables]
        file = options.open(path)  # which raises the error, if there is no table
        count = file.count()
        stamp = _stamp(path)
    output = _output_name(path) if path.is_file() else f"{path.name}.parquet"
    if count <= PART_ROWS:
        return [InputPart(output, str(path), stamp)]
    stem, ending = PurePath(output).stem, PurePath(output).suffix
    return [
        InputPart(f"{stem}-{number:05}{ending}", str(path), stamp, start, min(start + PART_ROWS, count))
        for number, start in enumerate(range(0, count, PART_ROWS))
    ]


def _output_name(table: PurePath) -> str:
    """Return the name of a part's output: in the format of the table, or in JSONL for other kinds of JSON."""
    return table.name if table.suffix.lower() in ENDINGS else f"{table.name}.jsonl"


def _stamp(table: Path) -> list[object]:
    about = table.stat()
    if stat.S_ISDIR(about.st_mode) and not is_saved_dataset(table):
        raise PostsError(f"{table}: a folder within a folder of tables", "move its files up, or give it by itself")
    return [about.st_size, about.st_mtime_ns]
