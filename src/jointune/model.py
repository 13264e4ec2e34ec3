"""Encoders, fusion and head as one module."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from jointune.encoders.image import ImageEncoder
from jointune.encoders.states import States
from jointune.encoders.text import TextEncoder
from jointune.fusion.choice import FusionFactory, make_fusion
from jointune.fusion.fused import Fused


class Inputs(NamedTuple):
    """A batch of B posts, of which Bt have a text and Bi a picture.

    Attributes:
        present: which posts have a text and which a picture, bool [B, 2].
        text: token ids and masks, int64 [Bt, L] each; None where no post has a text.
        pixels: uint8 [Bi, H, W, 3]; None where no post has a picture.
    """

    present: Tensor
    text: Mapping[str, Tensor] | None
    pixels: Tensor | None


class Outputs(NamedTuple):
    """What the model says of B posts.

    Attributes:
        logits: float [B, labels].
        loss: the fusion's own loss, a scalar; None where it has none.
    """

    logits: Tensor
    loss: Tensor | None = None


class JointModel(nn.Module):
    """A text encoder, an image encoder, a fusion and a linear head, trained end to end.

    The encoders see only the posts that have their modality. Elsewhere a learned embedding stands in, as one token and
    as the pooled vector. Batch normalisation keeps its pre-trained statistics: a post's logits do not depend on the
    other posts of its batch.
    """

    def __init__(self, text: TextEncoder, image: ImageEncoder, fusion: Any, labels: int) -> None:
        super().__init__()
        self.text_encoder = text
        self.image_encoder = image
        self.fusion = fusion
        self.head = nn.Linear(fusion.dim, labels)
        self.missing_text = nn.Parameter(torch.zeros(text.dim))
        self.missing_image = nn.Parameter(torch.zeros(image.dim))

    def forward(self, inputs: Inputs) -> Outputs:
        """Logits, and the fusion's own loss where it has one."""
        has_text, has_image = inputs.present.unbind(1)
        text = self.text_encoder(inputs.text) if inputs.text is not None else None
        image = self.image_encoder(inputs.pixels) if inputs.pixels is not None else None
        text = _stand_in(text, has_text, self.missing_text)
        image = _stand_in(image, has_image, self.missing_image)
        fused = self.fusion(text, image, inputs.present)
        if isinstance(fused, Fused):
            return Outputs(self.head(fused.vectors), fused.loss)
        return Outputs(self.head(fused))

    def train(self, mode: bool = True) -> "JointModel":
        """Training mode for all but batch normalisation."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


def make_model(text: TextEncoder, image: ImageEncoder, fusion: str | FusionFactory, labels: int) -> JointModel:
    """Put a model together.

    Args:
        text: the text encoder.
        image: the image encoder.
        fusion: its name, or one's own factory.
        labels: their number.

    Raises:
        SettingsError: there is no such fusion, or what the factory made is none.
    """
    return JointModel(text, image, make_fusion(fusion, text.dim, image.dim), labels)


def _stand_in(states: States | None, present: Tensor, missing: Tensor) -> States:
    """Spread the states of the posts that have the modality over all posts; ``missing`` elsewhere."""
    posts, dim = len(present), len(missing)
    if states is None:
        tokens = missing.expand(posts, 1, dim)
        return States(tokens, tokens.new_ones((posts, 1), dtype=torch.bool), missing.expand(posts, dim))
    if len(states.pooled) == posts:
        return states
    length, dtype = states.tokens.shape[1], states.tokens.dtype
    place = torch.where(present, present.cumsum(0) - 1, len(states.pooled))
    absent = missing.to(dtype).expand(1, length, dim)
    absent_mask = torch.zeros((1, length), dtype=torch.bool, device=missing.device)
    absent_mask[:, 0] = True
    return States(
        torch.cat([states.tokens, absent])[place],
        torch.cat([states.mask, absent_mask])[place],
        torch.cat([states.pooled, missing.to(states.pooled.dtype)[None]])[place],
    )
