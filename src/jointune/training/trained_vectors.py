"""Logits and vectors of a trained model, of validation posts and of a sample of the training posts."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress

import numpy as np

from jointune.config import Config
from jointune.data.fingerprints import Known
from jointune.data.post import Posts
from jointune.data.split import joined
from jointune.evaluation.calibration import presence
from jointune.evaluation.unlike import JOINT
from jointune.inference.scored import LOGITS
from jointune.inference.torch_backend import TorchBackend
from jointune.training.training_set import TrainingSet


def modalities_of(posts: TrainingSet) -> list[str]:
    """Return the modalities of each post, as ``presence`` names them."""
    return [presence(compress(posts.rows, row)) for row in posts.present.tolist()]


def independent(posts: Posts, digests: Sequence[Sequence[bytes]], known: np.ndarray) -> np.ndarray:
    """Return the numbers of validation posts that can be taken for independent draws, int [N], ascending.

    Posts that are training posts are left out, and of those that share an image, a text or a group all but the first.

    Args:
        posts: of the validation.
        digests: of the text and the image of each.
        known: of each, whether it is a training post; see ``LearnedPosts.known``.
    """
    keys = [[*own, *([post.group] if post.group else [])] for own, post in zip(digests, posts, strict=True)]
    _, first = np.unique(joined(keys), return_index=True)
    return np.sort(first[known[first] < Known.TRAINING])


def validated_vectors(
    backend: TorchBackend, names: Sequence[str], posts: TrainingSet, batch_size: int
) -> dict[str, np.ndarray]:
    """Return the logits and the vectors of all posts, float32 [N, D] each; see ``sampled_vectors``."""
    posts.forget_activations()
    return _without_absent(
        backend.vectors(posts.in_order(batch_size), len(posts), [LOGITS, *names]), posts, np.arange(len(posts))
    )


def sampled_vectors(
    backend: TorchBackend, names: Sequence[str], posts: TrainingSet, config: Config
) -> dict[str, np.ndarray]:
    """Return the vectors of at most ``keep_vectors`` posts, drawn by the seed, float32 [R, D] each.

    They are NaN where a post lacks the modality, or for ``joint`` where it has one alone. Cached activations of frozen
    layers are used, so ``backend`` has the precision of training.
    """
    drawn = np.arange(len(posts))
    if len(posts) > config.keep_vectors:
        drawn = np.sort(np.random.default_rng(config.seed).choice(len(posts), config.keep_vectors, replace=False))
    batches = (
        replace(batch, indices=np.searchsorted(drawn, batch.indices))
        for batch in posts.in_order(config.batch_size, drawn)
    )
    return _without_absent(backend.vectors(batches, len(drawn), names), posts, drawn)


def _without_absent(found: dict[str, np.ndarray], posts: TrainingSet, drawn: np.ndarray) -> dict[str, np.ndarray]:
    present = posts.present[drawn]
    for column, name in enumerate(posts.rows):
        if name in found:
            found[name][~present[:, column]] = np.nan
    if JOINT in found:
        found[JOINT][present.sum(1) < 2] = np.nan
    return found
