"""EncoderOutput of the encoders' frozen layers, computed once for each post."""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from jointune.config import Config
from jointune.encoders.image_encoder import ImageEncoder
from jointune.encoders.text_encoder import TextEncoder
from jointune.errors import OutputError, setting
from jointune.model import JointModel
from jointune.training.forward import autocast, evaluating, to_inputs
from jointune.utils.progress import Bar

if TYPE_CHECKING:
    from jointune.training.training_set import TrainingSet


class _Row(NamedTuple):
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


class StateStore:
    """An array for each post, of any shape, in a file that has no name and vanishes with the store or the process."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="jointune-states-", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._rows: dict[int, _Row] = {}
        self._end = 0

    def put(self, number: int, states: np.ndarray) -> None:
        """Keep the states of the post with this number.

        Raises:
            OutputError: the disk is full.
        """
        content = np.ascontiguousarray(states).tobytes()
        try:
            written = os.pwrite(self._file.fileno(), content, self._end)
        except OSError as reason:
            raise _no_room(reason.strerror) from reason
        if written < len(content):
            raise _no_room("the disk is full")
        self._rows[number] = _Row(self._end, states.shape, states.dtype)
        self._end += len(content)

    def put_all(self, numbers: Iterable[int], states: np.ndarray) -> None:
        """Keep those of several posts, [B, ...]; see ``put``."""
        for number, row in zip(numbers, states, strict=True):
            self.put(number, row)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> np.ndarray:
        row = self._rows[number]
        content = os.pread(self._file.fileno(), int(np.prod(row.shape)) * row.dtype.itemsize, row.offset)
        return np.frombuffer(content, row.dtype).reshape(row.shape)


def room_for(size: int) -> bool:
    """Whether so many bytes take no more than half of the disk that is free."""
    return size <= shutil.disk_usage(tempfile.gettempdir()).free / 2


def _no_room(reason: str | None) -> OutputError:
    return OutputError(
        f"no room for the states of the frozen layers in {tempfile.gettempdir()}: {reason}",
        f"free some, point TMPDIR to a larger disk, or train all layers with {setting('train_layers', None)}",
    )


def run_frozen_layers(
    model: JointModel,
    posts: "TrainingSet",
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
    kept_texts = _TextStates(model.text_encoder, posts) if texts and model.text_encoder.split else None
    kept_pictures = None
    if pictures and model.image_encoder.split:
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

    def __init__(self, encoder: TextEncoder, posts: "TrainingSet") -> None:
        self._encoder, self._fixed_length = encoder, posts.text.fixed_length
        self.store = StateStore()

    def add(self, numbers: list[int], tokens: Mapping[str, Tensor]) -> None:
        states = _kept(self._encoder.activations(tokens))
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
        states = _kept(self._encoder.activations(pixels))
        copies = 1 if self.mirrored is None else 2
        if not len(self.store) and not room_for(states[0].nbytes * self._posts * copies):
            self._bar.line("too little disk for what frozen layers say of pictures: they are run in each epoch")
            self.store = self.mirrored = None
            return
        self.store.put_all(numbers, states)
        if self.mirrored is not None:
            self.mirrored.put_all(numbers, _kept(self._encoder.activations(pixels.flip(2))))


def _kept(states: Tensor) -> np.ndarray[Any, Any]:
    """As float32, or as the bits of bfloat16."""
    states = states.cpu()
    return states.view(torch.int16).numpy() if states.dtype == torch.bfloat16 else states.float().numpy()
