"""A predictor without a trained model: its numbers follow from the post alone, so that any mix-up of posts is seen."""

import time

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from jointune.inference.predictor import Predictor
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.text.tokens import TextPreprocessor
from jointune.targets.single_label import SingleLabel

WORDS = "good bad fine awful happy sad lunch train sun rain".split()  # noqa: SIM905


def make_predictor(delay: float = 0.0, gate=None, sizes: list[int] | None = None) -> Predictor:
    """A predictor with three labels.

    Args:
        delay: seconds a batch.
        gate: an event that each batch waits for.
        sizes: takes the size of each batch.
    """
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(["[UNK]", *WORDS])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()

    def run(batches, count):
        logits = np.zeros((count, 3), dtype=np.float32)
        for batch in batches:
            if sizes is not None:
                sizes.append(len(batch.indices))
            if gate is not None:
                assert gate.wait(20)
            time.sleep(delay)
            tokens, image = batch.inputs.get("text"), batch.inputs.get("image")
            texts = iter(() if tokens is None else (tokens["input_ids"] * tokens["attention_mask"]).sum(1))
            images = iter(() if image is None else image["pixels"].mean((1, 2, 3)))
            for index, (has_text, has_image) in zip(batch.indices, batch.present, strict=True):
                logits[index, 0] = next(texts) / 10 if has_text else -1
                logits[index, 1] = next(images) / 100 if has_image else -1
        powers = np.exp(logits)
        return (powers / powers.sum(1, keepdims=True)).astype(np.float32)

    return Predictor(
        SingleLabel(["negative", "neutral", "positive"]),
        run,
        {"text": TextPreprocessor(tokenizer, 32), "image": ImagePreprocessor((32, 32), (36, 36))},
        about={"made": True},
        card="# A made model",
    )
