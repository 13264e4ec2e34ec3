"""Tell posts that are unlike the training posts, from what the encoders see in them."""

import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from jointune.evaluation.vector_spaces import USUAL, Pairing, Principal, Projection, Scale, Space
from jointune.utils.files import clear_read_errors, member

UNLIKE = "unlike.npz"
"""The file of a bundle or an export that holds the spaces; those of earlier versions have none."""

JOINT = "joint"

SUMMARY = "_summary"
"""Ending of the names of vectors that hold what an encoder has of a post at all depths; see ``EncoderOutput``."""

_BEYOND = 1e6  # the score of posts that have no modality in common with any training post


def summary_of(modality: str) -> str:
    """Return the name of a modality's vectors of all depths."""
    return f"{modality}{SUMMARY}"


@dataclass(frozen=True)
class Unlikeness:
    """How unlike the training posts a post is.

    Attributes:
        unlike_score: greater is stranger; one validation post in 20 has more than 1.
        unlike: what is unusual about a post with more than 1: its ``text``, its ``image``, both as ``text+image``, or
            the ``pairing`` of them, or its ``kind``, if no training post had any of its modalities; else empty.
        parts: how strange each modality is and, as ``pairing``, how badly they go together: one validation post in 20
            has more than 1; NaN of what the post lacks.
        max_logit: the greatest logit of a label, of targets that have such: less is stranger (Hendrycks et al., 2022,
            arXiv 1911.11132).
    """

    unlike_score: float
    unlike: str
    parts: Mapping[str, float]
    max_logit: float | None = None

    def cells(self) -> list[float | str]:
        """Return the values of the columns ``TrainingVectors.columns``."""
        logit = [] if self.max_logit is None else [self.max_logit]
        return [self.unlike_score, self.unlike, *self.parts.values(), *logit]

    def response(self) -> dict[str, Any]:
        """Return it as JSON values."""
        parts = {name: value for name, value in self.parts.items() if not np.isnan(value)}
        return {"unlike_score": self.unlike_score, "unlike": self.unlike, "unlike_parts": parts} | (
            {} if self.max_logit is None else {"max_logit": self.max_logit}
        )


@dataclass(frozen=True)
class TrainingVectors:
    """Vectors of training posts, to compare other posts with.

    Attributes:
        spaces: by modality.
        pairings: by two modalities.
        scales: of each space by its modality, and of each pairing by both, such as ``text+image``.
        usual: the score that one validation post in 20 exceeds, before it is divided by it.
    """

    spaces: Mapping[str, Space]
    pairings: Mapping[tuple[str, str], Pairing]
    scales: Mapping[str, Scale]
    usual: float

    @classmethod
    def of(
        cls, training: Mapping[str, np.ndarray], validation: Mapping[str, np.ndarray], seed: int = 0
    ) -> "TrainingVectors | None":
        """Take the vectors of training posts, and of validation posts to tell what is usual; None if none can.

        Args:
            training: by modality, float [R, D]; NaN where a post lacks it.
            validation: likewise.
            seed: draws projections.
        """
        spaces, pairings, scales = dict[str, Space](), dict[tuple[str, str], Pairing](), dict[str, Scale]()
        having = {name: ~np.isnan(vectors[:, 0]) for name, vectors in training.items()}
        components = {name: Principal.of(training[name][own]) for name, own in having.items() if own.any()}
        for name, one in components.items():
            space = Space.of(training[name][having[name]], one, seed)
            if scale := Scale.of(space.distances(validation[name])):
                spaces[name], scales[name] = space, scale
        for pair in combinations(spaces, 2):
            both = having[pair[0]] & having[pair[1]]
            own = (components[pair[0]], components[pair[1]])
            pairing = Pairing.of(training[pair[0]][both], training[pair[1]][both], own)
            if pairing and (scale := Scale.of(pairing.misfits(*(validation[name] for name in pair)))):
                pairings[pair], scales["+".join(pair)] = pairing, scale
        if not spaces:
            return None
        parts = cls(spaces, pairings, scales, 1.0)._parts(validation)
        return cls(spaces, pairings, scales, max(float(np.nanquantile(_norm(parts), USUAL)), 1e-6))

    def columns(self, logits: int, labels: int) -> list[str]:
        """Return the columns of a table that say how unlike posts are, for this number of logits and of labels.

        There is a greatest logit where each label has one.
        """
        parts = [*self.spaces, *(["pairing"] if self.pairings else [])]
        return ["unlike_score", "unlike", *(f"unlike_{part}" for part in parts), *["max_logit"][: logits == labels]]

    def compare(self, vectors: Mapping[str, np.ndarray], logits: np.ndarray, labels: int) -> Iterator[Unlikeness]:
        """Say of each post how unlike the training posts it is.

        Args:
            vectors: of each of ``spaces``, float [N, D]; NaN where a post lacks the modality.
            logits: float [N, O].
            labels: their number.
        """
        of_labels = "max_logit" in self.columns(logits.shape[1], labels)
        greatest = logits.max(1).round(6).tolist() if of_labels else [None] * len(logits)
        parts = self._parts(vectors)
        scores = _norm(parts) / self.usual
        for score, logit, *row in zip(scores, greatest, *parts.values(), strict=True):
            own = dict(zip(parts, np.round(row, 6).tolist(), strict=True))
            known = {name: value for name, value in own.items() if not np.isnan(value)}
            said = ""
            if not known:  # nothing to compare it by
                score, said = _BEYOND, "kind"
            elif score > 1:
                strange = [name for name, value in known.items() if value > 1] or [max(known, key=lambda n: known[n])]
                said = "+".join(name for name in strange if name in self.spaces) or "pairing"
            yield Unlikeness(round(float(score), 6), said, own, logit)

    def _parts(self, vectors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return how strange each part of posts is, float [N] each, 1 for what is barely usual."""
        parts = {name: self.scales[name](space.distances(vectors[name])) for name, space in self.spaces.items()}
        misfits = [
            self.scales["+".join(pair)](pairing.misfits(*(vectors[name] for name in pair)))
            for pair, pairing in self.pairings.items()
        ]
        return parts | ({"pairing": np.fmax.reduce(misfits)} if misfits else {})

    def save(self, path: Path) -> None:
        """Write the vectors as an .npz file."""
        arrays: dict[str, Any] = {"usual": np.asarray(self.usual)}
        for name, space in self.spaces.items():
            arrays |= _named(name, space.project) | {f"{name}.rows": space.rows}
        for pair, pairing in self.pairings.items():
            arrays |= _named(f"{'+'.join(pair)}.first", pairing.first)
            arrays |= _named(f"{'+'.join(pair)}.second", pairing.second)
        for name, scale in self.scales.items():
            arrays[f"{name}.scale"] = np.array([scale.middle, scale.usual])
        with open(path, "wb") as file:
            np.savez(file, **arrays)


def read_training_vectors(folder: Path, whole: str) -> TrainingVectors | None:
    """Read the vectors of a bundle or an export; None if it has none.

    Raises:
        BundleError: the file is damaged, and the ``whole`` of the folder should be copied again.
    """
    if not os.path.lexists(folder / UNLIKE):
        return None
    path = member(folder, UNLIKE, whole)
    with clear_read_errors(path, whole):
        try:
            with zipfile.ZipFile(path) as archive:
                if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                    raise ValueError("it is compressed, and may be of any size")
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            if not all(np.isfinite(array).all() for array in arrays.values()):
                raise ValueError("numbers in it are not finite")
            names = [name.removesuffix(".rows") for name in arrays if name.endswith(".rows")]
            pairs = [name.removesuffix(".first.mean") for name in arrays if name.endswith(".first.mean")]
            spaces = {name: _space(arrays, name) for name in names}
            pairings = {
                (one, other): _pairing(arrays, spaces, one, other) for one, other in (p.split("+") for p in pairs)
            }
            scales = {name: _scale(arrays[f"{name}.scale"]) for name in [*names, *pairs]}
            usual = float(arrays["usual"])
        except (KeyError, TypeError, EOFError, zipfile.BadZipFile) as reason:
            raise ValueError(f"an array is missing or of another kind: {reason}") from reason
        if not spaces or usual <= 0:
            raise ValueError("it holds no vectors, or no distance")
    return TrainingVectors(spaces, pairings, scales, usual)


def _named(name: str, project: Projection) -> dict[str, np.ndarray]:
    return {f"{name}.mean": project.mean, f"{name}.matrix": project.matrix}


def _projection(arrays: Mapping[str, np.ndarray], name: str) -> Projection:
    mean, matrix = arrays[f"{name}.mean"], arrays[f"{name}.matrix"]
    if matrix.ndim != 2 or mean.shape != matrix.shape[:1]:
        raise ValueError(f"the vectors of {name} are of unlike shapes")
    return Projection(mean, matrix)


def _space(arrays: Mapping[str, np.ndarray], name: str) -> Space:
    space = Space(_projection(arrays, name), arrays[f"{name}.rows"])
    if space.rows.ndim != 2 or not len(space.rows) or space.rows.shape[1] != space.project.matrix.shape[1]:
        raise ValueError(f"the vectors of {name} are of unlike shapes")
    return space


def _pairing(arrays: Mapping[str, np.ndarray], spaces: Mapping[str, Space], *pair: str) -> Pairing:
    first, second = (_projection(arrays, f"{'+'.join(pair)}.{side}") for side in ("first", "second"))
    widths = [len(spaces[name].project.mean) for name in pair]
    if [len(first.mean), len(second.mean)] != widths or first.matrix.shape[1] != second.matrix.shape[1]:
        raise ValueError(f"the vectors of {'+'.join(pair)} are of unlike shapes")
    return Pairing(first, second)


def _scale(values: np.ndarray) -> Scale:
    middle, usual = values.tolist()
    if not middle < usual:
        raise ValueError("nothing is usual")
    return Scale(middle, usual)


def _norm(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return how strange posts are with all their parts, float [N]; NaN where a post has none."""
    values = np.stack(list(parts.values()))
    return np.where(np.isnan(values).all(0), np.nan, np.sqrt((np.nan_to_num(np.maximum(values, 0)) ** 2).sum(0)))
