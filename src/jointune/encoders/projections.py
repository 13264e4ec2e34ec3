"""What a dual encoder puts on top of its towers."""

from typing import NamedTuple

from torch import Tensor


class Projections(NamedTuple):
    """The way from pooled vectors into the space that a dual encoder was trained to compare texts and pictures in.

    Attributes:
        text: of the text tower's pooled vectors, float [D, text dim]; the identity where it needs none (SigLIP).
        image: of the image tower's, float [D, image dim].
        scale: what cosines are multiplied with to give logits. A bias, as SigLIP adds, is the same for all labels.
    """

    text: Tensor
    image: Tensor
    scale: float
