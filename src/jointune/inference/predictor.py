"""What scores posts, however its model is run."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from threading import Event
from typing import Any

import numpy as np

from jointune.data.fingerprints import LearnedPosts
from jointune.data.labels import UNSURE
from jointune.data.post import Post
from jointune.data.problems import OnBadImage, Problem, raise_problems, stops
from jointune.modalities.batch import Batch, collate
from jointune.modalities.image import ocr
from jointune.modalities.image.decode import decode_posts
from jointune.modalities.image.image_text import read_with_bar
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.text.text_fit import TextFitCounter
from jointune.modalities.text.tokens import TextPreprocessor, encode_posts
from jointune.utils.threads import prefetch

_CHUNK = 512
"""Posts that are scored together; sorted by length among themselves before they are put into batches."""

_CHUNK_BYTES = 128 * 2**20
"""A chunk ends earlier where its rows and its pixels take so much: three of them are in memory at a time."""

_SLOW_CHUNK = 64
"""The same where each picture is read for its text, which takes long: results and progress come a chunk at a time."""

Probabilities = Callable[[Iterable[Batch], int], np.ndarray]
"""Batches and the number of their posts to probabilities, float32 [N, C], by the batches' indices."""


@dataclass(frozen=True)
class Scored:
    """A post and its probabilities, float32 [C]."""

    post: Post
    probabilities: np.ndarray


@dataclass(frozen=True)
class ScoredChunk:
    """Posts that were scored together.

    Where a chunk ends follows from its posts alone. So whoever reads on after it gets the same chunks, and the same
    numbers to the last bit, as whoever read from the beginning.

    Attributes:
        read: how many posts were read for it.
        scored: those of them that can be used, in order.
        problems: what was wrong with posts that were skipped or scored without their picture.
    """

    read: int
    scored: list[Scored]
    problems: list[Problem]


def score_posts(
    posts: Iterable[Post],
    probabilities: Probabilities,
    text: TextPreprocessor,
    image: ImagePreprocessor,
    policy: OnBadImage = "error",
    problems: list[Problem] | None = None,
    batch_size: int = 32,
    name: str = "posts",
    with_image_text: bool = False,
    fit: TextFitCounter | None = None,
) -> Iterator[Scored]:
    """Score posts as a stream.

    Args:
        posts: read as far as needed.
        probabilities: the model.
        text: how texts become tokens.
        image: how pictures become pixels.
        policy: what to do about a picture that cannot be read; ``skip`` leaves out every post that cannot be used.
        problems: takes what was wrong with posts that were skipped or scored without their picture.
        batch_size: posts a batch.
        name: what messages call the posts.
        with_image_text: whether the text encoder reads the posts' ``image_text`` too.
        fit: counts how the posts' texts fit the text encoder.

    Yields:
        Each post that can be used, in order.

    Raises:
        PostsError: a post cannot be used and ``policy`` does not say how to go on.
    """
    for chunk in score_chunks(posts, probabilities, text, image, policy, batch_size, name, with_image_text, fit):
        if problems is not None:
            problems += chunk.problems
        yield from chunk.scored


def score_chunks(
    posts: Iterable[Post],
    probabilities: Probabilities,
    text: TextPreprocessor,
    image: ImagePreprocessor,
    policy: OnBadImage = "error",
    batch_size: int = 32,
    name: str = "posts",
    with_image_text: bool = False,
    fit: TextFitCounter | None = None,
) -> Iterator[ScoredChunk]:
    """Score posts as a stream, some hundred at a time; takes and raises what ``score_posts`` does.

    While the model works on a chunk, the next one is read, fetched, decoded and tokenized by threads.

    Yields:
        Chunks in order. All before the one with a post that cannot be used are given before the error is raised.
    """
    closed = Event()
    height, width = image.resize
    wanted = takewhile(lambda _: not closed.is_set(), posts)
    decoded = decode_posts(wanted, lambda picture: image.crop(image.prepare(picture)), (width, height))
    most = _SLOW_CHUNK if with_image_text else _CHUNK
    make = partial(_next_chunk, decoded, text, image, policy, batch_size, name, with_image_text, most, fit)
    for chunk in prefetch(iter(make, None), 1, closed):
        rows = probabilities(chunk.batches, len(chunk.kept)) if chunk.kept else ()
        scored = [Scored(post, row) for post, row in zip(chunk.kept, rows, strict=True)]
        yield ScoredChunk(chunk.read, scored, chunk.problems)


@dataclass(frozen=True)
class _Chunk:
    """What the model needs of a chunk, and the rest of ``ScoredChunk``."""

    read: int
    kept: list[Post]
    batches: list[Batch]
    problems: list[Problem]


def _next_chunk(
    decoded: Iterator[tuple[Post, np.ndarray | None, Problem | None]],
    text: TextPreprocessor,
    image: ImagePreprocessor,
    policy: OnBadImage,
    batch_size: int,
    name: str,
    with_image_text: bool,
    most: int,
    fit: TextFitCounter | None,
) -> _Chunk | None:
    """The next posts as batches; None after the last one."""
    chunk, size = [], 0
    for post, pixels, problem in decoded:
        chunk.append((post, pixels, problem))
        size += post.nbytes + (3 * image.size[0] * image.size[1] if post.image is not None else 0)
        if len(chunk) >= most or size >= _CHUNK_BYTES:
            break
    if not chunk:
        return None
    found = [(post, problem) for post, _, problem in chunk if problem]
    fatal = [problem for post, problem in found if stops(problem, post.text is not None, policy)]
    raise_problems(fatal, name, skippable=True)
    kept = [(post, pixels) for post, pixels, problem in chunk if problem is None or policy == "missing"]
    tokens = encode_posts((post for post, _ in kept), text, with_image_text)
    if fit:
        fit.add(tokens, (post for post, _ in kept))
    order = sorted(range(len(kept)), key=[0 if row is None else len(row) for row in tokens].__getitem__)
    batches = [
        collate(chosen, [tokens[i] for i in chosen], [kept[i][1] for i in chosen], text)
        for chosen in (order[start : start + batch_size] for start in range(0, len(order), batch_size))
    ]
    return _Chunk(len(chunk), [post for post, _ in kept], batches, [problem for _, problem in found])


@dataclass(frozen=True)
class Predictor:
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
        """Score any number of posts in bounded memory; see ``jointune.inference.predictor.score_posts``.

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
        """The same, some hundred posts at a time; see ``jointune.inference.predictor.score_chunks``."""
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
