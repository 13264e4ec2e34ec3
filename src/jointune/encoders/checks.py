"""A small input, run once when an encoder is loaded: what cannot be trained or trusted is refused there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from jointune.encoders.encoder import Encoder
from jointune.encoders.encoder_output import EncoderOutput
from jointune.encoders.image_encoder import ImageEncoder
from jointune.encoders.text_encoder import TextEncoder
from jointune.errors import EncoderError
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.text.tokens import TextPreprocessor, Tokens

TOLERANCE = 1e-4
"""By how much states may differ with what else is in the batch, in parts of the largest one where that is above 1."""


def check_text(encoder: TextEncoder, text: TextPreprocessor, name: str) -> bool:
    """Run a short text alone, again, and in a batch with one that is as long as texts may be.

    Returns:
        Whether the short text's states are the same in the batch, padded.

    Raises:
        EncoderError: the encoder gives no state for each token, draws at random, or gives something that is no number.
    """
    short = text.encode(["a good day"])
    long = text.encode(["so it was a good day, they say, " * (text.max_tokens // 4 + 1)])

    def run(rows: Sequence[Tokens]) -> EncoderOutput:
        padded = text.collate(rows)
        states: EncoderOutput = encoder({key: torch.from_numpy(values) for key, values in padded.items()})
        wanted = (*padded["input_ids"].shape, encoder.dim)
        if states.tokens.dim() != 3 or states.tokens.shape[1] < wanted[1] or states.tokens.shape[2] != wanted[2]:
            raise EncoderError(
                f"the text encoder {name!r} gives states of {_shape(states.tokens)} for {wanted[0]} x {wanted[1]} "
                "tokens, not one for each, which jointune needs"
            )
        return states

    return _steady(f"the text encoder {name!r}", "text", encoder, [lambda: run(short), lambda: run([*short, *long])])


def check_image(encoder: ImageEncoder, image: ImagePreprocessor, name: str) -> None:
    """Run a picture alone, again, and in a batch with another.

    Raises:
        EncoderError: the encoder draws at random, mixes the pictures of a batch, or gives something that is no number.
    """
    height, width = image.size
    down, right = np.mgrid[0:height, 0:width]
    slopes = np.stack([right * 255 // width, down * 255 // height, (down + right) % 256], 2).astype(np.uint8)
    pixels = torch.from_numpy(np.stack([slopes, 255 - slopes]))
    what = f"the image encoder {name!r}"
    if not _steady(
        what, "picture", encoder, [lambda: encoder({"pixels": pixels[:1]}), lambda: encoder({"pixels": pixels})]
    ):
        raise EncoderError(f"{what} gives a picture other states when others are in its batch: it mixes them")


def _steady(what: str, kind: str, encoder: Encoder, runs: Sequence[Callable[[], EncoderOutput]]) -> bool:
    """Whether one input has the same states alone, which is the first run, and in a batch, which is the second."""
    with _evaluating(encoder):
        alone, both = (run() for run in runs)
        for states in (alone, both):
            if not (states.tokens.isfinite().all() and states.pooled.isfinite().all()):
                raise EncoderError(f"{what} gives numbers that are not finite (nan or inf): its weights are damaged")
        if _same(alone, both):
            return True
        if not _same(alone, runs[0]()):
            raise EncoderError(
                f"{what} gives other states each time for the same {kind}: it draws at random even in evaluation mode, "
                "so that no answer could be given twice"
            )
        return False


@contextmanager
def _evaluating(encoder: Encoder) -> Iterator[None]:
    """Inference in evaluation mode, with random numbers of its own."""
    mode = encoder.model.training
    encoder.model.eval()
    try:
        # Not inference_mode: tensors that a model keeps for later would be of no use in training.
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        encoder.model.train(mode)


def _same(alone: EncoderOutput, both: EncoderOutput) -> bool:
    """Whether the first row of a batch is, apart from padding, what it is alone."""
    length = int(alone.mask.sum())
    pairs = (alone.pooled, both.pooled[:1]), (alone.tokens[:, :length], both.tokens[:1, :length])
    return all(
        one.shape == other.shape and (one - other).abs().max() <= TOLERANCE * max(1.0, float(one.abs().max()))
        for one, other in pairs
    )


def _shape(states: Tensor) -> str:
    return " x ".join(map(str, states.shape))
