"""The one way to score posts with a trained model, whatever runs it."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, takewhile
from threading import Event
from typing import Any

import numpy as np

from jointune.data.fingerprints import LearnedPosts
from jointune.data.post import Post
from jointune.data.problems import OnBadImage, Problem, raise_problems, stops
from jointune.errors import JointuneWarning, SettingsError, setting
from jointune.evaluation.calibration import presence
from jointune.evaluation.conformal import Bounds, Conformity, check_coverage
from jointune.evaluation.unlike import JOINT, TrainingVectors, Unlikeness, summary_of
from jointune.inference.scored import (
    LOGITS,
    PreparedChunk,
    Probabilities,
    Scored,
    ScoredChunk,
    Vectors,
    check_vector,
    scored_posts,
)
from jointune.modalities.batch import Batch, Input, Preprocessors, make_batches
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
        conformity: scores of validation posts, by which prediction sets are made; None where these were not kept.
        bounds: of the prediction sets that answers have; None for answers without.
        training_vectors: of training posts, to compare posts with; None where these were not kept.
        ood: whether answers say how unlike the training posts a post is.
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
    conformity: Conformity | None = None
    bounds: Bounds | None = None
    training_vectors: TrainingVectors | None = None
    ood: bool = False
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

    def covering(self, coverage: float, sets: str | None = None) -> "Predictor":
        """Return the predictor with prediction sets, which hold the truth of a share of posts, in its answers.

        Args:
            coverage: that share, between 0 and 1.
            sets: the rule of the sets; see ``Target.set_rules``.

        Raises:
            SettingsError: there is no such share or rule, the model keeps no validation scores, or too few.
        """
        check_coverage(coverage)
        rule = self.target.check_sets(sets)
        if self.conformity is None or rule not in self.conformity.scores:
            raise SettingsError("coverage: this model keeps no validation scores", "train it anew", setting="coverage")
        return replace(self, bounds=self.conformity.bounds(coverage, rule))

    def sets(self, answers: np.ndarray, held: Sequence[str]) -> np.ndarray:
        """Return the prediction sets of answers, float [N, C]; ``held`` is as that of ``Scored``."""
        assert self.bounds is not None, "a coverage was asked for"
        return self.target.prediction_sets(answers, self.bounds.of(held), self.bounds.rule)

    def comparing(self) -> "Predictor":
        """Return the predictor with how unlike the training posts a post is in its answers.

        Raises:
            SettingsError: the model keeps no vectors of training posts.
        """
        if self.training_vectors is None or self.vectors is None:
            raise SettingsError(f"ood: no vectors are kept ({setting('keep_vectors')})", "train it anew", setting="ood")
        return replace(self, ood=True)

    @property
    def added_columns(self) -> list[str]:
        """The columns that scoring adds to a table, the prediction first."""
        added = [*self.target.added_columns(), *(self.target.set_columns if self.bounds else ())]
        vectors = self.training_vectors if self.ood else None
        return [*added, *(vectors.columns(self.target.outputs, len(self.labels)) if vectors else ())]

    @property
    def text_columns(self) -> set[str]:
        """Those of them that hold texts; the others hold numbers."""
        return {"unlike", *(("prediction", "prediction_set") if self.target.named else ())}

    def cells(self, scored: Scored) -> list[str | float]:
        """Return the values of ``added_columns`` for one post."""
        row = scored.probabilities
        cells = self.target.cells(row, self.least_confidence)
        if self.bounds is not None:
            cells += self.target.set_cells(self.sets(row[None], [scored.held])[0])
        return [*cells, *scored.unlike.cells()] if scored.unlike else cells

    def response(self, scored: Scored) -> dict[str, Any]:
        """Return the service's answer for one post, as JSON values."""
        row = scored.probabilities
        said = self.target.response(row, self.least_confidence) | (scored.unlike.response() if scored.unlike else {})
        return said | (self.target.set_response(self.sets(row[None], [scored.held])[0]) if self.bounds else {})

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
        """Score any number of posts in bounded memory; yield each one that can be used, in order.

        Args:
            posts: read as far as needed.
            policy: what to do about an image that cannot be read; ``skip`` leaves out every post that cannot be used.
            problems: takes what was wrong with posts that were skipped or scored without their image.
            name: what messages call the posts.
            batch_size: posts a batch.
            progress: whether a bar is shown while the text in images is read.
            fit: counts how the posts' texts fit the text encoder.

        Raises:
            PostsError: a post cannot be used and ``policy`` does not say how to go on.
            MissingExtraError: the model reads the text in images, and the OCR is not installed; raised at once.

        Warns:
            JointuneWarning: posts have more images than the model uses; at the end.
        """
        return scored_posts(self.chunks(posts, policy, name, batch_size, progress, fit), problems)

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

        With ``of``, ``joint`` or a modality, a vector is computed in place of probabilities.

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
        return read_with_bar(posts, progress, self.image.frames)

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
        rows = [scored.probabilities for scored in scored_posts(chunks, None)]
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

        def make() -> PreparedChunk | None:
            return self._next_chunk(decoded, policy, batch_size, name, fit)

        for chunk in prefetch(iter(make, None), 1, closed):
            scored = self.score(chunk.kept, chunk.batches, of) if chunk.kept else []
            yield ScoredChunk(chunk.read, scored, chunk.problems)
        for note in first_images.notes:
            warnings.warn(f"{name}: {note}", JointuneWarning, stacklevel=2)

    def score(self, posts: Sequence[Post], batches: Sequence[Batch], of: str | None = None) -> list[Scored]:
        """Score posts that are in batches; ``of`` is a vector to compute in place of probabilities."""
        present = np.zeros((len(posts), len(self.preprocessors)), dtype=bool)
        for batch in batches:
            present[batch.indices] = batch.present
        held = [presence(compress(self.preprocessors, row)) for row in present.tolist()]
        unlike: list[Unlikeness | None] = [None] * len(posts)
        if of is not None and self.vectors is not None:
            rows = self._present(self.vectors(batches, len(posts), [of]), present)[of]
        elif self.ood and self.vectors is not None and self.training_vectors is not None:
            spaces = self.training_vectors.spaces
            found = self.vectors(batches, len(posts), [LOGITS, *map(summary_of, spaces)])
            rows = self.target.activate(found[LOGITS]).astype(np.float32)
            summaries = self._present({name: found[summary_of(name)] for name in spaces}, present)
            unlike = [*self.training_vectors.compare(summaries, found[LOGITS], len(self.labels))]
        else:
            rows = self.probabilities(batches, len(posts))
        return [Scored(*entry) for entry in zip(posts, rows, held, unlike, strict=True)]

    def _present(self, vectors: dict[str, np.ndarray], present: np.ndarray) -> dict[str, np.ndarray]:
        """Put NaN where a post lacks the modality."""
        for column, name in enumerate(self.preprocessors):
            if name in vectors:
                vectors[name][~present[:, column]] = np.nan
        return vectors

    def _next_chunk(
        self, decoded: Iterator[DecodedPost], policy: OnBadImage, batch_size: int, name: str, fit: TextFitCounter | None
    ) -> PreparedChunk | None:
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
        batches = make_batches(rows, self.preprocessors, batch_size)
        if fit:
            fit.add(rows["text"], posts)
        return PreparedChunk(len(chunk), posts, batches, [problem for _, problem in problems])

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
        return self.probabilities(make_batches(rows, self.preprocessors, batch_size), len(rows["text"]))

    def embed_rows(self, rows: Mapping[str, Sequence[Any]], batch_size: int = 32) -> np.ndarray:
        """Return the joint vectors of posts that are prepared, float32 [N, D]; see ``score_rows``.

        Raises:
            SettingsError: the model has no vectors.
        """
        check_vector(JOINT, (JOINT,) if self.vectors else ())
        assert self.vectors is not None, "it was checked"
        return self.vectors(make_batches(rows, self.preprocessors, batch_size), len(rows["text"]), [JOINT])[JOINT]

    def notes_on_texts(self, fit: TextFitCounter) -> list[str]:
        """Describe what the text encoder did not see of the texts that were counted, where that is much."""
        return fit.result().notes(self.about.get("text_encoder", {}).get("name", "of this model"))
