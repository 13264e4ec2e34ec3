"""Two projections into one space, and their product and difference."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput
from jointune.fusion.registry import only_text_and_image


class DualFusion(nn.Module):
    """The fine-tuning of dual encoders such as CLIP (Radford et al., 2021, arXiv 2103.00020) into one classifier.

    Each pooled vector is projected, without a bias, into a space in which only directions count, as in CLIP; the joint
    vector is ``[t, i, t * i, t - i]``, the heuristic matching of Mou et al. (2016, arXiv 1512.08422), in which
    ``t * i`` says where both agree: its mean is their cosine. Decided here: vectors have the length ``sqrt(dim)``, not
    1, which leaves the directions and gives the head, and the products above all, units of about 1 to learn from.

    Args:
        dims: the widths of the outputs of a text and an image encoder.
        dim: the width of the common space.
        dropout: on the joint vector.

    Attributes:
        pretrained: names of the parts that come pre-trained, and are trained at the encoders' rate.
    """

    pretrained: tuple[str, ...] = ()

    def __init__(self, dims: Mapping[str, int], dim: int = 256, dropout: float = 0.1) -> None:
        super().__init__()
        only_text_and_image("dual", dims)
        self.text = nn.Linear(dims["text"], dim, bias=False)
        self.image = nn.Linear(dims["image"], dim, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.dim = 4 * dim

    def forward(self, outputs: Mapping[str, EncoderOutput], present: Tensor) -> Tensor:
        """Return joint vectors [B, ``dim``]."""
        t, i = _direction(self.text(outputs["text"].pooled)), _direction(self.image(outputs["image"].pooled))
        return self.dropout(torch.cat([t, i, t * i, t - i], dim=-1))


def _direction(vectors: Tensor) -> Tensor:
    """Vectors [B, D] to the same directions at the length sqrt(D); a vector of zeros stays one."""
    # The epsilon bounds the gradient of what stands in for a missing modality, which starts at zero.
    return nn.functional.rms_norm(vectors.float(), vectors.shape[-1:], eps=1e-5)
