"""Pooled vectors of frozen encoders, kept between runs by content."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing

import numpy as np
import torch

from jointune.modalities.modality import Loaded
from jointune.modalities.rows import Rows
from jointune.utils.cache_dir import PATIENCE, cache_folder, say_not_kept


def encoder_key(loaded: Loaded, precision: str) -> bytes:
    """Return a digest of all that decides an encoder's outputs but their input: weights, layers, preparation."""
    digest = hashlib.sha256()
    how = [loaded.description, loaded.preprocessor.config(), list(loaded.encoder.hidden_layers), precision]
    digest.update(json.dumps([*how, torch.__version__], sort_keys=True, default=str).encode())
    for name, value in loaded.encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.digest()


class EmbeddingCache:
    """A database of the vectors of texts and images, which several processes may share.

    If it is damaged, read-only or locked for long, this is logged once, and vectors are computed without it.

    Args:
        modalities: all of a model, in its order; their encoders are pre-trained.
        precision: ``bf16`` or ``fp32``, in which the encoders run.
    """

    def __init__(self, modalities: Mapping[str, Loaded], precision: str) -> None:
        self._keys = {name: encoder_key(loaded, precision) for name, loaded in modalities.items()}
        self._widths: dict[str, int] = {name: loaded.encoder.width for name, loaded in modalities.items()}

    def fill(self, features: np.ndarray, numbers: np.ndarray, rows: Mapping[str, Rows]) -> np.ndarray:
        """Write the vectors that are known into ``features``.

        Args:
            features: float32 [N, D], changed in place.
            numbers: of the posts that are wanted, int.
            rows: of N posts, by modality.

        Returns:
            The numbers of the wanted posts that lack a vector.
        """
        incomplete = set()
        try:
            with closing(_open()) as database:
                for name, index, part in self._places(numbers, rows):
                    key = self._key(name, rows[name].content(index))
                    found = database.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
                    vector = np.frombuffer(found[0] if found else b"", dtype=np.float32)
                    if len(vector) == part.stop - part.start:
                        features[index, part] = vector
                    else:
                        incomplete.add(index)
        except (OSError, RuntimeError, sqlite3.Error) as reason:
            _log(reason)
            return numbers
        return np.array(sorted(incomplete), dtype=np.int64)

    def keep(self, features: np.ndarray, numbers: np.ndarray, rows: Mapping[str, Rows]) -> None:
        """Store the vectors of posts; arguments as for ``fill``."""
        entries = (
            (self._key(name, rows[name].content(index)), features[index, part].tobytes())
            for name, index, part in self._places(numbers, rows)
        )
        try:
            with closing(_open()) as database, database:
                database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", entries)
        except (OSError, RuntimeError, sqlite3.Error) as reason:
            _log(reason)

    def _places(self, numbers: np.ndarray, rows: Mapping[str, Rows]) -> Iterator[tuple[str, int, slice]]:
        """Yield modality, post and columns of each vector."""
        end = 0
        for name, width in self._widths.items():
            start, end = end, end + width
            present = rows[name].present
            yield from ((name, int(index), slice(start, end)) for index in numbers if present[index])

    def _key(self, name: str, content: bytes) -> bytes:
        return hashlib.sha256(self._keys[name] + content).digest()


def _open() -> sqlite3.Connection:
    path = cache_folder() / "embeddings.sqlite"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # people's posts may be private
    database = sqlite3.connect(path, timeout=PATIENCE)
    database.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)")
    return database


def _log(reason: Exception) -> None:
    say_not_kept(f"embeddings are not kept between runs: {reason}")
