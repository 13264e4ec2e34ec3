"""What the frozen layers say of each post, computed once."""

from typing import Any

import numpy as np
import torch

from jointune.batches.states import StateStore, room_for
from jointune.batches.training_set import TrainingSet
from jointune.memory import trim_heap
from jointune.model import JointModel
from jointune.progress import Bar
from jointune.training.inference import autocast, to_inputs
from jointune.training.recipe import Recipe


def run_frozen_layers(
    model: JointModel,
    posts: TrainingSet,
    recipe: Recipe,
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
        recipe: batch size and precision.
        device: where the model is.
        bar: advances with every post.
        texts: whether texts are run.
        pictures: whether pictures are run, cropped at the centre. They are left to the epochs where their states would
            take more than half of the free disk.
        mirrored: whether they are run mirrored too.
    """
    text_below = StateStore() if texts and model.text_encoder.boundary else None
    image_below = StateStore() if pictures and model.image_encoder.boundary else None
    if text_below is None and image_below is None:
        return
    turned = StateStore() if mirrored and image_below is not None else None
    bar.start(len(posts))
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), autocast(device, recipe.precision):
            for batch in posts.in_order(recipe.batch_size):
                inputs = to_inputs(batch, device)
                if text_below is not None and inputs.text is not None:
                    states = _kept(model.text_encoder.below(inputs.text))
                    mask = inputs.text["attention_mask"]
                    # Where all texts are padded to one length, the encoder looks at the padding too.
                    lengths = [mask.shape[1]] * len(mask) if posts.text.fixed_length else mask.sum(1).tolist()
                    for number, row, length in zip(batch.indices[batch.present[:, 0]], states, lengths, strict=True):
                        text_below.put(int(number), row[:length])
                if image_below is not None and inputs.pixels is not None:
                    numbers = batch.indices[batch.present[:, 1]].tolist()
                    states = _kept(model.image_encoder.below(inputs.pixels))
                    if not len(image_below) and not room_for(states[0].nbytes * len(posts) * (2 if mirrored else 1)):
                        bar.line("too little disk for what frozen layers say of pictures: they are run in each epoch")
                        image_below = turned = None
                    else:
                        image_below.put_all(numbers, states)
                        if turned is not None:
                            turned.put_all(numbers, _kept(model.image_encoder.below(inputs.pixels.flip(2))))
                bar.advance(len(batch.indices))
    finally:
        model.train(training)
        trim_heap()
    posts.text_below, posts.image_below, posts.image_below_mirrored = text_below, image_below, turned


def _kept(states: torch.Tensor) -> np.ndarray[Any, Any]:
    """As float32, or as the bits of bfloat16."""
    states = states.cpu()
    return states.view(torch.int16).numpy() if states.dtype == torch.bfloat16 else states.float().numpy()
