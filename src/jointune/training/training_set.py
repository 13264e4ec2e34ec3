"""The posts of a training run as rows of each modality, and the batches of each epoch."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from jointune.modalities.batch import Batch, items_of, presence
from jointune.modalities.rows import Rows

_POOL = 16
"""Batches whose posts are sorted by length together: long enough to save padding, short enough to stay random."""


class TrainingSet:
    """N posts.

    Args:
        rows: by modality.
        labels: encoded by the target, [N].
    """

    def __init__(self, rows: Mapping[str, Rows], labels: np.ndarray) -> None:
        self.rows, self.labels = dict(rows), labels
        self._lengths = np.sum([part.lengths for part in rows.values()], axis=0)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def present(self) -> np.ndarray:
        """Mask of the modalities that each post has, bool [N, M]."""
        return np.stack([part.present for part in self.rows.values()], axis=1)

    @property
    def several(self) -> bool:
        """Whether a post has several items of a modality, such as images."""
        return any(
            part.preprocessor.several and any(row is not None and len(row) > 1 for row in part.rows)
            for part in self.rows.values()
        )

    def forget_activations(self) -> None:
        """Run all layers from now on; the activations were computed in the precision of training."""
        for part in self.rows.values():
            part.activations = None

    def in_order(self, batch_size: int, only: np.ndarray | None = None) -> Iterator[Batch]:
        """Yield every post once, or ``only`` those of these numbers, shortest texts first, nothing augmented."""
        order = np.argsort(self._lengths, kind="stable")
        if only is not None:
            order = order[np.isin(order, only)]
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            yield self._collate(chosen, {name: [part.row(i) for i in chosen] for name, part in self.rows.items()})

    def epoch_order(self, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """Return the post numbers of each batch of an epoch: shuffled, with texts of like length together."""
        random = np.random.default_rng([seed, epoch])
        shuffled = random.permutation(len(self))
        pool = batch_size * _POOL
        sorted_pools = [
            part[np.argsort(self._lengths[part], kind="stable")]
            for part in (shuffled[start : start + pool] for start in range(0, len(shuffled), pool))
        ]
        order = np.concatenate(sorted_pools)
        batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        return [batches[index] for index in random.permutation(len(batches))]

    def training_batch(
        self, chosen: np.ndarray, seed: int, step: int, modality_dropout: float, augment: bool, part: int = 0
    ) -> Batch:
        """Return a batch with images cropped and mirrored at random, and now and then modalities hidden.

        Args:
            chosen: post numbers [B].
            seed: with ``step``, decides every draw.
            step: number of the training step.
            modality_dropout: the chance that a post with several modalities loses some, every subset with equal chance.
            augment: whether images are cropped and mirrored at random; cropped at the centre otherwise.
            part: tells apart the batches of one step.
        """
        random = np.random.default_rng([seed, step, 1 + part])
        drawn: dict[str, list] = {name: [] for name in self.rows}
        for index in chosen:
            post = {name: rows.row(index, random if augment else None) for name, rows in self.rows.items()}
            own = [name for name in post if self._has(name, index, post)]
            if len(own) > 1 and random.random() < modality_dropout:
                hidden = _subset(own, random.random())
                post = {name: self.rows[name].row_without(index, row, hidden) for name, row in post.items()}
            for name, row in post.items():
                drawn[name].append(row)
        return self._collate(chosen, drawn)

    def _has(self, name: str, index: int, post: Mapping[str, object]) -> bool:
        """Return whether a post has a modality by itself, not through another one, as a text read in an image."""
        return self.rows[name].row_without(index, post[name], self.rows.keys() - {name}) is not None

    def _collate(self, chosen: np.ndarray, drawn: Mapping[str, Sequence]) -> Batch:
        inputs, activations, items = {}, {}, {}
        for name, rows in drawn.items():
            having = [(int(i), row) for i, row in zip(chosen, rows, strict=True) if row is not None]
            if having:
                own = [row for _, row in having]
                arrays, frozen = self.rows[name].collate([i for i, _ in having], own)
                if (places := items_of(self.rows[name].preprocessor, own)) is not None:
                    items[name] = places
                if arrays is not None:
                    inputs[name] = arrays
                if frozen is not None:
                    activations[name] = frozen
        numbers = np.asarray(chosen, dtype=np.int64)
        return Batch(numbers, presence(drawn.values()), inputs, self.labels[chosen], activations, items)


def _subset(names: Sequence[str], draw: float) -> frozenset[str]:
    """Return a subset of the names, neither none nor all of them, each with the same chance; ``draw`` is in [0, 1)."""
    number = 1 + int(draw * (2 ** len(names) - 2))
    return frozenset(name for bit, name in enumerate(names) if number >> bit & 1)
