"""Encoders, fusion and head as one module."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput
from jointune.encoders.image_encoder import ImageEncoder
from jointune.encoders.text_encoder import TextEncoder
from jointune.fusion.fused import Fused
from jointune.fusion.registry import FusionFactory, make_fusion
from jointune.fusion.single_stream import SingleStreamFusion


class Inputs(NamedTuple):
    """A batch of B posts, of which Bt have a text and Bi a picture.

    Attributes:
        present: which posts have a text and which a picture, bool [B, 2].
        text: token ids and masks, int64 [Bt, L] each; None where no post has a text.
        pixels: uint8 [Bi, H, W, 3]; None where no post has a picture, and where ``image_below`` is known.
        text_below: the states of the texts at the boundary of the text encoder's trained layers, float [Bt, L, ...];
            None where they are not known.
        image_below: likewise those of the pictures, float [Bi, ...].
    """

    present: Tensor
    text: Mapping[str, Tensor] | None
    pixels: Tensor | None
    text_below: Tensor | None = None
    image_below: Tensor | None = None


class Outputs(NamedTuple):
    """What the model says of B posts.

    Attributes:
        logits: float [B, labels].
        loss: the fusion's own loss, a scalar; None where it has none.
    """

    logits: Tensor
    loss: Tensor | None = None


class LinearProbe(nn.Module):
    """Logits straight from the pooled vectors of both encoders, beside what fusion and head say.

    ``training/probe.py`` finds its weights with frozen encoders, so that fine-tuning starts from there rather than
    from a random head, which would distort the encoders (Kumar et al., 2022, arXiv 2202.10054).

    Args:
        dim: width of the summaries of both modalities together.
        labels: their number.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int, labels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.linear = nn.Linear(dim, labels)

    def forward(self, text: Tensor, image: Tensor) -> Tensor:
        """Both modalities' ``EncoderOutput.summary`` to logits [B, labels]."""
        return self.linear((torch.cat([text, image], dim=-1) - self.mean) / self.scale)


class JointModel(nn.Module):
    """A text encoder, an image encoder, a fusion and a linear head, trained end to end.

    The encoders see only the posts that have their modality. Elsewhere a learned embedding stands in, as one token and
    as the pooled vector. Batch normalisation keeps its pre-trained statistics: a post's logits do not depend on the
    other posts of its batch.

    Attributes:
        temperature: what the logits are divided by, a scalar; 1 until the trained model is calibrated.
    """

    temperature: Tensor
    takes_states = True
    """Whether ``Inputs.text_below`` and ``Inputs.image_below`` are enough to it."""

    def __init__(self, text: TextEncoder, image: ImageEncoder, fusion: Any, labels: int, probe: bool = False) -> None:
        super().__init__()
        self.text_encoder = text
        self.image_encoder = image
        self.fusion = fusion
        self.head = nn.Linear(fusion.dim, labels)
        self.probe = LinearProbe(text.width + image.width, labels) if probe else None
        self.missing_text = nn.Parameter(torch.zeros(text.width))
        self.missing_image = nn.Parameter(torch.zeros(image.width))
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, inputs: Inputs) -> Outputs:
        """Logits, and the fusion's own loss where it has one."""
        text, image = self.text_states(inputs), self.image_states(inputs)
        fused = self.fusion(text, image, inputs.present)
        vectors, loss = fused if isinstance(fused, Fused) else (fused, None)
        logits = self.head(vectors)
        if self.probe is not None:
            logits = logits + self.probe(text.summary, image.summary)
        return Outputs(logits / self.temperature, loss)

    def text_states(self, inputs: Inputs) -> EncoderOutput:
        """EncoderOutput of every post's text; the learned embedding where a post has none."""
        return _stand_in(self.encode_text(inputs), inputs.present[:, 0], self.missing_text, self.text_encoder.dim)

    def image_states(self, inputs: Inputs) -> EncoderOutput:
        """EncoderOutput of every post's picture, likewise."""
        return _stand_in(self.encode_image(inputs), inputs.present[:, 1], self.missing_image, self.image_encoder.dim)

    def encode_text(self, inputs: Inputs) -> EncoderOutput | None:
        """EncoderOutput of the Bt texts; None where there are none."""
        if inputs.text is None:
            return None
        if inputs.text_below is not None:
            return self.text_encoder.resume(inputs.text_below, inputs.text)
        states: EncoderOutput = self.text_encoder(inputs.text)
        return states

    def encode_image(self, inputs: Inputs) -> EncoderOutput | None:
        """EncoderOutput of the Bi pictures; None where there are none."""
        if inputs.image_below is not None:
            return self.image_encoder.resume(inputs.image_below)
        states: EncoderOutput | None = self.image_encoder(inputs.pixels) if inputs.pixels is not None else None
        return states

    def train(self, mode: bool = True) -> "JointModel":
        """Training mode for all but batch normalisation and what is not trained."""
        super().train(mode)
        if not mode:
            return self
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) or _is_frozen(module):
                module.eval()
        return self


class SingleStreamModel(JointModel):
    """The same, but pictures enter the layers of the text encoder as tokens: see ``fusion/single_stream.py``.

    With a probe, texts also pass the text encoder alone, since the probe knows no other states of them.
    """

    takes_states = False

    def __init__(self, text: TextEncoder, image: ImageEncoder, labels: int, probe: bool = False) -> None:
        fusion = SingleStreamFusion(text.dim, image.dim, text.word_dim, text.image_token_dim)
        super().__init__(text, image, fusion, labels, probe)

    def forward(self, inputs: Inputs) -> Outputs:
        """Logits; this fusion has no loss of its own."""
        words = self.text_encoder.embed(inputs.text) if inputs.text is not None else None
        missing = self.fusion.missing_word(self.missing_text[: self.text_encoder.dim])
        words = _stand_in(words, inputs.present[:, 0], missing, len(missing))
        image = self.image_states(inputs)
        picture = self.fusion.picture_tokens(image)
        joined = self.text_encoder.forward_with_image(words, picture, image.mask)
        logits = self.head(self.fusion(joined))
        if self.probe is not None:
            logits = logits + self.probe(self.text_states(inputs).summary, image.summary)
        return Outputs(logits / self.temperature)


def make_model(
    text: TextEncoder, image: ImageEncoder, fusion: str | FusionFactory, labels: int, probe: bool = False
) -> JointModel:
    """Put a model together.

    Args:
        text: the text encoder.
        image: the image encoder.
        fusion: its name, or one's own factory.
        labels: their number.
        probe: whether a linear probe stands beside fusion and head.

    Raises:
        SettingsError: there is no such fusion, or what the factory made is none.
        EncoderError: the fusion is single-stream, and the text encoder takes no picture tokens.
    """
    if fusion in ("single-stream", SingleStreamFusion):
        return SingleStreamModel(text, image, labels, probe)
    return JointModel(text, image, make_fusion(fusion, text.dim, image.dim), labels, probe)


def _is_frozen(module: nn.Module) -> bool:
    flags = [parameter.requires_grad for parameter in module.parameters()]
    return bool(flags) and not any(flags)


def _stand_in(states: EncoderOutput | None, present: Tensor, missing: Tensor, dim: int) -> EncoderOutput:
    """Spread the states of the posts that have the modality over all posts; ``missing`` elsewhere.

    Args:
        states: of the posts that have it; None where none has.
        present: which posts have it, bool [B].
        missing: what stands for ``EncoderOutput.summary``, float [D + E].
        dim: D.
    """
    # Sizes by `shape`, since `len` would fix them where an exported graph is to leave them open.
    posts = present.shape[0]
    word, lower = missing[:dim], missing[dim:] if missing.shape[0] > dim else None
    if states is None:
        tokens = word.expand(posts, 1, dim)
        mask = tokens.new_ones((posts, 1), dtype=torch.bool)
        return EncoderOutput(tokens, mask, word.expand(posts, dim), None if lower is None else lower.expand(posts, -1))
    if states.pooled.shape[0] == posts:
        return states
    length, dtype = states.tokens.shape[1], states.tokens.dtype
    place = torch.where(present, present.cumsum(0) - 1, states.pooled.shape[0])
    absent = word.to(dtype).expand(1, length, dim)
    absent_mask = torch.zeros((1, length), dtype=torch.bool, device=missing.device)
    absent_mask[:, 0] = True

    def spread(rows: Tensor, stand_in: Tensor) -> Tensor:
        return torch.cat([rows, stand_in.to(rows.dtype)])[place]

    return EncoderOutput(
        spread(states.tokens, absent),
        spread(states.mask, absent_mask),
        spread(states.pooled, word[None]),
        None if states.hidden is None or lower is None else spread(states.hidden, lower[None]),
    )
