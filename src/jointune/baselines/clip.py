"""A dual encoder such as CLIP, its two towers fine-tuned jointly."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from jointune.classifier import JointClassifier
from jointune.encoders.loading import load_projections
from jointune.errors import SettingsError
from jointune.fusion.dual import DualFusion

ENCODER_LR = 1e-5
"""The usual rate for CLIP's towers, which the default of other encoders would pull out of their common space."""


def clip_classifier(checkpoint: str, **settings: Any) -> JointClassifier:
    """Return the text and the image tower of one checkpoint, fine-tuned jointly from its own projections.

    Args:
        checkpoint: a folder or a Hugging Face id of CLIP or SigLIP.
        settings: arguments of ``JointClassifier``; ``encoder_lr`` is 1e-5 by default.

    Raises:
        SettingsError: ``settings`` name what the checkpoint decides.
    """
    decided = {"text_encoder": checkpoint, "image_encoder": checkpoint, "fusion": FromCheckpoint(checkpoint)}
    if taken := sorted(decided.keys() & settings):
        raise SettingsError(f"{', '.join(taken)}: the checkpoint {checkpoint!r} decides", "leave it out")
    return JointClassifier(**{"encoder_lr": ENCODER_LR, **settings, **decided})


@dataclass(frozen=True)
class FromCheckpoint:
    """Makes the fusion ``dual`` with a checkpoint's own projections to start from.

    Attributes:
        checkpoint: a folder or a Hugging Face id of CLIP or SigLIP.
    """

    checkpoint: str

    def __call__(self, dims: Mapping[str, int]) -> DualFusion:
        """Return the fusion for towers of these widths.

        Raises:
            EncoderError: there is no such checkpoint, or it is not that of a dual encoder.
            SettingsError: the towers are not those of the checkpoint.
        """
        found = load_projections(self.checkpoint)
        if dims != {"text": found.text.shape[1], "image": found.image.shape[1]}:
            raise SettingsError(
                f"the projections of {self.checkpoint} are for encoders {found.text.shape[1]} and "
                f"{found.image.shape[1]} wide, not {' and '.join(map(str, dims.values()))}",
                "take its own towers as both encoders",
            )
        fusion = DualFusion(dims, dim=len(found.text))
        with torch.no_grad():
            fusion.text.weight.copy_(found.text)
            fusion.image.weight.copy_(found.image)
        fusion.pretrained = ("text", "image")
        return fusion

    def built_in(self, fusion: DualFusion) -> str:
        """Return the name by which a bundle finds the fusion, so that reading it needs no checkpoint."""
        return f"dual:{fusion.text.out_features}"
