"""A predictor whose answers hang on one word and one patch of an image, by construction."""

from dataclasses import replace

import numpy as np

from helpers.made_predictor import make_predictor
from jointune.modalities.image.pixels import ImagePreprocessor

RED = np.array([255, 0, 0])


def planted(word: str = "good", weights: tuple[float, float] = (3.0, 3.0), **arguments):
    """Label ``positive`` has a logit that a word and red pixels raise; the others have 0.

    Args:
        word: of the vocabulary of ``make_predictor``.
        weights: of the word, and of an image of which a 49th is red.
        arguments: of the predictor.
    """
    made = make_predictor()
    number = made.text.tokenizer.token_to_id(word)

    def run(batches, count):
        logits = np.zeros((count, 3))
        for batch in batches:
            tokens, image = batch.inputs.get("text"), batch.inputs.get("image")
            words = iter(() if tokens is None else (tokens["input_ids"] == number).any(1))
            of_images = np.zeros(0) if image is None else (image["pixels"] == RED).all(-1).mean((1, 2))
            places = batch.items.get("image", np.arange(len(of_images))[:, None])
            reds = iter(np.where(places >= 0, of_images[places], 0).sum(1))
            for index, (has_text, has_image) in zip(batch.indices, batch.present, strict=True):
                found = weights[0] * next(words) if has_text else 0.0
                found += weights[1] * 49 * next(reds) if has_image else 0.0
                logits[index, 2] = found - 1
        return made.target.activate(logits).astype(np.float32)

    about = {"data": {"training": {"negative": 10, "neutral": 20, "positive": 10}}, "settings": {}}
    preprocessors = {**made.preprocessors, "image": ImagePreprocessor((35, 35), (35, 35))}
    return replace(made, probabilities=run, preprocessors=preprocessors, **({"about": about} | arguments))


def patch(row: int, column: int) -> np.ndarray:
    """Return pixels with one red region of the grid of 7 x 7, uint8 [35, 35, 3]."""
    pixels = np.full((35, 35, 3), 40, dtype=np.uint8)
    pixels[5 * row : 5 * row + 5, 5 * column : 5 * column + 5] = RED
    return pixels
