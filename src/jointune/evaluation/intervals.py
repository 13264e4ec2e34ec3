"""The bootstrap over posts."""

import numpy as np


def bootstrap_confusions(confusion: np.ndarray, seed: int = 0, draws: int = 2000) -> np.ndarray:
    """Confusion matrices of ``draws`` resamples of the posts, with replacement.

    Resampling posts and counting again is the same as one multinomial draw over the matrix's cells, and far faster.

    Args:
        confusion: counts, int [C, C].
        seed: of the draws.
        draws: their number.

    Returns:
        Counts, int [draws, C, C].
    """
    total = int(confusion.sum())
    drawn = np.random.default_rng(seed).multinomial(total, confusion.ravel() / total, size=draws)
    return drawn.reshape(draws, *confusion.shape)


def f1_scores(confusions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Macro and weighted F1 of each matrix; labels in neither truth nor prediction do not count.

    Args:
        confusions: counts, int [M, C, C]; rows are true labels.

    Returns:
        Two arrays, float [M].
    """
    right = np.diagonal(confusions, axis1=1, axis2=2)
    support, predicted = confusions.sum(2), confusions.sum(1)
    occurs = support + predicted
    f1 = np.where(occurs > 0, 2 * right / np.maximum(occurs, 1), 0.0)
    macro = f1.sum(1) / (occurs > 0).sum(1)
    weighted = (f1 * support).sum(1) / support.sum(1)
    return macro, weighted
