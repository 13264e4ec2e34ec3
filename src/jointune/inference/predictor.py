"""The one way to score posts with a trained model, whatever runs it."""

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from threading import Event
from typing import Any

import numpy as np

from jointune.data.fingerprints import LearnedPosts
from jointune.data.post import Post
from jointune.data.problems import OnBadImage, Problem, raise_problems, stops
from jointune.errors import JointuneWarning, SettingsError, setting
from jointune.modalities.batch import Batch, Input, Preprocessors, collate
from jointune.modalities.image import ocr
from jointune.modalities.image.decode import DecodedPost, decode_posts
from jointune.modalities.image.first_images import FirstImages
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

JOINT = "joint"
"""The name of the vector that fusion makes of all modalities."""

Vectors = Callable[[Iterable[Batch], int, str], np.ndarray]
"""Batches, the number of their posts, and ``joint`` or a modality to vectors, float32 [N, D], by the batches' indices.

A post that lacks the modality has any numbers in its row.
"""

Probabilities = Callable[[Iterable[Batch], int], np.ndarray]
"""Batches and the number of their posts to probabilities, float32 [N, C], by the batches' indices."""


@dataclass(frozen=True)
class Scored:
    """A post and its probabilities, float32 [C], or a vector of it, float32 [D]; see ``Predictor.chunks``."""

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
        vectors: the vectors that the model computes on its way; None where it computes none.
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
    vectors: Vectors | None = None
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

    def with_images(self, most: int | None, frames: int | None) -> "Predictor":
        """Return a predictor that uses other numbers of a post's images, and of a moving image's frames.

        Args:
            most: images of a post; as in training where it is None.
            frames: of a moving image; likewise.

        Raises:
            SettingsError: the model takes a single image.
        """
        changed: dict[str, Any] = {"max_images": most, "frames": frames}
        changed = {name: value for name, value in changed.items() if value is not None}
        image = replace(self.image, **changed)
        if not getattr(self.probabilities, "takes_several", True) and max(changed.values(), default=1) > 1:
            name = next(name for name, value in changed.items() if value > 1)
            raise SettingsError(
                f"{setting(name, changed[name])}: an earlier version exported this model, for one image a post",
                "export its bundle again",
                setting=name,
            )
        return replace(self, preprocessors={**self.preprocessors, "image": image})

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

        Warns:
            JointuneWarning: posts have more images than the model uses; at the end.
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
        of: str | None = None,
    ) -> Iterator[ScoredChunk]:
        """Score posts some hundred at a time; takes and raises what ``stream`` does.

        While the model works on a chunk, threads read, fetch, decode and tokenize the next one.

        Args:
            posts: see ``stream``, as for all others but ``of``.
            policy: likewise.
            name: likewise.
            batch_size: likewise.
            progress: likewise.
            fit: likewise.
            of: a vector to compute in place of probabilities: ``joint``, or a modality.

        Yields:
            Chunks in order. All before the one with a post that cannot be used are given before the error is raised.

        Raises:
            SettingsError: the model has no such vector.
        """
        if of is not None:
            check_vector(of, (JOINT, *self.preprocessors) if self.vectors else ())
        first_images = FirstImages(self.image.max_images)
        posts = self._with_image_text(first_images.of(posts), progress)
        return self._chunks(posts, first_images, policy, name, batch_size, fit, of)

    def decoded(
        self, posts: Iterable[Post], policy: OnBadImage = "error", progress: bool = False
    ) -> Iterator[DecodedPost]:
        """Yield each post with its first images as ``rows`` takes them; see ``decode_posts``."""
        first = FirstImages(self.image.max_images).of(posts)
        return self._decode(self._with_image_text(first, progress), policy)

    def _with_image_text(self, posts: Iterable[Post], progress: bool) -> Iterable[Post]:
        if not self.read_image_text:
            return posts
        ocr.load_ocr()  # what is missing is said now, not when the first result is asked for
        return read_with_bar(posts, progress)

    def _decode(self, posts: Iterable[Post], policy: OnBadImage) -> Iterator[DecodedPost]:
        image = self.image
        height, width = image.resize
        prepare = lambda opened: image.crop(image.prepare(opened))  # noqa: E731
        for one in decode_posts(posts, prepare, (width, height), frames=image.frames):
            problems = (preprocessor.problem(one.post) for preprocessor in self.preprocessors.values())
            if one.problem is None and policy == "skip" and one.post.files:
                one = one._replace(problem=next(filter(None, problems), None))
            yield one

    def embed(
        self,
        posts: Iterable[Post],
        of: str = JOINT,
        policy: OnBadImage = "error",
        batch_size: int = 32,
        progress: bool = False,
    ) -> np.ndarray:
        """Return a vector of each post, float32 [N, D]; takes and raises what ``chunks`` does.

        The joint vector exists for every post: a learned vector replaces what a post lacks. A modality's own vector is
        its encoder's pooled one, and NaN where a post lacks the modality.
        """
        chunks = self.chunks(posts, policy, batch_size=batch_size, progress=progress, of=of)
        rows = [scored.probabilities for scored in _posts_of(chunks, None)]
        return np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)

    def _chunks(
        self,
        posts: Iterable[Post],
        first_images: FirstImages,
        policy: OnBadImage,
        name: str,
        batch_size: int,
        fit: TextFitCounter | None,
        of: str | None,
    ) -> Iterator[ScoredChunk]:
        closed = Event()
        decoded = self._decode(takewhile(lambda _: not closed.is_set(), posts), policy)

        def make() -> _Chunk | None:
            return self._next_chunk(decoded, policy, batch_size, name, fit)

        for chunk in prefetch(iter(make, None), 1, closed):
            rows = self._compute(chunk, of) if chunk.kept else ()
            scored = [Scored(post, row) for post, row in zip(chunk.kept, rows, strict=True)]
            yield ScoredChunk(chunk.read, scored, chunk.problems)
        for note in first_images.notes:
            warnings.warn(f"{name}: {note}", JointuneWarning, stacklevel=2)

    def _compute(self, chunk: _Chunk, of: str | None) -> np.ndarray:
        """Return probabilities, or vectors with NaN where a post lacks the modality."""
        if of is None or self.vectors is None:
            return self.probabilities(chunk.batches, len(chunk.kept))
        rows = self.vectors(chunk.batches, len(chunk.kept), of)
        if of != JOINT:
            column = list(self.preprocessors).index(of)
            for batch in chunk.batches:
                rows[batch.indices[~batch.present[:, column]]] = np.nan
        return rows

    def _next_chunk(
        self, decoded: Iterator[DecodedPost], policy: OnBadImage, batch_size: int, name: str, fit: TextFitCounter | None
    ) -> _Chunk | None:
        """Return the next posts as batches; None after the last one."""
        most = min(_SLOW_CHUNK, self.chunk_posts) if self.read_image_text else self.chunk_posts
        chunk: list[DecodedPost] = []
        size = 0
        for one in decoded:
            chunk.append(one)
            size += one.post.nbytes + sum(pixels.nbytes for pixels in one.images)
            if len(chunk) >= most or size >= self.chunk_bytes:
                break
        if not chunk:
            return None
        problems = [(one.post, one.problem) for one in chunk if one.problem]
        fatal = [problem for post, problem in problems if stops(problem, not post.empty, policy)]
        raise_problems(fatal, name, skippable=True)
        kept = [one for one in chunk if one.problem is None or policy == "missing"]
        posts = [one.post for one in kept]
        rows = self.rows(posts, [one.images for one in kept])
        batches = self._batches(rows, batch_size)
        if fit:
            fit.add(rows["text"], posts)
        return _Chunk(len(chunk), posts, batches, [problem for _, problem in problems])

    def rows(self, posts: Sequence[Post], images: Sequence[list[np.ndarray]]) -> dict[str, Sequence[Any]]:
        """Prepare posts: by modality, one row a post, as ``collate`` takes them.

        Args:
            posts: to score.
            images: of each, prepared and cropped.
        """
        return {
            name: [own or None for own in images] if name == "image" else preprocessor.rows(posts)
            for name, preprocessor in self.preprocessors.items()
        }

    def score_rows(self, rows: Mapping[str, Sequence[Any]], batch_size: int = 32) -> np.ndarray:
        """Score posts that are prepared, float32 [N, C].

        Args:
            rows: what ``rows`` returns, of one post at least.
            batch_size: posts a batch.
        """
        return self.probabilities(self._batches(rows, batch_size), len(rows["text"]))

    def embed_rows(self, rows: Mapping[str, Sequence[Any]], batch_size: int = 32) -> np.ndarray:
        """Return the joint vectors of posts that are prepared, float32 [N, D]; see ``score_rows``.

        Raises:
            SettingsError: the model has no vectors.
        """
        check_vector(JOINT, (JOINT,) if self.vectors else ())
        assert self.vectors is not None, "it was checked"
        return self.vectors(self._batches(rows, batch_size), len(rows["text"]), JOINT)

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


def check_vector(of: str, names: Collection[str]) -> None:
    """Check that a model has a vector.

    Raises:
        SettingsError: it has none of this name; ``names`` are those it has.
    """
    if of not in names:
        have = f"choose one of {', '.join(names)}" if names else "use a model that jointune trained"
        raise SettingsError(f"{setting('of', of)}: the model has no such vector", have, setting="of")


def _posts_of(chunks: Iterable[ScoredChunk], problems: list[Problem] | None) -> Iterator[Scored]:
    for chunk in chunks:
        if problems is not None:
            problems += chunk.problems
        yield from chunk.scored
