"""Pictures as extra tokens of the text encoder."""

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput


class SingleStreamFusion(nn.Module):
    """The additions of VisualBERT (Li et al., 2019, arXiv 1908.03557) to BERT: picture tokens with their own segment.

    Words and picture tokens pass all layers of the text encoder together, as ``model.SingleStreamModel`` does, rather
    than meeting after both encoders. As in section 3.2 of the paper, a picture token is a projected visual state plus
    a learned segment embedding, without an order. Decided here: the visual states are those of the image encoder, which
    is fine-tuned along, in place of a frozen detector's; the joint vector is the mean over the words' last states, as
    the text encoders are pooled elsewhere, normalised, in place of the state of one token and a pooler; and there is no
    further pre-training on captions, but a VisualBERT checkpoint as the text encoder brings its own.

    Args:
        text_dim: width of the text encoder's states.
        image_dim: width of the image encoder's states.
        word_dim: width of the text encoder's word embeddings; ``text_dim`` by default.
        image_token_dim: width of the picture tokens that the text encoder takes; ``word_dim`` by default.
        dropout: on the joint vector.
    """

    def __init__(
        self,
        text_dim: int,
        image_dim: int,
        word_dim: int | None = None,
        image_token_dim: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        word_dim = word_dim or text_dim
        image_token_dim = image_token_dim or word_dim
        self.image = nn.Sequential(nn.LayerNorm(image_dim), nn.Linear(image_dim, image_token_dim, bias=False))
        self.segment = nn.Parameter(torch.zeros(image_token_dim))
        self.missing = nn.Linear(text_dim, word_dim)
        self.out = nn.Sequential(nn.LayerNorm(text_dim), nn.Dropout(dropout))
        self.dim = text_dim

    def image_tokens(self, image: EncoderOutput) -> Tensor:
        """Return picture tokens [B, P, ``image_token_dim``] from the image encoder's tokens [B, P, image dim]."""
        return self.image(image.tokens) + self.segment

    def missing_word(self, missing: Tensor) -> Tensor:
        """Return the only word [``word_dim``] of a post without a text, from the vector that replaces a text."""
        return self.missing(missing)

    def forward(self, text: EncoderOutput) -> Tensor:
        """Return joint vectors [B, ``dim``] from the words' last hidden states."""
        return self.out(text.pooled)
