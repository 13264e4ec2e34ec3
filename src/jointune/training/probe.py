"""The linear probe: a linear model of the outputs of the frozen encoders."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from jointune.config import Config
from jointune.modalities.batch import Batch
from jointune.model import JointModel, autocast, evaluating, to_inputs
from jointune.targets.target import Target
from jointune.training.embeddings import EmbeddingCache
from jointune.training.training_set import TrainingSet
from jointune.utils.progress import Bar, QuietBar

STRENGTHS = tuple(float(10**power) for power in np.arange(-1.5, 2.1, 0.5))
"""Inverse strengths of the L2 penalty (scikit-learn's C) to choose from."""


FEW_TO_CHOOSE = 300
"""With fewer validation posts, the training posts help to choose the penalty."""

FOLDS = 5
"""Of the training posts, where they help to choose."""

MOST_POSTS = 10_000
"""To fit a probe to; more of them take memory and time, and change it little."""


@dataclass(frozen=True)
class Probe:
    """A linear model of standardised features.

    Attributes:
        mean: of each feature over the training posts that have it, float32 [D].
        scale: what each feature is divided by, float32 [D]: its standard deviation times the root of the width of its
            vector and of the number of vectors of its modality. So all modalities weigh alike in the penalty, however
            wide their encoders are, and so do their layers.
        weight: float32 [O, D].
        bias: float32 [O].
        strength: the chosen inverse strength of the penalty.
    """

    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    strength: float

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return logits, float64 [N, O], of features [N, D], NaN where a modality is missing."""
        return _standardise(features, self.mean, self.scale).astype(np.float64) @ self.weight.T + self.bias


def start_from_probe(
    model: JointModel,
    training: TrainingSet,
    validation: TrainingSet,
    config: Config,
    device: torch.device,
    target: Target,
    class_weights: np.ndarray | None = None,
    cache: EmbeddingCache | None = None,
) -> float:
    """Fit a probe to at most ``MOST_POSTS`` training posts, and give the untrained model its logits.

    Args:
        model: with a probe of its own.
        training: the posts to learn from.
        validation: the validation posts, which choose the penalty.
        config: batch size, precision, modality dropout and seed.
        device: where the model is.
        target: of the posts.
        class_weights: float [C].
        cache: knows vectors of earlier runs.

    Returns:
        ``Probe.strength``.
    """
    assert model.probe is not None, "the model was made with a probe"
    learned = sample(target.rarest(training.labels), MOST_POSTS, config.seed)

    def features(part: TrainingSet, chosen: np.ndarray) -> np.ndarray:
        return frozen_features(model, part, chosen, config, device, cache)

    probe = fit_probe(
        features(training, learned),
        training.labels[learned],
        features(validation, np.arange(len(validation))),
        validation.labels,
        {name: encoder.widths for name, encoder in zip(model.encoders, model.each_encoder(), strict=True)},
        target,
        class_weights,
        config.modality_dropout,
    )
    start_from(model, probe)
    return probe.strength


def sample(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Draw the numbers of ``most`` posts at random, at least one of each label, ascending; all where there are few."""
    if len(labels) <= most:
        return np.arange(len(labels))
    drawn = np.random.default_rng([seed, most]).permutation(len(labels))
    _, firsts = np.unique(labels[drawn], return_index=True)
    needed = drawn[firsts]
    rest = drawn[~np.isin(drawn, needed)]
    return np.sort(np.concatenate([needed, rest])[:most])


def frozen_features(
    model: JointModel,
    part: TrainingSet,
    chosen: np.ndarray,
    config: Config,
    device: torch.device,
    cache: EmbeddingCache | None = None,
    bar: Bar = QuietBar(),  # noqa: B008 - it has no state
) -> np.ndarray:
    """Return the ``pooled_features`` of chosen posts, as far as possible from earlier runs.

    Args:
        model: whose encoders are asked.
        part: the posts.
        chosen: the numbers of these, int [N], ascending.
        config: batch size and precision.
        device: where the model is.
        cache: knows vectors of earlier runs.
        bar: advances with every post.
    """
    width = sum(encoder.width for encoder in model.each_encoder())
    vectors = np.full((len(part), width), np.nan, dtype=np.float32)
    missing = chosen if cache is None else cache.fill(vectors, chosen, part.rows)
    bar.start(len(chosen), len(chosen) - len(missing))

    def batches() -> Iterator[Batch]:
        for batch in part.in_order(config.batch_size, missing):
            yield batch
            bar.advance(len(batch.indices))

    vectors[missing] = pooled_features(model, batches(), missing, device, config.precision)
    if cache is not None:
        cache.keep(vectors, missing, part.rows)
    return vectors[chosen]


def pooled_features(
    model: JointModel, batches: Iterable[Batch], chosen: np.ndarray, device: torch.device, precision: str = "fp32"
) -> np.ndarray:
    """Return the pooled vectors of all encoders side by side, with those of hidden layers.

    The model's mode is kept.

    Args:
        model: whose encoders are asked.
        batches: of posts.
        chosen: the numbers of these posts, int [N], ascending; the order of the rows.
        device: where the model is.
        precision: see ``autocast``.

    Returns:
        float32 [N, D], in the order of the encoders; NaN for a modality that a post lacks.

    Raises:
        TooLittleMemoryError: a batch is too large for the device.
    """
    widths: list[int] = [encoder.width for encoder in model.each_encoder()]
    features = np.full((len(chosen), sum(widths)), np.nan, dtype=np.float32)
    ends = np.cumsum(widths)
    with evaluating(model, device), torch.inference_mode(), autocast(device, precision):
        for batch in batches:
            inputs = to_inputs(batch, device)
            rows = np.searchsorted(chosen, batch.indices)
            for column, (name, end, width) in enumerate(zip(model.encoders, ends, widths, strict=True)):
                if output := model.encode(name, inputs):
                    having = rows[batch.present[:, column]]
                    features[having, end - width : end] = output.summary.float().cpu().numpy()
    return features


def fit_probe(
    features: np.ndarray,
    labels: np.ndarray,
    held_features: np.ndarray,
    held_labels: np.ndarray,
    widths: Mapping[str, Sequence[int]],
    target: Target,
    class_weights: np.ndarray | None = None,
    modality_dropout: float = 0.0,
) -> Probe:
    """Fit the linear model of a target; the penalty is the one with the least loss on held-out posts.

    These are the validation posts and, if there are fewer than ``FEW_TO_CHOOSE``, also the training posts, each scored
    by a probe of the other folds: a handful of posts chooses penalties that give all posts one label.

    A missing modality counts as an average one. What ``modality_dropout`` does to fine-tuning by chance is done here
    by weight: each post that has several modalities counts for that share with a single one of them.

    Args:
        features: float [N, D], NaN where missing.
        labels: encoded, [N, ...], every class among them.
        held_features: float [M, D].
        held_labels: encoded, [M, ...].
        widths: by modality, those of the vectors that the features consist of.
        target: of the posts.
        class_weights: float [C].
        modality_dropout: share of the posts with several modalities to be seen with one, each equally often.
    """
    mean, scale = _statistics(features, widths)
    owner = np.repeat(np.arange(len(widths)), [sum(vectors) for vectors in widths.values()])
    present = np.stack([~np.isnan(features[:, owner == modality]).any(1) for modality in range(len(widths))])
    weights = target.post_weights(labels, class_weights)

    def fit(posts: np.ndarray) -> Iterator[Probe]:
        """Yield a probe of these posts for each strength."""
        rows = _standardise(features[posts], mean, scale)
        rows, of, shares = _with_one_modality(rows, present[:, posts], owner, modality_dropout)
        for fit in target.linear_fits(rows, labels[posts][of], weights[posts][of] * shares, STRENGTHS):
            yield Probe(mean, scale, fit.weight, fit.bias, fit.strength)

    probes = list(fit(np.arange(len(labels))))
    answers = [[target.activate(probe.logits(held_features))] for probe in probes]
    truth = [held_labels]
    fold = _folds(target.rarest(labels) if target.named else np.zeros(len(labels)))
    for number in range(FOLDS if len(held_labels) < FEW_TO_CHOOSE else 0):
        held = np.flatnonzero(fold == number)
        truth.append(labels[held])
        for part, probe in zip(answers, fit(np.flatnonzero(fold != number)), strict=True):
            part.append(target.activate(probe.logits(features[held])))
    losses = [target.log_loss(np.concatenate(truth), np.concatenate(part)) for part in answers]
    return probes[int(np.argmin(losses))]


def start_from(model: JointModel, probe: Probe) -> None:
    """Give the untrained model the logits of the probe."""
    assert model.probe is not None, "the model was made with a probe"
    with torch.no_grad():
        mean = torch.from_numpy(probe.mean)
        means = mean.split([encoder.width for encoder in model.each_encoder()])
        for modality, own in zip(model.encoders, means, strict=True):
            model.missing[modality].copy_(own)
        model.probe.mean.copy_(mean)
        model.probe.scale.copy_(torch.from_numpy(probe.scale))
        model.probe.linear.weight.copy_(torch.from_numpy(probe.weight))
        model.probe.linear.bias.copy_(torch.from_numpy(probe.bias))
        model.head.weight.zero_()
        model.head.bias.zero_()


def _statistics(features: np.ndarray, widths: Mapping[str, Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return ``Probe.mean`` and ``Probe.scale`` of features [N, D]."""
    present = ~np.isnan(features)
    count = np.maximum(present.sum(0), 1)
    mean = np.where(present, features, 0).sum(0) / count
    std = np.sqrt(np.where(present, (features - mean) ** 2, 0).sum(0) / count)
    share = np.concatenate([np.full(width, width * len(vectors)) for vectors in widths.values() for width in vectors])
    return mean.astype(np.float32), (np.where(std > 1e-6, std, 1.0) * np.sqrt(share)).astype(np.float32)


def _folds(labels: np.ndarray) -> np.ndarray:
    """Return a fold for each post, stratified, int [N]; -1 for the only post of a label, which all must learn."""
    fold = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        fold[own] = np.arange(len(own)) % FOLDS if len(own) > 1 else -1
    return fold


def _with_one_modality(
    rows: np.ndarray, present: np.ndarray, owner: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add rows with a single modality to standardised ``rows``; return them, the post of each, and its weight.

    Args:
        rows: float [N, D].
        present: which modalities there are, bool [M, N].
        owner: the modality of each column, int [D].
        share: of a post with several modalities, for its rows with one.
    """
    count = present.sum(0)
    parts, of, weights = [rows], [np.arange(len(rows))], [np.where(count > 1, 1 - share, 1.0)]
    for modality, own in enumerate(present if share else ()):
        posts = np.flatnonzero(own & (count > 1))
        parts.append(np.where(owner == modality, rows[posts], 0))
        of.append(posts)
        weights.append(share / count[posts])
    return np.concatenate(parts), np.concatenate(of), np.concatenate(weights)


def _standardise(features: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.nan_to_num((features - mean) / scale, nan=0.0)
