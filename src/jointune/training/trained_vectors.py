"""Logits and vectors of a trained model, of validation posts and of a sample of the training posts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import compress

import numpy as np

from jointune.config import Config
from jointune.data.fingerprints import Known
from jointune.data.post import Posts
from jointune.data.split import joined
from jointune.evaluation.calibration import presence
from jointune.evaluation.unlike import summary_of
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
    backend: TorchBackend, modalities: Sequence[str], posts: TrainingSet, batch_size: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the logits of all posts, float32 [N, O], and their vectors; see ``sampled_vectors``."""
    posts.forget_activations()
    names = [LOGITS, *map(summary_of, modalities)]
    found = backend.vectors(posts.in_order(batch_size), len(posts), names)
    return found[LOGITS], _summaries(found, posts, np.arange(len(posts)))


def sampled_vectors(
    backend: TorchBackend, modalities: Sequence[str], posts: TrainingSet, config: Config
) -> dict[str, np.ndarray]:
    """Return the vectors of at most ``keep_vectors`` posts, drawn by the seed, by modality, float32 [R, D] each.

    They are of all depths, and NaN where a post lacks the modality. Cached activations of frozen layers are used, so
    ``backend`` has the precision of training.
    """
    drawn = np.arange(len(posts))
    if len(posts) > config.keep_vectors:
        drawn = np.sort(np.random.default_rng(config.seed).choice(len(posts), config.keep_vectors, replace=False))
    batches = (
        replace(batch, indices=np.searchsorted(drawn, batch.indices))
        for batch in posts.in_order(config.batch_size, drawn)
    )
    return _summaries(backend.vectors(batches, len(drawn), list(map(summary_of, modalities))), posts, drawn)


def _summaries(found: Mapping[str, np.ndarray], posts: TrainingSet, drawn: np.ndarray) -> dict[str, np.ndarray]:
    present = dict(zip(posts.rows, posts.present[drawn].T[:, :, None], strict=True))
    return {
        name: np.where(own, found[summary_of(name)], np.nan)
        for name, own in present.items()
        if summary_of(name) in found
    }
