"""Pairs of posts whose texts or images are nearly the same."""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from jointune.data.split import plain_text

_SHINGLE = 5
"""Characters of the pieces by which texts are compared."""
_SHORTEST = 20
"""Characters of a text that is compared by pieces; a shorter one is a duplicate only of the same."""
_ALIKE = 0.7
"""Jaccard similarity of the pieces of texts that are near-duplicates."""
_BANDS, _ROWS = 21, 3
"""Of MinHash: texts of which 0.7 is alike meet with a chance of 0.9998 (Leskovec et al., 2020, section 3.4)."""
_MANY = 200
"""Posts in a bucket of MinHash that are compared, at most."""

_EDGE, _BITS = 32, 8
_APART = 12
"""Bits of 64 in which the hashes of near-duplicate images differ, at most."""
_CORRELATED = 0.88
"""Correlation of the small grey copies of near-duplicate images, at least."""
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
    plain = {number: plain_text(text) for number, text in enumerate(texts) if text and text.strip()}
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
    copies = {number: _small(image) for number, image in enumerate(images) if image is not None}
    if not copies:
        return
    numbers, small = list(copies), np.stack(list(copies.values()))
    hashes = _hashes(small)
    flat = small.reshape(len(small), -1)
    flat = flat - flat.mean(1, keepdims=True)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = (flat / np.maximum(norms, 1e-6)).astype(np.float32)
    for start in range(0, len(numbers), _AT_ONCE):
        # Of signs, the product is 64 less twice the bits that differ.
        differing = (64 - hashes[start : start + _AT_ONCE] @ hashes.T) / 2
        rows, columns = np.nonzero(differing <= _APART)
        for row, column in zip((rows + start).tolist(), columns.tolist(), strict=True):
            if row < column and (likeness := float(unit[row] @ unit[column])) >= _CORRELATED:
                yield numbers[row], numbers[column], min(likeness, 1.0)


def _small(image: np.ndarray) -> np.ndarray:
    from PIL import Image

    grey = Image.fromarray(image).convert("L").resize((_EDGE, _EDGE), Image.Resampling.BOX)
    return np.asarray(grey, dtype=np.float32)


def _hashes(small: np.ndarray) -> np.ndarray:
    """Return perceptual hashes as signs, float32 [N, 64]: of the lowest frequencies, against their median."""
    from scipy.fft import dctn

    lowest = dctn(small, axes=(1, 2), norm="ortho")[:, :_BITS, :_BITS].reshape(len(small), -1)
    return np.where(lowest > np.median(lowest, axis=1, keepdims=True), 1, -1).astype(np.float32)
