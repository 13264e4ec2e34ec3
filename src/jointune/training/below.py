"""What the frozen layers say of each post, computed once."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jointune.batches.states import StateStore, room_for
from jointune.batches.training_set import TrainingSet
from jointune.config import Config
from jointune.encoders.image import ImageEncoder
from jointune.encoders.text import TextEncoder
from jointune.model import JointModel
from jointune.progress import Bar
from jointune.training.inference import autocast, evaluating, to_inputs


def run_frozen_layers(
    model: JointModel,
    posts: TrainingSet,
    config: Config,
    device: torch.device,
    bar: Bar,
    texts: bool = True,
    pictures: bool = True,
    mirrored: bool = False,
) -> None:
    """Keep the states at the boundary of both encoders' trained layers for ``posts``, where there is a boundary.

    Posts are run in one order, whatever batches ask for them later, so that a resumed run finds the same numbers.

    Args:
        model: in the precision and on the device that it will be trained on.
        posts: whose ``text_below``, ``image_below`` and ``image_below_mirrored`` are set.
        config: batch size and precision.
        device: where the model is.
        bar: advances with every post.
        texts: whether texts are run.
        pictures: whether pictures are run, cropped at the centre. They are left to the epochs where their states would
            take more than half of the free disk.
        mirrored: whether they are run mirrored too.

    Raises:
        OutputError: the disk is full.
        TooLittleMemoryError: a batch is too large for the device.
    """
    kept_texts = _TextStates(model.text_encoder, posts) if texts and model.text_encoder.boundary else None
    kept_pictures = None
    if pictures and model.image_encoder.boundary:
        kept_pictures = _PictureStates(model.image_encoder, len(posts), mirrored, bar)
    if kept_texts is None and kept_pictures is None:
        return
    bar.start(len(posts))
    with evaluating(model, device), torch.no_grad(), autocast(device, config.precision):
        for batch in posts.in_order(config.batch_size):
            inputs = to_inputs(batch, device)
            if kept_texts is not None and inputs.text is not None:
                kept_texts.add(batch.indices[batch.present[:, 0]].tolist(), inputs.text)
            if kept_pictures is not None and inputs.pixels is not None:
                kept_pictures.add(batch.indices[batch.present[:, 1]].tolist(), inputs.pixels)
            bar.advance(len(batch.indices))
    if kept_texts is not None:
        posts.text_below = kept_texts.store
    if kept_pictures is not None:
        posts.image_below, posts.image_below_mirrored = kept_pictures.store, kept_pictures.mirrored


class _TextStates:
    """What the frozen layers say of each text, as long as the text is."""

    def __init__(self, encoder: TextEncoder, posts: TrainingSet) -> None:
        self._encoder, self._fixed_length = encoder, posts.text.fixed_length
        self.store = StateStore()

    def add(self, numbers: list[int], tokens: Mapping[str, Tensor]) -> None:
        states = _kept(self._encoder.below(tokens))
        mask = tokens["attention_mask"]
        # Where all texts are padded to one length, the encoder looks at the padding too.
        lengths = [mask.shape[1]] * len(mask) if self._fixed_length else mask.sum(1).tolist()
        for number, row, length in zip(numbers, states, lengths, strict=True):
            self.store.put(number, row[:length])


class _PictureStates:
    """What the frozen layers say of each picture, as it is and, where asked for, mirrored."""

    def __init__(self, encoder: ImageEncoder, posts: int, mirrored: bool, bar: Bar) -> None:
        self._encoder, self._posts, self._bar = encoder, posts, bar
        self.store: StateStore | None = StateStore()
        self.mirrored = StateStore() if mirrored else None

    def add(self, numbers: list[int], pixels: Tensor) -> None:
        if self.store is None:
            return
        states = _kept(self._encoder.below(pixels))
        copies = 1 if self.mirrored is None else 2
        if not len(self.store) and not room_for(states[0].nbytes * self._posts * copies):
            self._bar.line("too little disk for what frozen layers say of pictures: they are run in each epoch")
            self.store = self.mirrored = None
            return
        self.store.put_all(numbers, states)
        if self.mirrored is not None:
            self.mirrored.put_all(numbers, _kept(self._encoder.below(pixels.flip(2))))


def _kept(states: Tensor) -> np.ndarray[Any, Any]:
    """As float32, or as the bits of bfloat16."""
    states = states.cpu()
    return states.view(torch.int16).numpy() if states.dtype == torch.bfloat16 else states.float().numpy()
