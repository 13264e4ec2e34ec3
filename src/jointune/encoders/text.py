"""A text encoder: token ids to states."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from jointune.encoders.states import States


class TextEncoder(nn.Module):
    """Any Hugging Face text model.

    Args:
        model: the model, or the text tower of a dual encoder.
        inputs: which of ``input_ids``, ``attention_mask`` and ``token_type_ids`` its forward takes.
        own_pooling: whether the model's pooled output was pre-trained as a sentence vector (CLIP, SigLIP); the mean
            over tokens otherwise, as in Sentence-BERT (arXiv 1908.10084).
    """

    def __init__(self, model: Any, inputs: tuple[str, ...], own_pooling: bool = False) -> None:
        super().__init__()
        self.model = model
        self.inputs = inputs
        self.own_pooling = own_pooling
        self.dim: int = model.config.hidden_size

    def forward(self, batch: Mapping[str, Tensor]) -> States:
        """int64 ``input_ids`` and ``attention_mask`` [B, L] to states with D = ``dim``."""
        output = self.model(**{name: batch[name] for name in self.inputs})
        tokens = output.last_hidden_state
        mask = batch["attention_mask"].bool()
        if self.own_pooling:
            return States(tokens, mask, output.pooler_output)
        weights = mask.to(tokens.dtype).unsqueeze(-1)
        pooled = (tokens * weights).sum(1) / weights.sum(1).clamp(min=torch.finfo(tokens.dtype).tiny)
        return States(tokens, mask, pooled)
