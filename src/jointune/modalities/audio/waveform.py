"""Sounds to the samples that an audio encoder takes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from jointune.data.image_file import ImageError, image_digest, image_name
from jointune.data.post import FileSource, Post, Posts
from jointune.data.problems import Problem, raise_problems
from jointune.modalities.audio.decode import read_sound
from jointune.modalities.batch import Arrays, Input, Preprocessor
from jointune.modalities.parts import Parts
from jointune.modalities.rows import ActivationStore, Rows
from jointune.utils.threads import available_cores
from jointune.utils.wording import counted

DEFAULT_SECONDS = 10.0

_LEAST_SAMPLES = 1600
"""Samples to which shorter batches are padded: convolutions take no less than some hundred."""


@dataclass(frozen=True)
class AudioPreprocessor(Preprocessor):
    """The beginning of a sound in one channel, at the encoder's rate.

    A row is int16 [T].

    Attributes:
        column: the column of the sounds.
        rate: samples a second.
        seconds: of which later ones are left out.
        padded: samples to which every sound is padded; None to pad to the longest of a batch.
        strides: width and step of each convolution between samples and states; empty where the encoder always gives
            the same number of states.
    """

    name: ClassVar[str] = "audio"

    column: str
    rate: int
    seconds: float
    padded: int | None = None
    strides: tuple[tuple[int, int], ...] = ()

    @property
    def reads(self) -> list[Input]:
        """The column of the sounds."""
        return [Input(self.column, "file")]

    def rows(self, posts: Sequence[Post]) -> list[np.ndarray | None]:
        """Decode the sounds of posts; None for a post without one, or with a video without a sound track.

        Raises:
            PostsError: a sound cannot be used.
            MissingExtraError: the packages that decode sounds are not installed.
        """
        with ThreadPoolExecutor(available_cores()) as pool:
            found = list(pool.map(self.decode, posts))
        raise_problems([row for row in found if isinstance(row, Problem)], "sounds")
        return [row for row in found if not isinstance(row, Problem)]

    def parts(self, post: Post, row: np.ndarray) -> Parts:
        """Divide a sound into its seconds, which are removed by silence."""
        index = np.arange(len(row)) // self.rate

        def remove(hidden: np.ndarray) -> np.ndarray | None:
            return None if hidden.all() else np.where(hidden[index], np.int16(0), row)

        return Parts("second", [f"second {number + 1}" for number in range(int(index[-1]) + 1)], index, remove)

    def without(self, post: Post) -> Post:
        """Return a post without its sound."""
        rest = {name: source for name, source in post.files.items() if name != self.column}
        return post if len(rest) == len(post.files) else replace(post, files=rest)

    def problem(self, post: Post) -> Problem | None:
        """Return why the sound of a post cannot be used; None if it can be, or if there is none."""
        row = self.decode(post)
        return row if isinstance(row, Problem) else None

    def decode(self, post: Post) -> Any:
        """Return the row of a post, or why its sound cannot be used."""
        source = post.files.get(self.column)
        if source is None:
            return None
        try:
            sound = read_sound(source, self.rate, self.seconds)
        except ImageError as error:
            return Problem(post.where, error.file, error.reason, error.remedy)
        if sound is None and self.without(post).empty:
            reason = "a video without a sound track, in a post that has neither text nor picture"
            return Problem(post.where, image_name(source, "sound"), reason, "give it one of them or remove the row")
        return None if sound is None else sound[0]

    def notes(self, posts: Iterable[Post], part: str) -> list[str]:
        """Say how many sounds are longer than what is read of them, and how many videos have none.

        ``part`` is what notes call the posts.
        """
        lengths = []
        for post in posts:
            if source := post.files.get(self.column):
                with suppress(ImageError):  # an error wherever the sounds are used
                    sound = read_sound(source, self.rate, 0.1)
                    lengths.append(None if sound is None else sound[1])
        found = [length for length in lengths if length is not None]
        longer, silent = sum(length > self.seconds for length in found), len(lengths) - len(found)
        notes = []
        if longer:
            sounds = counted(len(found), f"{part} sound".strip())
            notes.append(
                f"{self.column}: {longer:,} of {sounds} {'is' if longer == 1 else 'are'} longer than "
                f"{self.seconds:g} s; only the first {self.seconds:g} s are read"
            )
        if silent:
            videos = counted(silent, f"{part} video".strip())
            notes.append(f"{self.column}: {videos} without a sound track: used as posts without a sound")
        return notes

    def states(self, samples: Any) -> Any:
        """Return the number of states for a number of samples, an int or an array or a tensor of them."""
        for width, step in self.strides:
            samples = (samples - width) // step + 1
        return samples

    def collate(self, rows: Sequence[np.ndarray]) -> Arrays:
        """Pad sounds: ``waveform``, float32 [B, T] from -1 to 1, and ``waveform_mask``, bool [B, T]."""
        longest = self.padded or max(_LEAST_SAMPLES, *map(len, rows))
        waveform = np.zeros((len(rows), longest), dtype=np.float32)
        mask = np.zeros((len(rows), longest), dtype=bool)
        for number, row in enumerate(rows):
            waveform[number, : len(row)] = row / np.float32(32768)
            mask[number, : len(row)] = True
        return {"waveform": waveform, "waveform_mask": mask}

    def trim(self, arrays: Arrays) -> Arrays:
        """Cut the padding that none of the rows needs."""
        longest = self.padded or max(_LEAST_SAMPLES, int(arrays["waveform_mask"].sum(1).max()))
        return {name: values[:, :longest] for name, values in arrays.items()}

    def open_axes(self) -> tuple[int, ...]:
        """Return the axes of posts and samples."""
        return (0,) if self.padded else (0, 1)

    def examples(self) -> list[np.ndarray]:
        """Make noises of three lengths."""
        lengths = [math.ceil(share * min(self.seconds, 1.0) * self.rate) for share in (0.5, 0.8, 1.0)]
        random = np.random.default_rng(0)
        return [random.integers(-9000, 9000, length).astype(np.int16) for length in lengths]

    def summary(self) -> str:
        """Describe the preparation in a sentence."""
        return f"Of sounds in the column {self.column}, the first {self.seconds:g} s are read, in one channel."

    def config(self) -> dict[str, Any]:
        """Return the attributes as JSON values."""
        return {
            "column": self.column,
            "rate": self.rate,
            "seconds": self.seconds,
            "padded": self.padded,
            "strides": [list(pair) for pair in self.strides],
        }


class AudioRows(Rows):
    """Sounds of the posts of a training run, each distinct file decoded once, in a file without a name.

    Args:
        posts: with their sounds.
        preprocessor: decodes them.

    Raises:
        PostsError: a sound cannot be used.
        OutputError: the disk is full.
    """

    preprocessor: AudioPreprocessor

    def __init__(self, posts: Posts, preprocessor: AudioPreprocessor) -> None:
        self._sounds = ActivationStore()
        self._sizes: list[int] = []
        places: dict[bytes, int | None] = {}
        rows: list[int | None] = []
        problems: list[Problem] = []
        for post in posts:
            digest = _digest(post.files.get(preprocessor.column))
            if digest is not None and digest not in places:
                row = preprocessor.decode(post)
                if isinstance(row, Problem):
                    problems.append(row)
                    continue
                places[digest] = None if row is None else len(self._sizes)
                if row is not None:
                    self._sounds.put(len(self._sizes), row)
                    self._sizes.append(len(row))
            rows.append(None if digest is None else places[digest])
        raise_problems(problems, posts.name)
        super().__init__(rows, preprocessor)

    @property
    def lengths(self) -> np.ndarray:
        """The length of each sound in hundredths of a second, int [N]."""
        sizes = [0 if place is None else self._sizes[place] for place in self.rows]
        return np.array(sizes, dtype=np.int64) * 100 // self.preprocessor.rate

    def row(self, index: int, random: np.random.Generator | None = None) -> np.ndarray | None:
        """Return the samples of a post."""
        place = self.rows[index]
        return None if place is None else self._sounds[place]

    def own_parts(self, activations: np.ndarray, inputs: Mapping[str, Any]) -> Iterable[np.ndarray]:
        """Return the activations of each sound without those of padding."""
        if self.preprocessor.padded or not self.preprocessor.strides:
            return activations
        lengths = [max(1, self.preprocessor.states(int(size))) for size in inputs["waveform_mask"].sum(1).tolist()]
        return [row[:length] for row, length in zip(activations, lengths, strict=True)]

    def collate(self, indices: Sequence[int], rows: Sequence[Any]) -> tuple[Arrays | None, np.ndarray | None]:
        """Return samples and masks, and the activations where these are computed."""
        arrays = self.preprocessor.collate(rows)
        if self.activations is None:
            return arrays, None
        own = [self.activations[index] for index in indices]
        if self.preprocessor.padded or not self.preprocessor.strides:
            return arrays, np.stack(own)
        longest = self.preprocessor.states(arrays["waveform"].shape[1])
        padded = np.zeros((len(own), longest, *own[0].shape[1:]), dtype=own[0].dtype)
        for row, activations in zip(padded, own, strict=True):
            row[: len(activations)] = activations
        return arrays, padded


def _digest(source: FileSource | None) -> bytes | None:
    """Return what tells the content of a sound; of one that cannot be read, what tells its name."""
    try:
        return None if source is None else image_digest(source)
    except ImageError as error:
        return str(error).encode()
