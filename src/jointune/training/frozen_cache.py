"""Activations of the encoders' frozen layers, computed once for each post."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jointune.config import Config
from jointune.modalities.image.store import ImageRows
from jointune.modalities.rows import ActivationStore, Rows, room_for
from jointune.model import JointModel, autocast, evaluating, to_inputs
from jointune.training.training_set import TrainingSet
from jointune.utils.progress import Bar


def cache_frozen_layers(
    model: JointModel, training: TrainingSet, validation: TrainingSet, config: Config, device: torch.device, bar: Bar
) -> None:
    """Compute once what training would otherwise compute in each epoch: the activations at each encoder's split.

    Posts are run in one order, whatever batches ask for them later, so that a resumed run computes the same numbers.
    Images are left to the epochs where they are cropped at random, or where their activations would take more than half
    of the free disk; texts, where the text in images is read too, which varies with what is hidden.

    Args:
        model: in the precision that it will be trained in.
        training: the posts to learn from.
        validation: the posts to choose on.
        config: batch size, precision, and how images are augmented.
        device: where the model is put.
        bar: advances with every post.

    Raises:
        OutputError: the disk is full.
        TooLittleMemoryError: a batch is too large for the device.
    """
    model.to(device)
    _run(model, validation, tuple(validation.rows), False, config, device, bar)
    chosen = [name for name, rows in training.rows.items() if rows.cacheable(config.augment)]
    _run(model, training, chosen, config.augment, config, device, bar)


def _run(
    model: JointModel,
    posts: TrainingSet,
    modalities: list[str] | tuple[str, ...],
    augment: bool,
    config: Config,
    device: torch.device,
    bar: Bar,
) -> None:
    caches = {
        name: _Cache(model.encoders[name], posts.rows[name], augment, bar)
        for name in modalities
        if model.encoders[name].split
    }
    if not caches:
        return
    bar.start(len(posts))
    columns = list(model.encoders)
    with evaluating(model, device), torch.no_grad(), autocast(device, config.precision):
        for batch in posts.in_order(config.batch_size):
            inputs = to_inputs(batch, device).inputs
            for name, cache in caches.items():
                if name in inputs:
                    numbers = batch.indices[batch.present[:, columns.index(name)]].tolist()
                    cache.add(numbers, inputs[name], batch.items.get(name))
            bar.advance(len(batch.indices))
    for name, cache in caches.items():
        rows = posts.rows[name]
        rows.activations = cache.store
        if isinstance(rows, ImageRows):
            rows.version_activations = cache.versions


class _Cache:
    """The activations of one modality, and of all versions of images where training draws of them."""

    def __init__(self, encoder: Any, rows: Rows, augment: bool, bar: Bar) -> None:
        self._encoder, self._rows, self._bar = encoder, rows, bar
        self.store: ActivationStore | None = ActivationStore()
        others = rows.versions - 1 if augment and isinstance(rows, ImageRows) else 0
        self.versions = [ActivationStore() for _ in range(others)]

    def add(self, numbers: list[int], inputs: Mapping[str, Tensor], items: np.ndarray | None) -> None:
        """Run the frozen layers on posts with these numbers, and keep the activations; for ``items``, see ``Batch``."""
        if self.store is None:
            return
        activations = _as_array(self._encoder.activations(inputs))
        if isinstance(self._rows, ImageRows):
            stores = 1 + len(self.versions)
            if not len(self.store) and not room_for(activations[0].nbytes * self._rows.images * stores):
                self._bar.line("too little disk for the activations of images: frozen layers run in each epoch")
                self.store, self.versions = None, []
                return
            places = (
                [[place] for place in range(len(activations))] if items is None else [own[own >= 0] for own in items]
            )
            self.store.put_all(numbers, [activations[own] for own in places])
            device = inputs["pixels"].device
            for version, store in enumerate(self.versions, 1):
                arrays = self._rows.preprocessor.collate([self._rows.all_of(number, version) for number in numbers])
                tensors = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
                activations = _as_array(self._encoder.activations(tensors))
                store.put_all(numbers, [activations[own] for own in places])
            return
        self.store.put_all(numbers, self._rows.own_parts(activations, inputs))


def _as_array(activations: Tensor) -> np.ndarray[Any, Any]:
    """Return float32, or the bits of bfloat16 as int16."""
    activations = activations.cpu()
    if activations.dtype == torch.bfloat16:
        return activations.view(torch.int16).numpy()
    return activations.float().numpy()
