"""A Hugging Face dataset that ``save_to_disk`` wrote."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jointune.data.tables.table import Row
from jointune.errors import PostsError, first_line
from jointune.utils.extras import require
from jointune.utils.wording import listed


def is_saved_dataset(folder: Path) -> bool:
    """Whether ``folder`` was written by ``datasets``."""
    return (folder / "dataset_dict.json").exists() or (folder / "dataset_info.json").exists()


def is_dataset(value: Any) -> bool:
    """Whether something in memory is a dataset of ``datasets``, or a dictionary of them."""
    if isinstance(value, dict):
        return bool(value) and all(map(is_dataset, value.values()))
    return hasattr(value, "features") and hasattr(value, "cast_column")


def dataset_parts(loaded: Any) -> dict[str | None, Any]:
    """The datasets of a dictionary by name, or the only one; pictures in them stay encoded."""
    parts = loaded if isinstance(loaded, dict) else {None: loaded}
    return {name: _undecoded(part) for name, part in parts.items()}


def _undecoded(part: Any) -> Any:
    for name, feature in (part.features or {}).items():
        if type(feature).__name__ == "Image" and hasattr(feature, "decode"):
            part = part.cast_column(name, type(feature)(decode=False))
    return part


def dataset_rows(parts: Mapping[str | None, Any], name: str) -> Iterator[Row]:
    """The rows of ``dataset_parts``; class labels by name, and the names of parts in the column ``split``."""
    for part_name, part in parts.items():
        classes = {column: feature.names for column, feature in (part.features or {}).items() if _is_classes(feature)}
        for number, values in enumerate(part, 1):
            for column, names in classes.items():
                values[column] = class_name(values[column], names)
            where = f"{name} row {number}" + (f" of {part_name}" if part_name else "")
            yield Row(where, values if part_name is None else {"split": part_name} | values)


def _is_classes(feature: Any) -> bool:
    return hasattr(feature, "int2str")


def class_name(number: int | None, names: Sequence[str]) -> str | None:
    """The name of a class; ``None`` where there is none, or -1, which says so by the habit of ``datasets``.

    Raises:
        PostsError: there are fewer classes.
    """
    if number is None or number < 0:
        return None
    if number >= len(names):
        raise PostsError(
            f"the class {number:,} where there are {len(names):,} ({listed(names, len(names))})", "save the posts again"
        )
    return names[number]


class SavedDataset:
    """A dataset, or a dictionary of them, whose keys then fill the column ``split``.

    Pictures stay encoded: they are decoded where all pictures are. Class labels are given by name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        datasets = require("datasets", "datasets", "reading a Hugging Face dataset")
        try:
            self._parts = dataset_parts(datasets.load_from_disk(str(path)))
            self.columns: list[str] = list(next(iter(self._parts.values())).column_names)
        except Exception as reason:  # damaged JSON makes it raise nearly anything
            raise PostsError(
                f"{path}: not readable as a saved dataset: {first_line(reason)}", "save it again"
            ) from reason
        if None not in self._parts and "split" not in self.columns:
            self.columns.append("split")

    def rows(self) -> Iterator[Row]:
        """Each row in order; see ``Table.rows``."""
        try:
            yield from dataset_rows(self._parts, self.path.name)
        except (PostsError, MemoryError):
            raise
        except Exception as reason:  # as above
            raise PostsError(f"{self.path}: damaged: {first_line(reason)}", "save it again") from reason

    def untyped_rows(self) -> Iterator[Row]:
        """None; see ``Table.untyped_rows``."""
        return iter(())

    def count(self) -> int:
        """The number of rows."""
        return sum(len(part) for part in self._parts.values())
