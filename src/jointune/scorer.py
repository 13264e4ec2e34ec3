"""What scores posts, however its model is run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jointune.batches.pixels import ImagePreprocessor
from jointune.batches.tokens import TextPreprocessor
from jointune.posts import ocr
from jointune.posts.image_text import read_with_bar
from jointune.posts.post import Post
from jointune.posts.problems import OnBadImage, Problem
from jointune.scoring import Probabilities, Scored, score_posts


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
    """

    labels: list[str]
    probabilities: Probabilities
    text: TextPreprocessor
    image: ImagePreprocessor
    read_image_text: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""

    def stream(
        self,
        posts: Iterable[Post],
        policy: OnBadImage = "error",
        problems: list[Problem] | None = None,
        name: str = "posts",
        batch_size: int = 32,
        progress: bool = False,
    ) -> Iterator[Scored]:
        """Score any number of posts in bounded memory; see ``jointune.scoring.score_posts``.

        ``progress`` shows a bar while the text in pictures is read.
        """
        if self.read_image_text:
            ocr.load_ocr()  # what is missing is said now, not when the first result is asked for
            posts = read_with_bar(posts, progress)
        return score_posts(
            posts,
            self.probabilities,
            self.text,
            self.image,
            policy,
            problems,
            batch_size,
            name,
            self.read_image_text,
        )


def load_scorer(path: str | Path, device: str | None = None) -> Scorer:
    """Read a bundle.

    Args:
        path: its folder, or a hub id such as ``name/model``.
        device: such as ``cpu`` or ``cuda:1``.

    Raises:
        BundleError: it is incomplete, altered, or written by a newer jointune.
        MissingExtraError: what runs it is not installed.
    """
    from jointune.classifier import JointClassifier

    return JointClassifier.load(path, device=device).scorer()
