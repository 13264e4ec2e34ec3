"""Whether a text encoder can read two texts together: the post's own, and the one in its picture."""

import torch

from jointune.batches.tokens import TextPreprocessor
from jointune.encoders.text import TextEncoder
from jointune.errors import EncoderError, SettingsError


def check_pairs(encoder: TextEncoder, text: TextPreprocessor, name: str) -> None:
    """Make sure that two texts are told apart, that each keeps a token, and that the second one counts.

    Args:
        encoder: the text encoder.
        text: its preprocessing.
        name: what messages call it.

    Raises:
        EncoderError: the tokenizer puts nothing between two texts, or the encoder's vector ends with the first.
        SettingsError: ``max_tokens`` leaves no room for two.
    """
    special = text.tokenizer.num_special_tokens_to_add(True)
    if special <= text.tokenizer.num_special_tokens_to_add(False):
        raise EncoderError(f"the tokenizer of the text encoder {name!r} puts nothing between two texts{_REMEDY}")
    if text.max_tokens < special + 2:
        raise SettingsError(
            f"max_tokens={text.max_tokens}: with read_image_text the text encoder {name!r} needs {special + 2} or more"
        )
    # CLIP's vector is that of the first end-of-text token, which comes before the second text. Asked of the encoder
    # itself, since what its vector depends on is nowhere declared.
    training = encoder.training
    encoder.eval()
    with torch.no_grad():
        without, with_second = (
            encoder({key: torch.from_numpy(array) for key, array in text.pad(text.encode(["a"], [second])).items()})
            for second in ("", "a b")
        )
    encoder.train(training)
    if torch.allclose(without.pooled, with_second.pooled, atol=1e-6):
        raise EncoderError(f"the text encoder {name!r} reads no further than the first of two texts{_REMEDY}")


_REMEDY = ", so that it cannot take in the text in pictures: choose another text encoder, or do without read_image_text"
