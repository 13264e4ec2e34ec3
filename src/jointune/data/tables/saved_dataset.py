"""A Hugging Face dataset, in memory or written by ``save_to_disk``."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jointune.data.tables.table import Row, Table, library_errors
from jointune.errors import PostsError
from jointune.utils.extras import require
from jointune.utils.wording import listed


def is_saved_dataset(folder: Path) -> bool:
    """Return whether ``folder`` was written by ``datasets``."""
    return (folder / "dataset_dict.json").exists() or (folder / "dataset_info.json").exists()


def is_dataset(value: Any) -> bool:
    """Return whether a value is a dataset of ``datasets``, or a dictionary of them."""
    if isinstance(value, dict):
        return bool(value) and all(map(is_dataset, value.values()))
    return hasattr(value, "features") and hasattr(value, "cast_column")


def dataset_parts(loaded: Any) -> dict[str | None, Any]:
    """Return the datasets of a dictionary by name, or the only one under None; images in them stay encoded."""
    parts = loaded if isinstance(loaded, dict) else {None: loaded}
    return {name: _with_encoded_images(part) for name, part in parts.items()}


def _with_encoded_images(part: Any) -> Any:
    for name, feature in (part.features or {}).items():
        image = getattr(feature, "feature", feature)  # of a list, what it is a list of
        if type(image).__name__ == "Image" and hasattr(image, "decode"):
            encoded = type(image)(decode=False)
            part = part.cast_column(name, encoded if image is feature else type(feature)(encoded))
    return part


def dataset_rows(parts: Mapping[str | None, Any], name: str) -> Iterator[Row]:
    """Yield the rows of ``dataset_parts``: class labels by name, and the names of parts in the column ``split``."""
    for part_name, part in parts.items():
        features = (part.features or {}).items()
        classes = {column: feature.names for column, feature in features if hasattr(feature, "int2str")}
        for number, values in enumerate(part, 1):
            for column, names in classes.items():
                values[column] = class_name(values[column], names)
            where = f"{name} row {number}" + (f" of {part_name}" if part_name else "")
            yield Row(where, values if part_name is None else {"split": part_name} | values)


def class_name(number: int | None, names: Sequence[str]) -> str | None:
    """Return the name of a class; None for no class, which ``datasets`` also writes as -1.

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


class SavedDataset(Table):
    """A dataset, or a dictionary of them, whose keys then fill the column ``split``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        datasets = require("datasets", "datasets", "reading a Hugging Face dataset")
        with library_errors(lambda: f"{path}: not readable as a saved dataset", "save it again"):
            self._parts = dataset_parts(datasets.load_from_disk(str(path)))
            self.columns = list(next(iter(self._parts.values())).column_names)
        if None not in self._parts and "split" not in self.columns:
            self.columns.append("split")

    def _rows(self) -> Iterator[Row]:
        with library_errors(lambda: f"{self.path}: damaged", "save it again"):
            yield from dataset_rows(self._parts, self.path.name)

    def untyped_rows(self) -> Iterator[Row]:
        """Yield none; see ``Table.untyped_rows``."""
        return iter(())

    def count(self) -> int:
        """Return the number of rows."""
        return sum(len(part) for part in self._parts.values())
