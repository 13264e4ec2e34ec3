"""The image encoder: pixels to states."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from jointune.encoders.encoder import Encoder
from jointune.encoders.encoder_output import EncoderOutput, last_states
from jointune.modalities.image.pixels import ImagePreprocessor


class ImageEncoder(Encoder):
    """Any Hugging Face image model, convolutional or transformer.

    It takes ``pixels``, uint8 [B, H, W, 3], and returns states of width ``dim``, one for each patch or place.

    Args:
        model: the model, or the vision tower of a dual encoder.
        preprocessor: gives size, mean and deviation.
        dim: the width of its states.
    """

    several = True
    mean: Tensor
    std: Tensor

    def __init__(self, model: Any, preprocessor: ImagePreprocessor, dim: int) -> None:
        super().__init__(model, dim)
        self._size = preprocessor.size
        self._bgr = preprocessor.bgr
        # [3, 1, 1], for pixel values between 0 and 255; not in the state dict
        self.register_buffer("mean", torch.tensor(preprocessor.mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(preprocessor.std).view(3, 1, 1) * 255, persistent=False)

    def resume(self, activations: Tensor, inputs: Any = None) -> EncoderOutput:
        """See ``Encoder.resume``; the pixels are not needed."""
        assert self.split is not None, "some layers are frozen"
        if activations.dim() == 4:
            activations = activations.contiguous(memory_format=torch.channels_last)  # as `forward` has them
        upper = self.split.upper(self.model, activations)
        return self._run(upper, self.mean.new_zeros(()).expand(len(activations), 3, *self._size))

    def _encode(self, model: Any, inputs: Mapping[str, Tensor]) -> EncoderOutput:
        # The permuted view of rows of RGB is what torch calls channels_last: no copy, and the fast layout.
        pixels = inputs["pixels"]
        channels = pixels.flip(3) if self._bgr else pixels
        return self._run(model, (channels.permute(0, 3, 1, 2).float() - self.mean) / self.std)

    def _run(self, model: Any, normalised: Tensor) -> EncoderOutput:
        output, hidden = self._call(model, None, {"pixel_values": normalised})
        tokens = _in_sequence(last_states(output), self.dim)
        pooled = _own_pooled(output)
        if pooled is None or pooled.shape[1] != self.dim:  # as MobileNetV3's, which its head widens
            pooled = tokens[:, 0] if _has_class_token(self.model) else tokens.mean(1)
        mask = tokens.new_ones(tokens.shape[:2], dtype=torch.bool)
        return EncoderOutput(tokens, mask, pooled, hidden)

    def _run_example(self, model: Any) -> EncoderOutput:
        return self._encode(model, {"pixels": torch.zeros((1, *self._size, 3), dtype=torch.uint8)})


def width_of(output: Any, likely: int | None = None) -> int:
    """Return the width of the states in an image model's output; ``likely`` is what its configuration states."""
    states, pooled = last_states(output), _own_pooled(output)
    if states.dim() == 2:
        return states.shape[1]
    channels = [states.shape[1], states.shape[-1]]
    for width in (likely, None if pooled is None else pooled.shape[1]):
        if width in channels:
            return int(width)  # type: ignore[arg-type]
    if states.dim() == 4:
        # Two sides of a feature map are alike; the third is the channels.
        return channels[1] if states.shape[1] == states.shape[2] != states.shape[3] else channels[0]
    return channels[1]


def _in_sequence(states: Tensor, dim: int) -> Tensor:
    """Return a vector, a sequence, or a map with its channels first or last as float [B, L, D]."""
    if states.dim() == 2:
        return states.unsqueeze(1)
    if states.shape[-1] == dim and (states.dim() == 3 or states.shape[1] != dim):
        return states.flatten(1, -2)
    return states.flatten(2).transpose(1, 2)


def _own_pooled(output: Any) -> Tensor | None:
    """Return the pooled vector in a model's output, float [B, E], if there is one."""
    pooled = getattr(output, "pooler_output", None)
    if isinstance(pooled, list | tuple):  # of a class token and a distillation token, while training
        pooled = torch.stack(tuple(pooled)).mean(0)
    return None if pooled is None else pooled.flatten(1)


def _has_class_token(model: Any) -> bool:
    return getattr(getattr(model, "embeddings", None), "cls_token", None) is not None
