"""Small inputs that are run when an encoder is loaded: one that cannot be trained or trusted is refused there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from jointune.encoders.encoder import Encoder
from jointune.encoders.encoder_output import EncoderOutput
from jointune.encoders.image_encoder import ImageEncoder
from jointune.encoders.text_encoder import TextEncoder
from jointune.errors import EncoderError, SettingsError, setting
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.text.tokens import TextPreprocessor, Tokens

TOLERANCE = 1e-4
"""How much states may differ with the rest of the batch, relative to the largest one where that is above 1."""


def check_text(encoder: TextEncoder, text: TextPreprocessor, name: str) -> bool:
    """Run a short text alone, again, and in a batch with one of the greatest length.

    Returns:
        Whether the short text's states are the same in the batch, padded.

    Raises:
        EncoderError: the encoder returns no state for each token, is random, or returns nan or inf.
    """
    short = text.encode(["a good day"])
    long = text.encode(["so it was a good day, they say, " * (text.max_tokens // 4 + 1)])

    def run(rows: Sequence[Tokens]) -> EncoderOutput:
        batch = text.collate(rows)
        output = _run(encoder, batch)
        posts, length = batch["input_ids"].shape
        if output.tokens.dim() != 3 or output.tokens.shape[1] < length or output.tokens.shape[2] != encoder.dim:
            raise EncoderError(
                f"the text encoder {name!r} gives states of {' x '.join(map(str, output.tokens.shape))} for {posts} x "
                f"{length} tokens, not one for each, which jointune needs"
            )
        return output

    return is_steady(f"the text encoder {name!r}", "text", encoder, lambda: run(short), lambda: run([*short, *long]))


def check_image(encoder: ImageEncoder, image: ImagePreprocessor, name: str) -> None:
    """Run an image alone, again, and in a batch with another.

    Raises:
        EncoderError: the encoder is random, mixes the images of a batch, or returns nan or inf.
    """
    height, width = image.size
    down, right = np.mgrid[0:height, 0:width]
    slopes = np.stack([right * 255 // width, down * 255 // height, (down + right) % 256], 2).astype(np.uint8)
    pixels = torch.from_numpy(np.stack([slopes, 255 - slopes]))
    encoder_name = f"the image encoder {name!r}"
    if not is_steady(
        encoder_name, "picture", encoder, lambda: encoder({"pixels": pixels[:1]}), lambda: encoder({"pixels": pixels})
    ):
        raise EncoderError(f"{encoder_name} gives a picture other states when others are in its batch: it mixes them")


def check_pairs(encoder: TextEncoder, text: TextPreprocessor, name: str, needed_by: str) -> None:
    """Check that two texts can be told apart, that each keeps a token, and that the second one counts.

    ``needed_by`` is the setting that brings a second text: ``read_image_text`` or ``text_column``.

    Raises:
        EncoderError: the tokenizer puts nothing between two texts, or the encoder's vector ends with the first.
        SettingsError: ``max_tokens`` leaves no room for two.
    """
    two, remedy = (
        "read_image_text",
        "choose another text encoder for the text in pictures, or do without read_image_text",
    )
    if needed_by == "text_column":
        two, remedy = "two texts", f"choose another text encoder, or name one column with {setting('text_column')}"
    special = text.tokenizer.num_special_tokens_to_add(True)
    if special <= text.tokenizer.num_special_tokens_to_add(False):
        raise EncoderError(
            f"the tokenizer of the text encoder {name!r} puts nothing between two texts", remedy, setting="text_encoder"
        )
    if text.max_tokens < special + 2:
        raise SettingsError(
            f"{setting('max_tokens', text.max_tokens)}: with {two} the text encoder {name!r} needs "
            f"{special + 2} or more",
            setting="max_tokens",
        )
    # CLIP's vector is that of the first end-of-text token, which comes before the second text; no setting says so.
    with _evaluating(encoder):
        without, with_second = (
            _run(encoder, text.collate(text.encode(["a"], [second]))).pooled for second in ("", "a b")
        )
    if torch.allclose(without, with_second, atol=1e-6):
        raise EncoderError(
            f"the text encoder {name!r} reads no further than the first of two texts", remedy, setting="text_encoder"
        )


def _run(encoder: TextEncoder, batch: dict[str, np.ndarray]) -> EncoderOutput:
    output: EncoderOutput = encoder({name: torch.from_numpy(values) for name, values in batch.items()})
    return output


def is_steady(
    name: str, kind: str, encoder: Encoder, alone: Callable[[], EncoderOutput], batch: Callable[[], EncoderOutput]
) -> bool:
    """Return whether one input has the same states alone and as the first of a batch."""
    with _evaluating(encoder):
        outputs = alone(), batch()
        if not all(output.tokens.isfinite().all() and output.pooled.isfinite().all() for output in outputs):
            raise EncoderError(f"{name} gives numbers that are not finite (nan or inf): its weights are damaged")
        if _same(*outputs):
            return True
        if not _same(outputs[0], alone()):
            raise EncoderError(
                f"{name} gives other states each time for the same {kind}: it draws at random even in evaluation mode, "
                "so that no answer could be given twice"
            )
        return False


@contextmanager
def _evaluating(encoder: Encoder) -> Iterator[None]:
    """Run in evaluation mode; the mode and torch's random state on the CPU are restored afterwards."""
    mode = encoder.model.training
    encoder.model.eval()
    try:
        # Not inference_mode: tensors that a model caches would be of no use in training.
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        encoder.model.train(mode)


def _same(alone: EncoderOutput, batch: EncoderOutput) -> bool:
    """Return whether the first row of a batch is, apart from padding, what it is alone."""
    length = int(alone.mask.sum())
    pairs = (alone.pooled, batch.pooled[:1]), (alone.tokens[:, :length], batch.tokens[:1, :length])
    return all(
        one.shape == other.shape and (one - other).abs().max() <= TOLERANCE * max(1.0, float(one.abs().max()))
        for one, other in pairs
    )
