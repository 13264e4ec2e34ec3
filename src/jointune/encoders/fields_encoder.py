"""The encoder of fields: an embedding for each column's bin or category, and its number beside it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput
from jointune.modalities.fields.columns import FieldsPreprocessor

DIM = 64
"""The width of a column's embedding."""


class FieldsEncoder(nn.Module):
    """One token a column, as the tokenizer of FT-Transformer (Gorishniy et al., 2021, arXiv 2106.11959).

    A token is the embedding of the column's bin or category, plus, for numbers, the standardised value times a learned
    vector. The pooled vector is their mean. ``EncoderOutput.hidden`` holds the values and the codes as one-hot vectors,
    so that a linear probe can read each column by itself.

    Args:
        preprocessor: which columns there are, and how many codes each has.

    Attributes:
        dim: the width of tokens and of the pooled vector.
        widths: that, and the width of the one-hot vectors with the values.
    """

    offsets: Tensor
    pretrained = False
    split = None

    def __init__(self, preprocessor: FieldsPreprocessor) -> None:
        super().__init__()
        sizes = preprocessor.sizes
        self.embedding = nn.Embedding(sum(sizes), DIM)
        self.scale = nn.Parameter(torch.randn(len(preprocessor.numbers), DIM) * 0.1)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.register_buffer("offsets", torch.tensor([0, *sizes[:-1]]).cumsum(0), persistent=False)
        self.dim = DIM
        self.widths = (DIM, sum(sizes) + len(preprocessor.numbers))
        self.width = sum(self.widths)

    def forward(self, inputs: Mapping[str, Tensor]) -> EncoderOutput:
        """``values`` float [B, N] and ``codes`` int64 [B, N + K] to tokens [B, N + K, D]."""
        values, codes = inputs["values"], inputs["codes"] + self.offsets
        tokens = self.embedding(codes)
        count = values.shape[1]
        numbers = tokens[:, :count] + values.unsqueeze(-1) * self.scale
        tokens = torch.cat([numbers, tokens[:, count:]], dim=1)
        positions = torch.arange(self.embedding.num_embeddings, device=codes.device)
        one_hot = (codes.unsqueeze(-1) == positions).any(1).to(values.dtype)
        mask = torch.ones_like(codes, dtype=torch.bool)
        return EncoderOutput(tokens, mask, tokens.mean(1), torch.cat([values, one_hot], dim=-1))
