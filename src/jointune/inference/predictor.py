"""The one way to score posts with a trained model, whatever runs it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from threading import Event
from typing import Any

import numpy as np

from jointune.data.fingerprints import LearnedPosts
from jointune.data.post import Post
from jointune.data.problems import OnBadImage, Problem, raise_problems, stops
from jointune.modalities.batch import Batch, Input, Preprocessors, collate
from jointune.modalities.image import ocr
from jointune.modalities.image.decode import decode_posts
from jointune.modalities.image.image_text import read_with_bar
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.text.text_fit import TextFitCounter
from jointune.modalities.text.tokens import TextPreprocessor
from jointune.targets.target import Target
from jointune.utils.threads import prefetch

CHUNK = 512
"""Posts that are scored together; sorted by length among themselves before they are put into batches."""

_SLOW_CHUNK = 64
"""The same where each image is read for its text, which takes long: results and progress come a chunk at a time."""

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

    The end of a chunk follows from its posts alone. So whoever reads on after it gets the same chunks, and the same
    numbers to the last bit, as whoever read from the beginning.

    Attributes:
        read: how many posts were read for it.
        scored: those of them that can be used, in order.
        problems: what was wrong with posts that were skipped or scored without their image.
    """

    read: int
    scored: list[Scored]
    problems: list[Problem]


@dataclass(frozen=True)
class _Chunk:
    """The batches of a chunk, and the rest of ``ScoredChunk``."""

    read: int
    kept: list[Post]
    batches: list[Batch]
    problems: list[Problem]


@dataclass(frozen=True)
class Predictor:
    """A trained model with its preprocessing, ready to score; can be pickled, and used by several threads at once.

    Attributes:
        target: what is asked of a post; activates logits and answers.
        probabilities: the model.
        preprocessors: by modality.
        about: facts about the model, as JSON values: versions, encoders, settings, metrics.
        card: the model card, Markdown.
        least_confidence: with less, the answer is that the model is unsure.
        learned: fingerprints of the posts that it was trained or validated on; None where these were not kept.
        chunk_posts: the most posts of a chunk.
        chunk_bytes: a chunk ends earlier where its rows and pixels take so much: three are in memory at a time.
    """

    target: Target
    probabilities: Probabilities
    preprocessors: Preprocessors
    about: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    least_confidence: float = 0.0
    learned: LearnedPosts | None = None
    chunk_posts: int = CHUNK
    chunk_bytes: int = 128 * 2**20

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of the probabilities."""
        return self.target.labels

    @property
    def text(self) -> TextPreprocessor:
        """The preprocessor of texts."""
        return self.preprocessors["text"]  # type: ignore[return-value]

    @property
    def image(self) -> ImagePreprocessor:
        """The preprocessor of images."""
        return self.preprocessors["image"]  # type: ignore[return-value]

    @property
    def read_image_text(self) -> bool:
        """True if the text encoder also reads the text in images."""
        return self.text.with_image_text

    @property
    def reads(self) -> list[Input]:
        """What the model reads of a post beside text and image."""
        return [found for one in self.preprocessors.values() for found in one.reads]

    @property
    def columns(self) -> dict[str, Sequence[str] | None]:
        """The columns of numbers and categories that the model reads, with their categories; None for numbers."""
        return {name: known for name, kind, known in self.reads if kind in ("number", "category")}

    def answer(self, probabilities: np.ndarray) -> tuple[str, float | None]:
        """Return the answer for one post, and its confidence; see ``Target.answer``."""
        return self.target.answer(probabilities, self.least_confidence)

    def cells(self, probabilities: np.ndarray) -> list[str | float]:
        """Return what scoring adds to the row of one post; see ``Target.added_columns``."""
        return self.target.cells(probabilities, self.least_confidence)

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
        """Score any number of posts in bounded memory.

        Args:
            posts: read as far as needed.
            policy: what to do about an image that cannot be read; ``skip`` leaves out every post that cannot be used.
            problems: takes what was wrong with posts that were skipped or scored without their image.
            name: what messages call the posts.
            batch_size: posts a batch.
            progress: whether a bar is shown while the text in images is read.
            fit: counts how the posts' texts fit the text encoder.

        Yields:
            Each post that can be used, in order.

        Raises:
            PostsError: a post cannot be used and ``policy`` does not say how to go on.
            MissingExtraError: the model reads the text in images, and the OCR is not installed; raised at once.
        """
        return _posts_of(self.chunks(posts, policy, name, batch_size, progress, fit), problems)

    def chunks(
        self,
        posts: Iterable[Post],
        policy: OnBadImage = "error",
        name: str = "posts",
        batch_size: int = 32,
        progress: bool = False,
        fit: TextFitCounter | None = None,
    ) -> Iterator[ScoredChunk]:
        """Score posts some hundred at a time; takes and raises what ``stream`` does.

        While the model works on a chunk, threads read, fetch, decode and tokenize the next one.

        Yields:
            Chunks in order. All before the one with a post that cannot be used are given before the error is raised.
        """
        return self._chunks(self._with_image_text(posts, progress), policy, name, batch_size, fit)

    def decoded(
        self, posts: Iterable[Post], policy: OnBadImage = "error", progress: bool = False
    ) -> Iterator[tuple[Post, np.ndarray | None, Problem | None]]:
        """Yield each post with its image as ``rows`` takes it, and its problem, if any; see ``decode_posts``."""
        return self._decode(self._with_image_text(posts, progress), policy)

    def _with_image_text(self, posts: Iterable[Post], progress: bool) -> Iterable[Post]:
        if not self.read_image_text:
            return posts
        ocr.load_ocr()  # what is missing is said now, not when the first result is asked for
        return read_with_bar(posts, progress)

    def _decode(
        self, posts: Iterable[Post], policy: OnBadImage
    ) -> Iterator[tuple[Post, np.ndarray | None, Problem | None]]:
        image = self.image
        height, width = image.resize
        for post, pixels, problem in decode_posts(
            posts, lambda opened: image.crop(image.prepare(opened)), (width, height)
        ):
            if problem is None and policy == "skip" and post.files:
                problem = next(filter(None, (one.problem(post) for one in self.preprocessors.values())), None)
            yield post, pixels, problem

    def _chunks(
        self, posts: Iterable[Post], policy: OnBadImage, name: str, batch_size: int, fit: TextFitCounter | None
    ) -> Iterator[ScoredChunk]:
        closed = Event()
        decoded = self._decode(takewhile(lambda _: not closed.is_set(), posts), policy)

        def make() -> _Chunk | None:
            return self._next_chunk(decoded, policy, batch_size, name, fit)

        for chunk in prefetch(iter(make, None), 1, closed):
            rows = self.probabilities(chunk.batches, len(chunk.kept)) if chunk.kept else ()
            scored = [Scored(post, row) for post, row in zip(chunk.kept, rows, strict=True)]
            yield ScoredChunk(chunk.read, scored, chunk.problems)

    def _next_chunk(
        self,
        decoded: Iterator[tuple[Post, np.ndarray | None, Problem | None]],
        policy: OnBadImage,
        batch_size: int,
        name: str,
        fit: TextFitCounter | None,
    ) -> _Chunk | None:
        """Return the next posts as batches; None after the last one."""
        most = min(_SLOW_CHUNK, self.chunk_posts) if self.read_image_text else self.chunk_posts
        chunk, size = [], 0
        for post, pixels, problem in decoded:
            chunk.append((post, pixels, problem))
            size += post.nbytes + (0 if pixels is None else pixels.nbytes)
            if len(chunk) >= most or size >= self.chunk_bytes:
                break
        if not chunk:
            return None
        problems = [(post, problem) for post, _, problem in chunk if problem]
        fatal = [problem for post, problem in problems if stops(problem, post.text is not None, policy)]
        raise_problems(fatal, name, skippable=True)
        kept = [(post, pixels) for post, pixels, problem in chunk if problem is None or policy == "missing"]
        posts = [post for post, _ in kept]
        rows = self.rows(posts, [pixels for _, pixels in kept])
        batches = self._batches(rows, batch_size)
        if fit:
            fit.add(rows["text"], posts)
        return _Chunk(len(chunk), posts, batches, [problem for _, problem in problems])

    def rows(self, posts: Sequence[Post], pixels: Sequence[np.ndarray | None]) -> dict[str, Sequence[Any]]:
        """Prepare posts: by modality, one row a post, as ``collate`` takes them.

        Args:
            posts: to score.
            pixels: the image of each, prepared and cropped.
        """
        return {
            name: pixels if name == "image" else preprocessor.rows(posts)
            for name, preprocessor in self.preprocessors.items()
        }

    def score_rows(self, rows: Mapping[str, Sequence[Any]], batch_size: int = 32) -> np.ndarray:
        """Score posts that are prepared, float32 [N, C].

        Args:
            rows: what ``rows`` returns, of one post at least.
            batch_size: posts a batch.
        """
        return self.probabilities(self._batches(rows, batch_size), len(rows["text"]))

    def _batches(self, rows: Mapping[str, Sequence[Any]], batch_size: int) -> list[Batch]:
        """Put posts into batches, shortest texts first."""
        lengths = [0 if row is None else len(row) for row in rows["text"]]
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        chosen = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        return [
            collate(
                part, {name: [of_modality[i] for i in part] for name, of_modality in rows.items()}, self.preprocessors
            )
            for part in chosen
        ]

    def notes_on_texts(self, fit: TextFitCounter) -> list[str]:
        """Describe what the text encoder did not see of the texts that were counted, where that is much."""
        return fit.result().notes(self.about.get("text_encoder", {}).get("name", "of this model"))


def _posts_of(chunks: Iterable[ScoredChunk], problems: list[Problem] | None) -> Iterator[Scored]:
    for chunk in chunks:
        if problems is not None:
            problems += chunk.problems
        yield from chunk.scored
