"""Write vectors of posts as Parquet or NumPy's .npz, in bounded memory."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jointune.errors import OutputError
from jointune.utils.extras import require

NPZ = ".npz"

ENDINGS = (".parquet", NPZ)

ROW, ID, VECTOR = "row", "id", "vector"
"""The columns: the number of a post in its table, from 1; its own name, if there is a column of names; its vector."""


def check_vectors_output(path: Path) -> None:
    """Check that vectors can be written to a path.

    Raises:
        OutputError: the ending is unknown.
        MissingExtraError: pyarrow is not installed.
    """
    if path.suffix.lower() not in ENDINGS:
        raise OutputError(
            f"{path}: the ending {path.suffix or '(none)'} is not known", f"use one of {', '.join(ENDINGS)}"
        )
    require("pyarrow", "parquet", "writing vectors")


def vectors_schema(with_ids: bool) -> Any:
    """Return the ``pyarrow.Schema`` of vectors, whose rows are all of one length."""
    arrow = require("pyarrow", "parquet", "writing vectors")
    ids = [arrow.field(ID, arrow.string())] if with_ids else []
    return arrow.schema([arrow.field(ROW, arrow.int64()), *ids, arrow.field(VECTOR, arrow.list_(arrow.float32()))])


def write_npz(parts: Sequence[Path], path: Path) -> None:
    """Write arrays ``vector`` float32 [N, D], ``row`` int64 [N] and, if there are ids, ``id`` texts [N].

    A null vector becomes a row of NaN, a missing id an empty text. Vectors pass through memory a part at a time.

    Args:
        parts: Arrow streams of ``vectors_schema``.
        path: of the file.
    """
    rows: list[np.ndarray] = []
    ids: list[np.ndarray] = []
    width = 0
    for table in map(_read, parts):
        rows.append(table[ROW].to_numpy())
        if ID in table.column_names:
            ids.append(np.array([one or "" for one in table[ID].to_pylist()], dtype=str))
        width = width or next((len(vector) for vector in table[VECTOR] if vector.is_valid), 0)
    arrays = {ROW: np.concatenate(rows) if rows else np.zeros(0, np.int64)} | ({ID: np.concatenate(ids)} if ids else {})
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with _member(archive, name) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
        with _member(archive, VECTOR) as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(arrays[ROW]), width)}
            np.lib.format.write_array_header_2_0(file, header)
            for table in map(_read, parts):
                column = table[VECTOR].combine_chunks()
                vectors = np.full((len(column), width), np.nan, dtype="<f4")
                known = column.is_valid().to_numpy(zero_copy_only=False)
                vectors[known] = column.flatten().to_numpy().reshape(-1, width)
                file.write(vectors.tobytes())


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    # A ZipInfo has a fixed date, so that equal vectors are equal files.
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _read(part: Path) -> Any:
    with require("pyarrow.ipc", "parquet", "writing vectors").open_stream(str(part)) as file:
        return file.read_all()
