"""Pairs of posts whose texts or images are nearly the same."""

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from PIL import Image

from jointune.data.split import plain_text

_SHINGLE = 5
"""Characters of the pieces by which texts are compared."""
_SHORTEST = 20
"""Characters of a text that is compared by pieces; a shorter one is a duplicate only of the same."""
_TAG = re.compile(r"(?:https?://|[#@])\S+")
"""What often differs between copies of a text: links, hashtags and handles."""
_ALIKE = 0.7
"""Jaccard similarity of the pieces of texts that are near-duplicates."""
_BANDS, _ROWS = 21, 3
"""Of MinHash: texts of which 0.7 is alike meet with a chance of 0.9998 (Leskovec et al., 2020, section 3.4)."""
_MANY = 200
"""Posts in a bucket of MinHash that are compared, at most."""

_EDGE = 32
"""Pixels of the edge of the small grey copies by which images are compared."""
_THUMBNAIL = 96
"""Pixels of the edge of the copies from which these are cut."""
_KEPT = 0.95
"""Share of an image's width and height that a crop keeps."""
_INNER = 0.9
"""Share of them that is compared where images were cropped, since their edges differ."""
_STEPS = (-0.05, -0.025, 0.0, 0.025, 0.05)
_SHIFTS = [(across, down) for across in _STEPS for down in _STEPS]
"""Of the middle of a crop, in edges: more than half of what is cut off, since of a wide image the middle is used."""
_FINE = [(0.32 * across, 0.32 * down) for across, down in _SHIFTS]
"""Further shifts, from the best one of these."""
_CORRELATED = 0.95
"""Correlation of the small copies of near-duplicate images, at least."""
_CANDIDATE = 0.6
"""The same of images that are compared as crops too, with the edges cut evenly."""
_WORTH = 0.8
"""The same, with one of ``_SHIFTS``, of those that are compared with further ones."""
_COLOUR = 24
"""Levels of 255 by which their mean colours differ, at most: images of one shape on other grounds are not the same."""
_AT_ONCE = 2048
"""Images that are compared with all others together."""


@dataclass(frozen=True)
class Pair:
    """Two posts that are nearly the same.

    Attributes:
        first: number of the one.
        second: number of the other; greater.
        shared: ``text``, ``image``, or ``text+image``.
        likeness: 1 for the same; the greater one of text and image.
    """

    first: int
    second: int
    shared: str
    likeness: float


def near_duplicates(texts: Sequence[str | None], images: Iterable[np.ndarray | None]) -> list[Pair]:
    """Return all pairs of posts with near-duplicate texts or images, ordered by their numbers.

    Args:
        texts: of each post.
        images: of each post, uint8 [H, W, 3]; read one by one.
    """
    found: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
    for name, pairs in (("text", _alike_texts(texts)), ("image", _alike_images(images))):
        for first, second, likeness in pairs:
            found[first, second][name] = likeness
    return [Pair(*pair, "+".join(shared), max(shared.values())) for pair, shared in sorted(found.items())]


def _alike_texts(texts: Sequence[str | None]) -> Iterator[tuple[int, int, float]]:
    whole = {number: plain_text(text) for number, text in enumerate(texts) if text and text.strip()}
    bare = {number: " ".join(_TAG.sub(" ", text).split()) for number, text in whole.items()}
    best: dict[tuple[int, int], float] = {}
    for plain in (whole, {number: text for number, text in bare.items() if len(text) >= _SHORTEST}):
        for first, second, likeness in _alike_plain(plain):
            best[first, second] = max(likeness, best.get((first, second), 0.0))
    yield from ((*pair, likeness) for pair, likeness in best.items())


def _alike_plain(plain: Mapping[int, str]) -> Iterator[tuple[int, int, float]]:
    same: dict[str, list[int]] = defaultdict(list)
    for number, text in plain.items():
        same[text].append(number)
    for numbers in same.values():
        yield from ((first, second, 1.0) for first, second in combinations(numbers, 2))
    distinct = {numbers[0]: _shingles(text) for text, numbers in same.items() if len(text) >= _SHORTEST}
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    random = np.random.default_rng(0)
    factors = random.integers(1, 2**32, (_BANDS * _ROWS, 1), dtype=np.uint64)
    offsets = random.integers(0, 2**32, (_BANDS * _ROWS, 1), dtype=np.uint64)
    for number, shingles in distinct.items():
        hashes = np.fromiter(shingles, np.uint64, len(shingles))
        least = ((hashes * factors + offsets) >> np.uint64(16)).min(1).reshape(_BANDS, _ROWS)
        for band, rows in enumerate(least):
            buckets[band, rows.tobytes()].append(number)
    candidates = {pair for numbers in buckets.values() for pair in combinations(numbers[:_MANY], 2)}
    for first, second in candidates:
        one, other = distinct[first], distinct[second]
        likeness = len(one & other) / len(one | other)
        if likeness >= _ALIKE:
            for pair in {
                (min(pair), max(pair)) for a in same[plain[first]] for b in same[plain[second]] for pair in [(a, b)]
            }:
                yield (*pair, likeness)


def _shingles(text: str) -> set[int]:
    content = text.encode("utf-8", "replace")
    return {zlib.crc32(content[start : start + _SHINGLE]) for start in range(len(content) - _SHINGLE + 1)}


def _alike_images(images: Iterable[np.ndarray | None]) -> Iterator[tuple[int, int, float]]:
    copies = {number: _copies(image) for number, image in enumerate(images) if image is not None}
    if not copies:
        return
    numbers = list(copies)
    whole, cut, inner, colours = (
        np.stack([getattr(copy, part) for copy in copies.values()]) for part in _Copy._fields[1:]
    )
    cuts = lru_cache(_AT_ONCE)(lambda number: _cuts(copies[number].thumbnail, _SHIFTS))

    def as_crop(one: int, other: int) -> float:
        found = cuts(numbers[one]) @ inner[other]
        if not _WORTH <= found.max() < _CORRELATED:
            return float(found.max())
        across, down = _SHIFTS[int(found.argmax())]
        shifts = [(across + further, down + more) for further, more in _FINE]
        return float((_cuts(copies[numbers[one]].thumbnail, shifts) @ inner[other]).max())

    for start in range(0, len(numbers), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        likeness = np.maximum(whole[part] @ whole.T, np.maximum(whole[part] @ cut.T, cut[part] @ whole.T))
        rows, columns = np.nonzero(likeness >= _CANDIDATE)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            one, other, alike = start + row, column, float(likeness[row, column])
            if one < other and np.abs(colours[one] - colours[other]).max() <= _COLOUR:
                if alike < _CORRELATED:
                    alike = max(as_crop(one, other), as_crop(other, one))
                if alike >= _CORRELATED:
                    yield numbers[one], numbers[other], round(min(alike, 1.0), 4)


class _Copy(NamedTuple):
    """Small copies of an image.

    Attributes:
        thumbnail: grey, [96, 96].
        whole: grey, float32 [1024], of mean 0 and unit length; 0 of an image of one colour, so that it is like none.
        cut: its inner part, as of a crop from the middle, likewise.
        inner: a smaller inner part, likewise.
        colour: its mean, float32 [3].
    """

    thumbnail: Image.Image
    whole: np.ndarray
    cut: np.ndarray
    inner: np.ndarray
    colour: np.ndarray


def _copies(image: np.ndarray) -> _Copy:
    thumbnail = Image.fromarray(image).convert("L").resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    whole, cut, inner = (_part(thumbnail, share) for share in (1.0, _KEPT, _INNER))
    return _Copy(thumbnail, whole, cut, inner, image.mean((0, 1), dtype=np.float32))


def _cuts(thumbnail: Image.Image, shifts: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return the parts of an image that may be the inner part of a crop of it, by its shift, float32 [K, 1024]."""
    return np.stack([_part(thumbnail, _KEPT * _INNER, *shift) for shift in shifts])


def _part(thumbnail: Image.Image, share: float, across: float = 0.0, down: float = 0.0) -> np.ndarray:
    """Return a part of an image, as in ``_Copy``: a share of its edges, whose middle is shifted by shares of them."""
    left, top = (_THUMBNAIL * ((1 - share) / 2 + shift) for shift in (across, down))
    box = (left, top, left + _THUMBNAIL * share, top + _THUMBNAIL * share)
    small = np.asarray(thumbnail.resize((_EDGE, _EDGE), Image.Resampling.BOX, box), dtype=np.float32).ravel()
    small = small - small.mean()
    length = float(np.linalg.norm(small))
    return small / length if length > _EDGE else np.zeros_like(small)
