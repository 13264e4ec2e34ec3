"""The linear probe: a linear model of the outputs of the frozen encoders."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from jointune.config import Config
from jointune.modalities.batch import Batch
from jointune.model import JointModel, autocast, evaluating, to_inputs
from jointune.targets.target import Target
from jointune.training.training_set import TrainingSet

STRENGTHS = tuple(float(10**power) for power in np.arange(-1.5, 2.1, 0.5))
"""Inverse strengths of the L2 penalty (scikit-learn's C) to choose from."""


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
) -> None:
    """Fit a probe to at most ``MOST_POSTS`` training posts, and give the untrained model its logits.

    Args:
        model: with a probe of its own.
        training: the posts to learn from.
        validation: the validation posts, which choose the penalty.
        config: batch size, precision, modality dropout and seed.
        device: where the model is.
        target: of the posts.
        class_weights: float [C].
    """
    assert model.probe is not None, "the model was made with a probe"
    learned = sample(target.rarest(training.labels), MOST_POSTS, config.seed)

    def features(part: TrainingSet, chosen: np.ndarray) -> np.ndarray:
        return pooled_features(model, part.in_order(config.batch_size, chosen), chosen, device, config.precision)

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


def sample(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Draw the numbers of ``most`` posts at random, at least one of each label, ascending; all where there are few."""
    if len(labels) <= most:
        return np.arange(len(labels))
    drawn = np.random.default_rng([seed, most]).permutation(len(labels))
    _, firsts = np.unique(labels[drawn], return_index=True)
    needed = drawn[firsts]
    rest = drawn[~np.isin(drawn, needed)]
    return np.sort(np.concatenate([needed, rest])[:most])


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
    present = ~np.isnan(features)
    count = np.maximum(present.sum(0), 1)
    mean = np.where(present, features, 0).sum(0) / count
    std = np.sqrt(np.where(present, (features - mean) ** 2, 0).sum(0) / count)
    share = np.concatenate([np.full(width, width * len(vectors)) for vectors in widths.values() for width in vectors])
    scale = np.where(std > 1e-6, std, 1.0) * np.sqrt(share)
    mean, scale = mean.astype(np.float32), scale.astype(np.float32)
    learned = _standardise(features, mean, scale)
    weights = target.post_weights(labels, class_weights)
    owner = np.repeat(np.arange(len(widths)), [sum(vectors) for vectors in widths.values()])
    has = np.stack([present[:, owner == modality].any(1) for modality in range(len(widths))])
    count = has.sum(0)
    alone = [np.flatnonzero(own & (count > 1)) for own in has]
    if modality_dropout and any(map(len, alone)):
        shares = [weights[posts] * modality_dropout / count[posts] for posts in alone]
        weights[count > 1] *= 1 - modality_dropout
        hidden = [np.where(owner == modality, learned[posts], 0) for modality, posts in enumerate(alone)]
        learned = np.concatenate([learned, *hidden])
        labels = np.concatenate([labels, *(labels[posts] for posts in alone)])
        weights = np.concatenate([weights, *shares])

    best: tuple[float, Probe] | None = None
    for fit in target.linear_fits(learned, labels, weights, STRENGTHS):
        probe = Probe(mean, scale, fit.weight, fit.bias, fit.strength)
        loss = target.log_loss(held_labels, target.activate(probe.logits(held_features)))
        if best is None or loss < best[0]:
            best = loss, probe
    assert best is not None, "there are strengths"
    return best[1]


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


def _standardise(features: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.nan_to_num((features - mean) / scale, nan=0.0)
