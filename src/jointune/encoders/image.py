"""An image encoder: pixels to states."""

from typing import Any

import torch
from torch import Tensor

from jointune.batches.pixels import ImagePreprocessor
from jointune.encoders.encoder import Encoder
from jointune.encoders.states import States


class ImageEncoder(Encoder):
    """Any Hugging Face image model, convolutional or transformer.

    Args:
        model: the model, or the vision tower of a dual encoder.
        preprocessor: where its mean and deviation come from.
        dim: the width of its states.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Any, preprocessor: ImagePreprocessor, dim: int) -> None:
        super().__init__(model, dim)
        self._size = preprocessor.size
        # [3, 1, 1], of pixel values between 0 and 255; not weights, so not in the state dict
        self.register_buffer("mean", torch.tensor(preprocessor.mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(preprocessor.std).view(3, 1, 1) * 255, persistent=False)

    def forward(self, pixels: Tensor) -> States:
        """uint8 [B, H, W, 3] to states with D = ``dim``, one for each patch or place of the feature map."""
        # The permuted view of rows of RGB is what torch calls channels_last: no copy, and the fast layout.
        return self._run((pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std)

    def below(self, pixels: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] to the states at the boundary, float [B, ...]."""
        assert self.boundary is not None, "some layers are frozen"
        return self.boundary.below(lambda: self(pixels))

    def above(self, below: Tensor) -> States:
        """What ``below`` gave to what ``forward`` gives."""
        assert self.boundary is not None, "some layers are frozen"
        if below.dim() == 4:
            below = below.contiguous(memory_format=torch.channels_last)  # as `forward` has them
        with self.boundary.given(below):
            # Nothing of these pixels is looked at but their shape.
            return self._run(self.mean.new_zeros(()).expand(len(below), 3, *self._size))

    def _run(self, normalised: Tensor) -> States:
        with self._recorded() as lower:
            output = self.model(pixel_values=normalised)
        tokens = output.last_hidden_state
        pooled = getattr(output, "pooler_output", None)
        if tokens.dim() == 4:
            tokens = tokens.flatten(2).transpose(1, 2)
        if pooled is not None:
            pooled = pooled.flatten(1)
        elif _has_class_token(self.model):
            pooled = tokens[:, 0]
        else:
            pooled = tokens.mean(1)
        mask = tokens.new_ones(tokens.shape[:2], dtype=torch.bool)
        return States(tokens, mask, pooled, torch.cat(lower, dim=-1) if lower else None)

    def _run_any(self) -> States:
        states: States = self(torch.zeros((1, *self._size, 3), dtype=torch.uint8))
        return states


def _has_class_token(model: Any) -> bool:
    return getattr(getattr(model, "embeddings", None), "cls_token", None) is not None
