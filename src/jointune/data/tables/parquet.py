"""Parquet, one record batch in memory at a time."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from jointune.data.tables.saved_dataset import class_name
from jointune.data.tables.table import Row
from jointune.errors import PostsError
from jointune.utils.extras import require

_ROWS, _BYTES = 256, 16 * 2**20
"""Rows that are read at once, and fewer where they hold pictures."""


class ParquetTable:
    """A Parquet file.

    Raises:
        MissingExtraError: pyarrow is not installed.
        PostsError: the file is not Parquet, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file  # noqa: B018 - a damaged file is named at once
        self.columns: list[str] = list(self._file.schema_arrow.names)

    @cached_property
    def _file(self) -> Any:
        parquet = require("pyarrow.parquet", "parquet", "reading Parquet")
        try:
            # With a buffer, a column of a row group is read bit by bit: one of pictures may be larger than memory.
            return parquet.ParquetFile(self.path, buffer_size=2**20)
        except Exception as reason:  # damaged bytes make pyarrow raise nearly anything
            raise PostsError(
                f"{self.path.name}: not readable as Parquet: {_one_line(reason)}", "write the file again"
            ) from reason

    @property
    def schema(self) -> Any:
        """The columns' types, as a ``pyarrow.Schema``; classes are texts."""
        schema, arrow = self._file.schema_arrow, require("pyarrow", "parquet", "reading Parquet")
        for name in self._classes:
            schema = schema.set(schema.get_field_index(name), arrow.field(name, arrow.string()))
        return schema

    @cached_property
    def _classes(self) -> dict[str, list[str]]:
        """The names of the classes in each column of class labels, which ``datasets`` writes beside their numbers."""
        try:
            about = json.loads((self._file.schema_arrow.metadata or {}).get(b"huggingface", b"{}"))
            features = about["info"]["features"].items()
            there = set(self.columns)
            return {
                name: [str(label) for label in one["names"]]
                for name, one in features
                if name in there and one.get("_type") == "ClassLabel" and one["names"]
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}  # written by nobody, or by something else

    def rows(self) -> Iterator[Row]:
        """Each row in file order; see ``Table.rows``."""
        number = 0
        try:
            for batch in self._batches():
                for values in batch.to_pylist():
                    number += 1
                    for name, names in self._classes.items():
                        if isinstance(values.get(name), int):
                            values[name] = class_name(values[name], names)
                    yield Row(f"{self.path.name} row {number}", values)
        except (PostsError, MemoryError):
            raise
        except Exception as reason:  # as above
            raise PostsError(
                f"{self.path.name}: damaged after row {number}: {_one_line(reason)}", "write the file again"
            ) from reason

    def _batches(self) -> Iterator[Any]:
        # One row group after the other: over several at once, pyarrow keeps what it has read until the end.
        for group in range(self._file.num_row_groups):
            about = self._file.metadata.row_group(group)
            rows = max(1, min(_ROWS, _BYTES * about.num_rows // max(1, about.total_byte_size)))
            yield from self._file.iter_batches(batch_size=rows, row_groups=[group])

    def untyped_rows(self) -> Iterator[Row]:
        """None; see ``Table.untyped_rows``."""
        return iter(())

    def count(self) -> int:
        """The number of rows, from the file's footer."""
        return int(self._file.metadata.num_rows)


def _one_line(reason: Exception) -> str:
    return " ".join(str(reason).split())
