"""Posts of any number to probabilities, in order, with bounded memory; shared by every predictor."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from jointune.batches.batch import Batch, collate
from jointune.batches.pixels import ImagePreprocessor
from jointune.batches.prefetch import prefetch
from jointune.batches.tokens import TextPreprocessor
from jointune.posts.decode import decode_posts
from jointune.posts.post import Post
from jointune.posts.problems import OnBadImage, Problem, raise_problems, stops

_CHUNK = 512
"""Posts in memory at a time; sorted by length among themselves before they are put into batches."""

Probabilities = Callable[[Iterable[Batch], int], np.ndarray]
"""Batches and the number of their posts to probabilities, float32 [N, C], by the batches' indices."""


@dataclass(frozen=True)
class Scored:
    """A post and its probabilities, float32 [C]."""

    post: Post
    probabilities: np.ndarray


def score_posts(
    posts: Iterable[Post],
    probabilities: Probabilities,
    text: TextPreprocessor,
    image: ImagePreprocessor,
    policy: OnBadImage = "error",
    problems: list[Problem] | None = None,
    batch_size: int = 32,
    name: str = "posts",
) -> Iterator[Scored]:
    """Score posts as a stream.

    Args:
        posts: read as far as needed.
        probabilities: the model.
        text: how texts become tokens.
        image: how pictures become pixels.
        policy: what to do about a picture that cannot be read; ``skip`` leaves its post out.
        problems: takes what was wrong with posts that were skipped or scored without their picture.
        batch_size: posts a batch.
        name: what messages call the posts.

    Yields:
        Each post that can be used, in order.

    Raises:
        PostsError: a post cannot be used and ``policy`` does not say how to go on.
    """
    affected = problems if problems is not None else []
    for kept, batches in prefetch(_chunks(posts, text, image, policy, affected, batch_size, name), ahead=1):
        if kept:
            rows = probabilities(batches, len(kept))
            yield from (Scored(post, row) for post, row in zip(kept, rows, strict=True))


def _chunks(
    posts: Iterable[Post],
    text: TextPreprocessor,
    image: ImagePreprocessor,
    policy: OnBadImage,
    affected: list[Problem],
    batch_size: int,
    name: str,
) -> Iterator[tuple[list[Post], list[Batch]]]:
    height, width = image.resize
    decoded = decode_posts(posts, lambda picture: image.crop(image.prepare(picture)), (width, height))
    while chunk := list(islice(decoded, _CHUNK)):
        found = [(post, problem) for post, _, problem in chunk if problem]
        raise_problems([problem for post, problem in found if stops(problem, post.text is not None, policy)], name)
        affected += [problem for _, problem in found]
        kept = [(post, pixels) for post, pixels, problem in chunk if problem is None or policy == "missing"]
        encoded = iter(text.encode([post.text for post, _ in kept if post.text is not None]))
        tokens = [None if post.text is None else next(encoded) for post, _ in kept]
        order = sorted(range(len(kept)), key=[0 if row is None else len(row) for row in tokens].__getitem__)
        batches = [
            collate(chosen, [tokens[i] for i in chosen], [kept[i][1] for i in chosen], text)
            for chosen in (order[start : start + batch_size] for start in range(0, len(order), batch_size))
        ]
        yield [post for post, _ in kept], batches
