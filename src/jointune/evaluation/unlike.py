"""Tell posts that are unlike the training posts, from what the encoders see in them."""

import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from jointune.utils.files import clear_read_errors, member

UNLIKE = "unlike.npz"
"""The file of a bundle or an export that holds the spaces; those of earlier versions have none."""

JOINT = "joint"

SUMMARY = "_summary"
"""Ending of the names of vectors that hold what an encoder has of a post at all depths; see ``EncoderOutput``."""

_NEIGHBOURS = 10  # of which the distances are averaged, at most
_WIDTH = 256  # of a space
_RIDGE = 0.1  # of the mean variance, is added to each when vectors are whitened
_PAIR_WIDTH = 64  # principal components of each modality that are correlated
_CORRELATIONS = 32
_POSTS_A_COMPONENT = 8  # or there are fewer components
_USUAL = 0.95  # of the validation posts are no stranger than what is still called usual
_AT_ONCE = 1024  # posts
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
class Projection:
    """A linear map of vectors.

    Attributes:
        mean: is subtracted first, float32 [D].
        matrix: float32 [D, W].
    """

    mean: np.ndarray
    matrix: np.ndarray

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Project vectors, float [N, D], to float32 [N, W]."""
        return ((vectors - self.mean) @ self.matrix).astype(np.float32)


@dataclass(frozen=True)
class Principal:
    """The principal components of vectors, each number of which is divided by its standard deviation first.

    Attributes:
        mean: of the vectors, float32 [D].
        scale: their standard deviations, float [D].
        axes: of the components, those of great variance first, float [D, D].
        variances: along them, float [D].
    """

    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    variances: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray) -> "Principal":
        """Analyse vectors, float [R, D], without NaN."""
        mean, scale = vectors.mean(0).astype(np.float32), vectors.std(0)
        scale = np.where(scale > 1e-6, scale, 1)  # of a constant
        standard = (vectors - mean) / scale
        variances, axes = np.linalg.eigh(standard.T @ standard / len(standard))
        return cls(mean, scale, axes[:, ::-1], np.maximum(variances[::-1], 0))

    def to(self, matrix: np.ndarray) -> Projection:
        """Return the projection to combinations of the first components, float [C, W]."""
        axes = self.axes[:, : len(matrix)] @ matrix
        return Projection(self.mean, (axes / self.scale[:, None]).astype(np.float32))


@dataclass(frozen=True)
class Space:
    """Training posts as the encoder of one modality sees them.

    Vectors are whitened, since what is strange often differs where training posts hardly vary. A random projection then
    leaves fewer dimensions, and distances about as they are (Johnson and Lindenstrauss, 1984).

    Attributes:
        project: whitens and projects.
        rows: of training posts, projected, float16 [R, W].
    """

    project: Projection
    rows: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray, components: Principal, seed: int = 0) -> "Space":
        """Make the space of vectors, float [R, D], without NaN; the seed draws the projection."""
        variances = components.variances
        roots = np.sqrt(variances + max(_RIDGE * float(variances.mean()), 1e-12))
        draw = np.eye(len(roots))
        if len(roots) > _WIDTH:
            draw = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(roots), _WIDTH)))[0]
            draw *= np.sqrt(len(roots) / _WIDTH)
        project = components.to(draw / roots[:, None])
        return cls(project, project(vectors).astype(np.float16))

    def distances(self, vectors: np.ndarray) -> np.ndarray:
        """Return the mean distance from the nearest training posts, float [N]; NaN where the vector is NaN.

        After Sun et al. (2022, arXiv 2204.06507), who take the k-th distance, of vectors of unit length.
        """
        nearest = min(_NEIGHBOURS, len(self.rows))
        training = self.rows.astype(np.float32)
        squares = (training**2).sum(1)
        found = [np.zeros(0)]
        for start in range(0, len(vectors), _AT_ONCE):
            projected = self.project(vectors[start : start + _AT_ONCE])
            all_squares = (projected**2).sum(1, keepdims=True) + squares - 2 * projected @ training.T
            least = np.partition(all_squares, nearest - 1, axis=1)[:, :nearest]
            found.append(np.sqrt(np.maximum(least, 0)).mean(1))
        return np.concatenate(found)


@dataclass(frozen=True)
class Pairing:
    """How the vectors of two modalities go together in training posts: a canonical correlation analysis.

    After Hotelling (1936), "Relations between two sets of variates", on the principal components of each.

    Attributes:
        first: projects those of the first modality to canonical variates, times the roots of their correlations.
        second: likewise.
    """

    first: Projection
    second: Projection

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray, components: tuple[Principal, Principal]) -> "Pairing | None":
        """Correlate the vectors of the same posts, float [R, D] and [R, E]; None of too few posts.

        Args:
            first: of one modality.
            second: of the other.
            components: of each.
        """
        most = min(_PAIR_WIDTH, len(first) // _POSTS_A_COMPONENT, first.shape[1], second.shape[1])
        if most < 1:
            return None
        white = [
            np.diag(1 / np.sqrt(np.maximum(one.variances[:most], max(1e-6 * one.variances[0], 1e-12))))
            for one in components
        ]
        variates = [one.to(matrix)(own) for one, matrix, own in zip(components, white, (first, second), strict=True)]
        left, strengths, right = np.linalg.svd(variates[0].T @ variates[1] / len(first))
        roots = np.sqrt(strengths[:_CORRELATIONS])
        return cls(
            components[0].to(white[0] @ left[:, :_CORRELATIONS] * roots),
            components[1].to(white[1] @ right[:_CORRELATIONS].T * roots),
        )

    def misfits(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return by how little the vectors of a post fit each other, float [N]; NaN where either is NaN."""
        return -(self.first(first) * self.second(second)).sum(1)


@dataclass(frozen=True)
class Scale:
    """What is usual of a measure among validation posts.

    Attributes:
        middle: their median.
        usual: what one in 20 exceeds.
    """

    middle: float
    usual: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Scale | None":
        """Take the values of validation posts; None if all are NaN."""
        known = values[~np.isnan(values)]
        if not len(known):
            return None
        middle, usual = np.quantile(known, [0.5, _USUAL])
        return cls(float(middle), float(max(usual, middle + 1e-3 * abs(middle) + 1e-6)))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return 0 for what is at the middle, and 1 for what is barely usual."""
        return (values - self.middle) / (self.usual - self.middle)


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
        for name, own in having.items():
            if own.any():
                space = Space.of(training[name][own], components[name], seed)
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
        return cls(spaces, pairings, scales, max(float(np.nanquantile(_norm(parts), _USUAL)), 1e-6))

    def compare(self, vectors: Mapping[str, np.ndarray], logits: np.ndarray, labels: int) -> Iterator[Unlikeness]:
        """Say of each post how unlike the training posts it is.

        Args:
            vectors: of each of ``spaces``, float [N, D]; NaN where a post lacks the modality.
            logits: float [N, O].
            labels: their number.
        """
        of_labels = "max_logit" in Unlikeness.columns(logits.shape[1], labels)
        greatest = logits.max(1).round(6).tolist() if of_labels else [None] * len(logits)
        parts = self._parts(vectors)
        scores = _norm(parts) / self.usual
        for score, logit, *row in zip(scores, greatest, *parts.values(), strict=True):
            if np.isnan(score):  # nothing to compare it by
                yield Unlikeness(_BEYOND, "kind", logit)
                continue
            said = ""
            if score > 1:
                known = {name: value for name, value in zip(parts, row, strict=True) if not np.isnan(value)}
                strange = [name for name, value in known.items() if value > 1] or [max(known, key=lambda n: known[n])]
                said = "+".join(name for name in strange if name in self.spaces) or "pairing"
            yield Unlikeness(round(float(score), 6), said, logit)

    def _parts(self, vectors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return how strange each part of posts is, float [N] each, 1 for what is barely usual."""
        measured = {name: space.distances(vectors[name]) for name, space in self.spaces.items()}
        for pair, pairing in self.pairings.items():
            measured["+".join(pair)] = pairing.misfits(*(vectors[name] for name in pair))
        return {name: self.scales[name](values) for name, values in measured.items()}

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
