"""Tell posts that are unlike the training posts by their distance from these in the spaces of a model's vectors."""

import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jointune.utils.files import clear_read_errors, member

TRAINING_VECTORS = "training_vectors.npz"
"""The file of a bundle or an export that holds the vectors; those of earlier versions have none."""

JOINT = "joint"

_NEIGHBOURS = 10  # of which the distances are averaged, at most
_USUAL = 0.95  # of the validation posts are no stranger than what is still called usual
_AT_ONCE = 1024  # posts
_FLAT = 1e-6  # a smaller standard deviation is that of a constant
_BEYOND = 1e6  # the score of posts that have no modality in common with any training post


@dataclass(frozen=True)
class Unlikeness:
    """How unlike the training posts a post is.

    Attributes:
        unlike_score: greater is stranger; one validation post in 20 has more than 1.
        unlike: what is unusual about a post with more than 1: its ``text``, its ``image``, both as ``text+image``, or
            the ``pairing`` of them, or its ``kind``, if no training post had any of its modalities; else empty.
        max_logit: the greatest logit of a label, of targets that have such: less is stranger (Hendrycks et al., 2022,
            arXiv 1911.11132).
    """

    unlike_score: float
    unlike: str
    max_logit: float | None = None

    @staticmethod
    def columns(logits: int, labels: int) -> list[str]:
        """Return the names of what ``named`` returns; there is a ``max_logit`` where each label has a logit."""
        return ["unlike_score", "unlike", *(["max_logit"] if logits == labels else [])]

    def named(self) -> dict[str, float | str]:
        """Return what there is, by the names of columns."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Space:
    """Vectors of training posts.

    Attributes:
        mean: of all of them, float32 [D].
        scale: their standard deviations, float32 [D].
        rows: standardised by both, float16 [R, D].
        usual: the distance that one validation post in 20 exceeds.
    """

    mean: np.ndarray
    scale: np.ndarray
    rows: np.ndarray
    usual: float = 1.0

    @classmethod
    def of(cls, vectors: np.ndarray) -> "Space":
        """Make the space of vectors, float [R, D], without NaN."""
        mean, scale = vectors.mean(0).astype(np.float32), vectors.std(0).astype(np.float32)
        scale = np.where(scale > _FLAT, scale, 1).astype(np.float32)
        return cls(mean, scale, ((vectors - mean) / scale).astype(np.float16))

    def distances(self, vectors: np.ndarray) -> np.ndarray:
        """Return the mean distance from the nearest training posts, float [N]; NaN where the vector is NaN.

        After Sun et al. (2022, arXiv 2204.06507), who take the k-th distance, of vectors of unit length; here, length
        counts.
        """
        nearest = min(_NEIGHBOURS, len(self.rows))
        training = self.rows.astype(np.float32)
        squares = (training**2).sum(1)
        found = [np.zeros(0)]
        for start in range(0, len(vectors), _AT_ONCE):
            standard = ((vectors[start : start + _AT_ONCE] - self.mean) / self.scale).astype(np.float32)
            all_squares = (standard**2).sum(1, keepdims=True) + squares - 2 * standard @ training.T
            least = np.partition(all_squares, nearest - 1, axis=1)[:, :nearest]
            found.append(np.sqrt(np.maximum(least, 0)).mean(1))
        return np.concatenate(found)


@dataclass(frozen=True)
class TrainingVectors:
    """Vectors of training posts, to compare other posts with.

    Attributes:
        spaces: by name, ``joint`` or a modality.
        usual: the score that one validation post in 20 exceeds, before it is divided by it.
    """

    spaces: Mapping[str, Space]
    usual: float

    @classmethod
    def of(cls, training: Mapping[str, np.ndarray], validation: Mapping[str, np.ndarray]) -> "TrainingVectors | None":
        """Take the vectors of training posts, and of validation posts to tell what is usual; None if none can.

        Args:
            training: by name, float [R, D]; NaN where a post lacks the modality. Posts with one modality alone are no
                pairs, and have NaN in ``joint``.
            validation: likewise.
        """
        spaces = {}
        for name, vectors in training.items():
            having = vectors[~np.isnan(vectors[:, 0])]
            if len(having) and not np.isnan(validation[name][:, 0]).all():
                space = Space.of(having)
                usual = float(np.nanquantile(space.distances(validation[name]), _USUAL))
                spaces[name] = Space(space.mean, space.scale, space.rows, max(usual, 1e-6))
        if not spaces:
            return None
        return cls(spaces, max(float(np.nanquantile(cls(spaces, 1.0)._greatest(validation), _USUAL)), 1e-6))

    def compare(self, vectors: Mapping[str, np.ndarray], logits: np.ndarray, labels: int) -> Iterator[Unlikeness]:
        """Say of each post how unlike the training posts it is.

        Args:
            vectors: of each of ``spaces``, float [N, D]; NaN where a post lacks the modality.
            logits: float [N, O].
            labels: their number.
        """
        of_labels = "max_logit" in Unlikeness.columns(logits.shape[1], labels)
        greatest = logits.max(1).round(6).tolist() if of_labels else [None] * len(logits)
        scores = self._relative(vectors) / self.usual
        for row, logit in zip(scores.T, greatest, strict=True):
            strange = [name for name, score in zip(self.spaces, row, strict=True) if score > 1]
            alone = [name for name in strange if name != JOINT]
            score = float(np.fmax.reduce(row))
            if np.isnan(score):  # nothing to compare it by
                yield Unlikeness(_BEYOND, "kind", logit)
            else:
                yield Unlikeness(round(score, 6), "+".join(alone) or ("pairing" if strange else ""), logit)

    def _greatest(self, vectors: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.asarray(np.fmax.reduce(self._relative(vectors), axis=0))

    def _relative(self, vectors: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return distances in units of what is usual, float [S, N]."""
        found = [space.distances(vectors[name]) / space.usual for name, space in self.spaces.items()]
        return np.stack(found)

    def save(self, path: Path) -> None:
        """Write the vectors as an .npz file."""
        arrays: dict[str, Any] = {
            f"{name}.{part}": np.asarray(getattr(space, part))
            for name, space in self.spaces.items()
            for part in ("mean", "scale", "rows", "usual")
        }
        with open(path, "wb") as file:
            np.savez(file, **arrays | {"usual": np.asarray(self.usual)})


def read_training_vectors(folder: Path, whole: str) -> TrainingVectors | None:
    """Read the vectors of a bundle or an export; None if it has none.

    Raises:
        BundleError: the file is damaged, and the ``whole`` of the folder should be copied again.
    """
    if not os.path.lexists(folder / TRAINING_VECTORS):
        return None
    path = member(folder, TRAINING_VECTORS, whole)
    with clear_read_errors(path, whole):
        try:
            with zipfile.ZipFile(path) as archive:
                if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                    raise ValueError("it is compressed, and may be of any size")
            with np.load(path, allow_pickle=False) as file:
                names = [name.removesuffix(".rows") for name in file.files if name.endswith(".rows")]
                spaces = {name: _space(file, name) for name in names}
                usual = _positive(file["usual"])
        except (KeyError, TypeError, EOFError, zipfile.BadZipFile) as reason:
            raise ValueError(f"an array is missing or of another kind: {reason}") from reason
        if not spaces:
            raise ValueError("it holds no vectors")
    return TrainingVectors(spaces, usual)


def _space(file: Any, name: str) -> Space:
    mean, scale, rows = (file[f"{name}.{part}"] for part in ("mean", "scale", "rows"))
    if rows.ndim != 2 or not len(rows) or mean.shape != scale.shape or mean.shape != rows.shape[1:]:
        raise ValueError(f"the vectors of {name} are of unlike shapes")
    if not all(np.isfinite(array).all() for array in (mean, scale, rows)) or not (scale > 0).all():
        raise ValueError(f"the vectors of {name} are not finite")
    return Space(mean, scale, rows, _positive(file[f"{name}.usual"]))


def _positive(value: np.ndarray) -> float:
    if value.shape != () or not 0 < float(value) < np.inf:
        raise ValueError("a distance is no positive number")
    return float(value)
