"""Posts of any number to probabilities, in order, with bounded memory; shared by every predictor."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from threading import Event

import numpy as np

from jointune.batches.batch import Batch, collate
from jointune.batches.pixels import ImagePreprocessor
from jointune.batches.prefetch import prefetch
from jointune.batches.texts import encode_posts
from jointune.batches.tokens import TextPreprocessor
from jointune.posts.decode import decode_posts
from jointune.posts.post import Post
from jointune.posts.problems import OnBadImage, Problem, raise_problems, stops

_CHUNK = 512
"""Posts in memory at a time; sorted by length among themselves before they are put into batches."""

_SLOW_CHUNK = 64
"""The same where each picture is read for its text, which takes long: results and progress come a chunk at a time."""

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
    with_image_text: bool = False,
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
        with_image_text: whether the text encoder reads the posts' ``image_text`` too.

    Yields:
        Each post that can be used, in order.

    Raises:
        PostsError: a post cannot be used and ``policy`` does not say how to go on.
    """
    affected = problems if problems is not None else []
    closed = Event()
    wanted = takewhile(lambda _: not closed.is_set(), posts)
    chunks = _chunks(wanted, text, image, policy, affected, batch_size, name, with_image_text)
    for kept, batches in prefetch(chunks, 1, closed):
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
    with_image_text: bool,
) -> Iterator[tuple[list[Post], list[Batch]]]:
    height, width = image.resize
    decoded = decode_posts(posts, lambda picture: image.crop(image.prepare(picture)), (width, height))
    while chunk := list(islice(decoded, _SLOW_CHUNK if with_image_text else _CHUNK)):
        found = [(post, problem) for post, _, problem in chunk if problem]
        raise_problems([problem for post, problem in found if stops(problem, post.text is not None, policy)], name)
        affected += [problem for _, problem in found]
        kept = [(post, pixels) for post, pixels, problem in chunk if problem is None or policy == "missing"]
        tokens = encode_posts((post for post, _ in kept), text, with_image_text)
        order = sorted(range(len(kept)), key=[0 if row is None else len(row) for row in tokens].__getitem__)
        batches = [
            collate(chosen, [tokens[i] for i in chosen], [kept[i][1] for i in chosen], text)
            for chosen in (order[start : start + batch_size] for start in range(0, len(order), batch_size))
        ]
        yield [post for post, _ in kept], batches
