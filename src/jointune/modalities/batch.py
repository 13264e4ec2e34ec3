"""One batch as NumPy arrays, and the contract of what prepares each modality."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from jointune.data.post import Post
from jointune.data.problems import Problem
from jointune.modalities.parts import Parts, whole

Arrays = dict[str, np.ndarray]
"""The inputs of one encoder by name, such as ``input_ids``: [Im, ...] for the Im items of the Bm posts that have the
modality: one of each post, or several where the modality has such."""


class Input(NamedTuple):
    """A part of a post beside its text and its image, as a table, a request and a page name it.

    Attributes:
        name: of the column.
        kind: of its content.
        choices: the known categories.
    """

    name: str
    kind: Literal["text", "number", "category", "file"]
    choices: Sequence[str] | None = None


def post_parts(inputs: Iterable[Input], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with which ``Post`` takes values by the names of inputs; empty ones are left out."""
    parts: dict[str, Any] = {"fields": {}, "files": {}}
    for name, kind, _ in inputs:
        value = values.get(name)
        if value is None or value == b"" or (isinstance(value, str) and not value.strip()):
            continue
        if kind == "text":
            parts["second_text"] = value
        else:
            parts["files" if kind == "file" else "fields"][name] = value
    return parts


class Preprocessor:
    """The preparation of one modality for its encoder.

    A *row* is the prepared content of one post, such as ``Tokens`` or a list of images; None where the post lacks the
    modality.

    Attributes:
        name: of the modality.
        several: whether a post may have several items of the modality, so that a row is a list of them.
    """

    name: ClassVar[str]
    several: ClassVar[bool] = False

    @property
    def reads(self) -> Sequence[Input]:
        """What it reads of a post by the names of columns."""
        return ()

    def rows(self, posts: Sequence[Post]) -> Sequence[Any]:
        """Prepare posts; images are prepared while they are decoded instead."""
        raise NotImplementedError

    def parts(self, post: Post, row: Any) -> Parts:
        """Divide the row of a post into parts that can be removed; by default, it is one."""
        return whole(self.name)

    def without(self, post: Post) -> Post:
        """Return a post without the modality; the same one where it lacks it."""
        raise NotImplementedError

    def problem(self, post: Post) -> Problem | None:
        """Return why the modality's file of a post cannot be used; None if it can be, or if there is none."""
        return None

    def collate(self, rows: Sequence[Any]) -> Arrays:
        """Put the rows of Bm posts into arrays [Im, ...]."""
        raise NotImplementedError

    def trim(self, arrays: Arrays) -> Arrays:
        """Cut the padding that none of the rows needs, after a batch was divided."""
        return arrays

    def open_axes(self) -> tuple[int, ...]:
        """Return the axes of the arrays whose sizes vary: that of the posts, and that of tokens."""
        return (0,)

    def examples(self) -> list[Any]:
        """Make rows of several sizes, to trace a model with."""
        raise NotImplementedError

    def trial_row(self) -> Any:
        """Make the row that an encoder that does not fit would fail on, to try a loaded model."""
        return self.examples()[-1]

    def notes(self, posts: Iterable[Post], part: str) -> list[str]:
        """Describe what is unusual in posts; nothing by default.

        Args:
            posts: to look at.
            part: what the notes call the posts, such as ``training``; empty for posts of their own.
        """
        return []

    def summary(self) -> str:
        """Describe the preparation in a sentence, for the model card."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Return the attributes as JSON values, without what is in files of its own."""
        raise NotImplementedError


ITEMS = "_items"
"""The end of the name under which an exported graph takes the ``items`` of a modality."""

Preprocessors = Mapping[str, Preprocessor]
"""By name of the modality, in the order of the columns of ``Batch.present``."""


@dataclass(frozen=True)
class Batch:
    """B posts, of which Bm have modality m; only those take room and arithmetic.

    Attributes:
        indices: which posts these are, int64 [B].
        present: which modalities each post has, bool [B, M].
        inputs: by modality, the arrays of its encoder; no entry where no post has it, or ``activations`` replace them.
        labels: class numbers, int64 [B]; None where they are not known.
        activations: by modality, those of the frozen layers, [Im, ...] float32 or the bits of bfloat16 as int16.
        items: by modality, see ``items_of``; no entry where each post has one item.
    """

    indices: np.ndarray
    present: np.ndarray
    inputs: Mapping[str, Arrays]
    labels: np.ndarray | None = None
    activations: Mapping[str, np.ndarray] = field(default_factory=dict)
    items: Mapping[str, np.ndarray] = field(default_factory=dict)


def items_of(preprocessor: Preprocessor, rows: Sequence[Any]) -> np.ndarray | None:
    """Return the places of each post's items among those of all posts, int64 [Bm, K], from the rows of these posts.

    A post with fewer than K items has -1 behind its own. None where each post has one item.
    """
    counts = list(map(len, rows)) if preprocessor.several else []
    return None if all(count == 1 for count in counts) else item_places(counts)


def item_places(counts: Sequence[int]) -> np.ndarray:
    """Return what ``items_of`` does, from the number of each post's items; also where each post has one."""
    number = np.arange(max(counts))
    first = np.cumsum([0, *counts[:-1]])[:, None]
    return np.where(number < np.asarray(counts)[:, None], first + number, -1)


def collate(
    indices: Sequence[int] | np.ndarray,
    rows: Mapping[str, Sequence[Any]],
    preprocessors: Preprocessors,
    labels: np.ndarray | None = None,
) -> Batch:
    """Put posts together.

    Args:
        indices: their numbers [B].
        rows: by modality, one row a post.
        preprocessors: of the modalities.
        labels: class numbers, int64 [B].
    """
    inputs, items = {}, {}
    for name, preprocessor in preprocessors.items():
        if found := [row for row in rows[name] if row is not None]:
            inputs[name] = preprocessor.collate(found)
            if (places := items_of(preprocessor, found)) is not None:
                items[name] = places
    present = presence(rows[name] for name in preprocessors)
    return Batch(np.asarray(indices, dtype=np.int64), present, inputs, labels, items=items)


def in_order(results: Iterable[tuple[Batch, Mapping[str, np.ndarray]]], count: int) -> dict[str, np.ndarray]:
    """Return the rows of batches by their indices, float32 [count, D] each, by name.

    Args:
        results: batches, one at least, with rows for each of their posts [B, D], by name.
        count: of posts in all of them.
    """
    rows: dict[str, np.ndarray] = {}
    for batch, found in results:
        for name, values in found.items():
            rows.setdefault(name, np.zeros((count, values.shape[1]), dtype=np.float32))[batch.indices] = values
    assert rows, "there are batches"
    return rows


def make_batches(rows: Mapping[str, Sequence[Any]], preprocessors: Preprocessors, size: int) -> list[Batch]:
    """Put posts into batches of at most ``size``, shortest texts first; ``rows`` has one a post for each modality."""
    lengths = [0 if row is None else len(row) for row in rows["text"]]
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    return [
        collate(part, {name: [own[i] for i in part] for name, own in rows.items()}, preprocessors)
        for part in (order[start : start + size] for start in range(0, len(order), size))
    ]


def presence(rows: Iterable[Sequence[Any]]) -> np.ndarray:
    """Return which of the modalities each post has, bool [B, M], from the rows of each modality."""
    return np.array([[row is not None for row in of_modality] for of_modality in rows], dtype=bool).T


def split_batch(batch: Batch, size: int, preprocessors: Preprocessors) -> list[Batch]:
    """Divide a batch without labels into batches of at most ``size`` posts, in order."""
    used = dict.fromkeys(preprocessors, 0)
    parts = []
    for start in range(0, len(batch.indices), size):
        present = batch.present[start : start + size]
        inputs, items = {}, {}
        for (name, preprocessor), count in zip(preprocessors.items(), present.sum(0).tolist(), strict=True):
            if count and name in batch.inputs:
                chosen = slice(used[name], used[name] + count)
                used[name] += count
                if name in batch.items:
                    places = batch.items[name][chosen]
                    chosen = slice(int(places[0, 0]), int(places.max()) + 1)
                    counts = (places >= 0).sum(1).tolist()
                    if max(counts) > 1:
                        items[name] = item_places(counts)
                inputs[name] = preprocessor.trim({key: array[chosen] for key, array in batch.inputs[name].items()})
        parts.append(Batch(batch.indices[start : start + size], present, inputs, items=items))
    return parts
