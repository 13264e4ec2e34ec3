"""Spaces of training posts' vectors: how far another post is from them, and how well two of its vectors go together."""

from dataclasses import dataclass

import numpy as np

_NEIGHBOURS = 10  # of which the distances are averaged, at most
_WIDTH = 256  # of a space
_RIDGE = 0.1  # of the mean variance, is added to each when vectors are whitened
_PAIR_WIDTH = 64  # principal components of each modality that are correlated
_CORRELATIONS = 32
_POSTS_A_COMPONENT = 8  # or there are fewer components
_AT_ONCE = 1024  # posts

USUAL = 0.95
"""Share of the validation posts that are no stranger than what is still called usual."""


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
        middle, usual = np.quantile(known, [0.5, USUAL])
        return cls(float(middle), float(max(usual, middle + 1e-3 * abs(middle) + 1e-6)))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return 0 for what is at the middle, and 1 for what is barely usual."""
        return (values - self.middle) / (self.usual - self.middle)
