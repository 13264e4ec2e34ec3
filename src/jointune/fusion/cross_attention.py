"""Attention between the tokens of the modalities, such as words and patches, in all directions."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput, masked_mean


class CrossAttentionFusion(nn.Module):
    """Each modality's tokens attend to those of the others, as in the co-attention of ViLBERT (arXiv 1908.02265).

    The attended tokens are averaged over real ones and joined with the projected pooled vectors.

    Args:
        dims: by modality, the width of its encoder's output; two modalities at least.
        dim: the width of each projection.
        heads: attention heads.
        dropout: in attention and on the joint vector.
    """

    def __init__(self, dims: Mapping[str, int], dim: int = 256, heads: int = 8, dropout: float = 0.3) -> None:
        super().__init__()
        self.projections = nn.ModuleDict(
            {name: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim)) for name, width in dims.items()}
        )
        self.attention = nn.ModuleDict(
            {name: nn.MultiheadAttention(dim, heads, dropout, batch_first=True) for name in dims}
        )
        self.norms = nn.ModuleDict({name: nn.LayerNorm(dim) for name in dims})
        self.dropout = nn.Dropout(dropout)
        self.dim = 2 * len(dims) * dim

    def forward(self, outputs: Mapping[str, EncoderOutput], present: Tensor) -> Tensor:
        """Return joint vectors [B, ``dim``]."""
        attended, alone = self.parts(outputs)
        return self.dropout(torch.cat([*attended, *alone], dim=-1))

    def parts(self, outputs: Mapping[str, EncoderOutput]) -> tuple[list[Tensor], list[Tensor]]:
        """Return each modality that attended to the others, then each alone: [B, ``dim``] each."""
        tokens = {name: project(outputs[name].tokens) for name, project in self.projections.items()}
        attended = []
        for name, attention in self.attention.items():
            others = [other for other in tokens if other != name]
            keys = torch.cat([tokens[other] for other in others], dim=1)
            mask = torch.cat([outputs[other].mask for other in others], dim=1)
            seen, _ = attention(tokens[name], keys, keys, key_padding_mask=~mask, need_weights=False)
            attended.append(masked_mean(self.norms[name](tokens[name] + seen), outputs[name].mask))
        alone = [nn.functional.gelu(project(outputs[name].pooled)) for name, project in self.projections.items()]
        return attended, alone
