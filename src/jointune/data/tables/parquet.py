"""Parquet, one record batch in memory at a time."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from jointune.data.tables.saved_dataset import class_name
from jointune.data.tables.table import Row, Table, library_errors
from jointune.utils.extras import require

_ROWS, _BYTES = 256, 16 * 2**20
"""Rows that are read at once, and fewer if they hold images."""


class ParquetTable(Table):
    """A Parquet file.

    Raises:
        MissingExtraError: pyarrow is not installed.
        PostsError: the file is not Parquet, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        parquet = require("pyarrow.parquet", "parquet", "reading Parquet")
        with library_errors(lambda: f"{path.name}: not readable as Parquet", "write the file again"):
            # With a buffer, a column of a row group is read bit by bit: one of images may be larger than memory.
            self._file = parquet.ParquetFile(path, buffer_size=2**20)
            self.columns = list(self._file.schema_arrow.names)

    @property
    def schema(self) -> Any:
        """The columns' types, as a ``pyarrow.Schema``; classes are texts."""
        schema, arrow = self._file.schema_arrow, require("pyarrow", "parquet", "reading Parquet")
        for name in self._class_names:
            schema = schema.set(schema.get_field_index(name), arrow.field(name, arrow.string()))
        return schema

    @cached_property
    def _class_names(self) -> dict[str, list[str]]:
        """The names of the classes in each column of class labels, which ``datasets`` writes beside their numbers."""
        try:
            metadata = json.loads((self._file.schema_arrow.metadata or {}).get(b"huggingface", b"{}"))
            return {
                name: [str(label) for label in feature["names"]]
                for name, feature in metadata["info"]["features"].items()
                if name in self.columns and feature.get("_type") == "ClassLabel" and feature["names"]
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}  # not written by datasets

    def _rows(self) -> Iterator[Row]:
        number = 0
        with library_errors(lambda: f"{self.path.name}: damaged after row {number}", "write the file again"):
            # One row group after the other: over several at once, pyarrow keeps what it has read until the end.
            for group in range(self._file.num_row_groups):
                metadata = self._file.metadata.row_group(group)
                size = max(1, min(_ROWS, _BYTES * metadata.num_rows // max(1, metadata.total_byte_size)))
                for batch in self._file.iter_batches(batch_size=size, row_groups=[group]):
                    for values in batch.to_pylist():
                        number += 1
                        for name, names in self._class_names.items():
                            if isinstance(values.get(name), int):
                                values[name] = class_name(values[name], names)
                        yield Row(f"{self.path.name} row {number}", values)

    def untyped_rows(self) -> Iterator[Row]:
        """Yield none; see ``Table.untyped_rows``."""
        return iter(())

    def count(self) -> int:
        """Return the number of rows, from the file's footer."""
        return int(self._file.metadata.num_rows)
