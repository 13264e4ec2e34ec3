"""A Hugging Face dataset that ``save_to_disk`` wrote."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jointune.errors import PostsError
from jointune.extras import require
from jointune.posts.formats.table import Row


def is_saved_dataset(folder: Path) -> bool:
    """Whether ``folder`` was written by ``datasets``."""
    return (folder / "dataset_dict.json").exists() or (folder / "dataset_info.json").exists()


class SavedDataset:
    """A dataset, or a dictionary of them, whose keys then fill the column ``split``.

    Pictures stay encoded: they are decoded where all pictures are. Class labels are given by name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        datasets = require("datasets", "datasets", "reading a Hugging Face dataset")
        try:
            loaded = datasets.load_from_disk(str(path))
        except Exception as reason:  # damaged JSON makes it raise nearly anything
            raise PostsError(f"{path}: not readable as a saved dataset: {reason}; save it again") from reason
        parts = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {None: loaded}
        self._parts = {name: self._undecoded(part, datasets) for name, part in parts.items()}
        first = next(iter(self._parts.values()))
        self.columns: list[str] = list(first.column_names)
        if None not in self._parts and "split" not in self.columns:
            self.columns.append("split")

    @staticmethod
    def _undecoded(part: Any, datasets: Any) -> Any:
        for name, feature in part.features.items():
            if isinstance(feature, datasets.Image):
                part = part.cast_column(name, datasets.Image(decode=False))
        return part

    def rows(self) -> Iterator[Row]:
        """Each row in order; see ``Table.rows``."""
        for name, part in self._parts.items():
            classes = {column: feature for column, feature in part.features.items() if hasattr(feature, "int2str")}
            for number, values in enumerate(part, 1):
                for column, feature in classes.items():
                    number_of_class = values[column]
                    unlabelled = number_of_class is None or number_of_class < 0  # -1 by the habit of ``datasets``
                    values[column] = None if unlabelled else feature.int2str(number_of_class)
                where = f"{self.path.name} row {number}" + (f" of {name}" if name else "")
                yield Row(where, values if name is None else {"split": name} | values)

    def untyped_rows(self) -> Iterator[Row]:
        """None; see ``Table.untyped_rows``."""
        return iter(())

    def count(self) -> int:
        """The number of rows."""
        return sum(len(part) for part in self._parts.values())
