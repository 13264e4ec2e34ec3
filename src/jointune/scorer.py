"""What scores posts, however its model is run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jointune.batches.pixels import ImagePreprocessor
from jointune.batches.text_fit import TextFitCounter
from jointune.batches.tokens import TextPreprocessor
from jointune.posts import ocr
from jointune.posts.image_text import read_with_bar
from jointune.posts.labels import UNSURE
from jointune.posts.learned import LearnedPosts
from jointune.posts.post import Post
from jointune.posts.problems import OnBadImage, Problem
from jointune.scoring import Probabilities, Scored, ScoredChunk, score_chunks, score_posts


@dataclass(frozen=True)
class Scorer:
    """A trained model with its preprocessing, ready to score.

    Attributes:
        labels: their names, in the order of the probabilities.
        probabilities: the model; safe to be called from one thread at a time.
        text: how texts become tokens.
        image: how pictures become pixels.
        read_image_text: whether the text encoder also reads the text in pictures.
        about: what there is to tell of the model, as JSON values: versions, encoders, settings, metrics.
        card: the model card, Markdown.
        least_confidence: with less, the answer is that the model is unsure.
        learned: by what posts that it was trained or validated on are known again; None where that was not kept.
    """

    labels: list[str]
    probabilities: Probabilities
    text: TextPreprocessor
    image: ImagePreprocessor
    read_image_text: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    least_confidence: float = 0.0
    learned: LearnedPosts | None = None

    def answer(self, probabilities: np.ndarray) -> tuple[str, float]:
        """The most probable label, or ``UNSURE``; and its confidence. Of one post, float [C]."""
        best = int(probabilities.argmax())
        confidence = float(probabilities[best])
        return self.labels[best] if confidence >= self.least_confidence else UNSURE, confidence

    def cells(self, probabilities: np.ndarray) -> list[str | float]:
        """The answer, its confidence and each probability: what ``added_columns`` names. Of one post, float [C]."""
        return [*self.answer(probabilities), *map(float, probabilities)]

    def stream(
        self,
        posts: Iterable[Post],
        policy: OnBadImage = "error",
        problems: list[Problem] | None = None,
        name: str = "posts",
        batch_size: int = 32,
        progress: bool = False,
        fit: TextFitCounter | None = None,
    ) -> Iterator[Scored]:
        """Score any number of posts in bounded memory; see ``jointune.scoring.score_posts``.

        ``progress`` shows a bar while the text in pictures is read.
        """
        return score_posts(
            self._with_image_text(posts, progress),
            self.probabilities,
            self.text,
            self.image,
            policy,
            problems,
            batch_size,
            name,
            self.read_image_text,
            fit,
        )

    def chunks(
        self,
        posts: Iterable[Post],
        policy: OnBadImage = "error",
        name: str = "posts",
        batch_size: int = 32,
        progress: bool = False,
        fit: TextFitCounter | None = None,
    ) -> Iterator[ScoredChunk]:
        """The same, some hundred posts at a time; see ``jointune.scoring.score_chunks``."""
        return score_chunks(
            self._with_image_text(posts, progress),
            self.probabilities,
            self.text,
            self.image,
            policy,
            batch_size,
            name,
            self.read_image_text,
            fit,
        )

    def notes_on_texts(self, fit: TextFitCounter) -> list[str]:
        """What the text encoder did not see of the texts that were counted, where that is much."""
        return fit.result().notes(self.about.get("text_encoder", {}).get("name", "of this model"))

    def _with_image_text(self, posts: Iterable[Post], progress: bool) -> Iterable[Post]:
        if not self.read_image_text:
            return posts
        ocr.load_ocr()  # what is missing is said now, not when the first result is asked for
        return read_with_bar(posts, progress)
