"""The posts of a training run as arrays, and the batches of each epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from jointune.modalities.batch import Batch, collate
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.image.store import ImageStore
from jointune.modalities.text.tokens import TextPreprocessor, Tokens
from jointune.training.frozen_cache import StateStore

_POOL = 16
"""Batches whose posts are sorted by length together: long enough to save padding, short enough to stay random."""

_UNSEEN, _UNSEEN_MIRRORED = np.empty(0, dtype=np.uint8), np.empty(0, dtype=np.uint8)
"""In place of a picture whose states are known, and of one mirrored."""


class TrainingSet:
    """Tokens, pictures and labels of N posts.

    Attributes:
        text_below: states of each text at the boundary of the text encoder's trained layers; None where not computed.
        image_below: likewise of each picture, cropped at the centre; random crops are then out of reach.
        image_below_mirrored: likewise of each picture mirrored.

    Args:
        tokens: of each text, or None.
        places: index in ``store`` of each picture, or None.
        store: the prepared pictures.
        labels: class numbers, int64 [N].
        text: pads the tokens.
        image: crops the pictures.
        tokens_without_image: ``tokens`` as they are while the picture is hidden, where that hides text too: the text in
            the picture goes with the picture.
        tokens_without_text: ``tokens`` as they are while the post's own text is hidden; None by default.
    """

    def __init__(
        self,
        tokens: Sequence[Tokens | None],
        places: Sequence[int | None],
        store: ImageStore,
        labels: np.ndarray,
        text: TextPreprocessor,
        image: ImagePreprocessor,
        tokens_without_image: Sequence[Tokens | None] | None = None,
        tokens_without_text: Sequence[Tokens | None] | None = None,
    ) -> None:
        self.tokens, self.places, self.store, self.labels = tokens, places, store, labels
        self.text, self.image = text, image
        self.tokens_without_image = tokens if tokens_without_image is None else tokens_without_image
        self.tokens_without_text = [None] * len(tokens) if tokens_without_text is None else tokens_without_text
        self.text_below: StateStore | None = None
        self.image_below: StateStore | None = None
        self.image_below_mirrored: StateStore | None = None
        self._lengths = np.array([0 if row is None else len(row) for row in tokens])

    def __len__(self) -> int:
        return len(self.labels)

    def in_order(self, batch_size: int, only: np.ndarray | None = None) -> Iterator[Batch]:
        """Every post once, or ``only`` those of these numbers, shortest texts first, pictures cropped at the centre."""
        order = np.argsort(self._lengths, kind="stable")
        if only is not None:
            order = order[np.isin(order, only)]
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            yield self._collate(chosen, [self.tokens[i] for i in chosen], [self._pixels(i) for i in chosen])

    def epoch_order(self, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """The post numbers of each batch of an epoch: shuffled, with texts of like length together."""
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
        """A batch with pictures cropped and mirrored at random, and now and then a modality left out.

        Args:
            chosen: post numbers [B].
            seed: with ``step``, decides every draw.
            step: number of the training step.
            modality_dropout: the chance that a post which has both loses one of them, either with equal chance.
            augment: whether pictures are cropped and mirrored at random; cropped at the centre otherwise.
            part: tells apart the batches of one step.
        """
        random = np.random.default_rng([seed, step, 1 + part])
        tokens, pixels = [], []
        for index in chosen:
            row, picture = self.tokens[index], self._pixels(index, random if augment else None)
            own = self.tokens_without_image[index]
            if own is not None and picture is not None and random.random() < modality_dropout:
                row, picture = (self.tokens_without_text[index], picture) if random.random() < 0.5 else (own, None)
            tokens.append(row)
            pixels.append(picture)
        return self._collate(chosen, tokens, pixels)

    def _pixels(self, index: int, random: np.random.Generator | None = None) -> np.ndarray | None:
        place = self.places[index]
        if place is None:
            return None
        vertical, horizontal, mirror = (0.5, 0.5, 1.0) if random is None else random.random(3)
        if self.image_below is not None:
            return _UNSEEN_MIRRORED if mirror < 0.5 else _UNSEEN
        cropped = self.image.crop(self.store[place], (vertical, horizontal))
        return cropped[:, ::-1] if mirror < 0.5 else cropped

    def _collate(
        self, chosen: np.ndarray, tokens: Sequence[Tokens | None], pixels: Sequence[np.ndarray | None]
    ) -> Batch:
        batch = collate(chosen, tokens, pixels, self.text, self.labels[chosen])
        if self.text_below is not None and batch.text is not None:
            rows = [self.text_below[i] for i, row in zip(chosen, tokens, strict=True) if row is not None]
            batch = replace(batch, text_below=_padded(rows, batch.text["input_ids"].shape[1]))
        if self.image_below is not None and batch.pixels is not None:
            seen = [(int(i), picture) for i, picture in zip(chosen, pixels, strict=True) if picture is not None]
            states = [self._image_states(i, picture is _UNSEEN_MIRRORED) for i, picture in seen]
            batch = replace(batch, pixels=None, image_below=np.stack(states))
        return batch

    def _image_states(self, index: int, mirrored: bool) -> np.ndarray:
        store = self.image_below_mirrored if mirrored else self.image_below
        assert store is not None, "pictures that are mirrored have been run mirrored"
        return store[index]


def _padded(rows: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Arrays [L, ...] in one, [B, length, ...], with zeros after their ends."""
    padded = np.zeros((len(rows), length, *rows[0].shape[1:]), dtype=rows[0].dtype)
    for row, states in zip(padded, rows, strict=True):
        row[: len(states)] = states
    return padded
