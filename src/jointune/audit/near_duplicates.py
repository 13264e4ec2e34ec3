"""Pairs of posts whose texts or images are nearly the same."""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from PIL import Image

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

_EDGE = 32
"""Pixels of the edge of the small grey copies by which images are compared."""
_CUT = 0.025
"""Share of an image that is cut off at each edge for a second copy: so a cropped image is compared with a like one."""
_CORRELATED = 0.95
"""Correlation of the small copies of near-duplicate images, at least."""
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
    copies = {number: _copies(image) for number, image in enumerate(images) if image is not None}
    if not copies:
        return
    numbers = list(copies)
    whole, cut, colours = (np.stack(of_one) for of_one in zip(*copies.values(), strict=True))
    for start in range(0, len(numbers), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        likeness = np.maximum(whole[part] @ whole.T, np.maximum(whole[part] @ cut.T, cut[part] @ whole.T))
        rows, columns = np.nonzero(likeness >= _CORRELATED)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if start + row < column and np.abs(colours[start + row] - colours[column]).max() <= _COLOUR:
                yield numbers[start + row], numbers[column], round(min(float(likeness[row, column]), 1.0), 4)


def _copies(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return small grey copies of an image and of its inner part, of mean 0 and unit length, and its mean colour.

    They are float32, [1024], [1024] and [3].

    Of an image of one colour, they are 0, so that it is like no other.
    """
    grey = Image.fromarray(image).convert("L")
    across, down = (round(size * _CUT) for size in grey.size)
    inner = grey.crop((across, down, grey.width - across, grey.height - down))
    made = []
    for one in (grey, inner):
        small = np.asarray(one.resize((_EDGE, _EDGE), Image.Resampling.BOX), dtype=np.float32).ravel()
        small = small - small.mean()
        length = float(np.linalg.norm(small))
        made.append(small / length if length > _EDGE else np.zeros_like(small))
    return made[0], made[1], image.mean((0, 1), dtype=np.float32)
