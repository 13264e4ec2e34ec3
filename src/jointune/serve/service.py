"""From the posts of a request to its answer: places in the queue, pictures, the model."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from jointune.errors import setting
from jointune.inference.predictor import Predictor
from jointune.serve.batcher import Batcher
from jointune.serve.counters import Metrics
from jointune.serve.limits import Limits
from jointune.serve.preparation import Preparation, Prepared
from jointune.serve.refusal import Refused, busy
from jointune.serve.room import Room
from jointune.serve.schema import GivenPost
from jointune.serve.untrusted_images import check_image

T = TypeVar("T")

Fetch = Callable[[str], bytes]
"""An address to the content there; raises ``Refused``."""

_FETCHERS = 8
"""Threads that fetch pictures: they wait for other servers, and must not keep the decoders waiting."""


class Service:
    """A model that answers.

    Attributes:
        predictor: the model.
        places: the posts taken and not answered yet.
        bodies: the bytes of requests and fetched pictures in memory.

    Args:
        predictor: the model.
        limits: what it takes on.
        metrics: told of batches and of the queue.
        fetch: gets the pictures of ``image_url``; None where that is not allowed.

    Raises:
        MissingExtraError: the model reads the text in pictures, and what does that is not installed.
    """

    def __init__(self, predictor: Predictor, limits: Limits, metrics: Metrics, fetch: Fetch | None = None) -> None:
        self.predictor = predictor
        self._limits = limits
        self._texts = ThreadPoolExecutor(limits.decoders, thread_name_prefix="text")
        self._decoders = ThreadPoolExecutor(limits.decoders, thread_name_prefix="decode")
        # A thread of their own has large pictures decoded one by one while the others' threads stay free. One that is
        # given up still ends before the next begins, which a lock that its request holds would not see to.
        self._large = ThreadPoolExecutor(1, thread_name_prefix="large")
        self._fetchers = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="fetch")
        self.places = Room(limits.queue, lambda: busy("the queue is full"))
        self.bodies = Room(limits.bodies_bytes, lambda: busy("too many large requests at a time"))
        self._metrics = metrics
        self._fetch = fetch
        self._preparation = Preparation(predictor)
        self._batcher = Batcher(predictor, limits, metrics.batch)
        self._warm = False

    @property
    def ready(self) -> bool:
        """Whether posts are answered now."""
        return self._warm and self._batcher.alive

    async def start(self) -> None:
        """Start the model's thread and score a few posts, so that the first request is not the slowest."""
        self._batcher.start()
        file = BytesIO()
        Image.new("RGB", (1, 1)).save(file, "PNG")
        text, image = "a post to warm up with", file.getvalue()
        for given in (GivenPost(text=text, image=image), GivenPost(text=text), GivenPost(image=image)):
            await self.answer([given])
        self._warm = True

    async def stop(self) -> None:
        """Finish what the model was given, and end the threads."""
        self._warm = False
        for pool in (self._texts, self._decoders, self._large, self._fetchers):
            pool.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._batcher.stop)

    async def aside(self, function: Callable[..., T], *arguments: Any) -> T:
        """What a function returns that would hold up the event loop, if not for as long as a picture does."""
        return await _in(self._texts, function, *arguments)

    async def answer(self, posts: Sequence[GivenPost], as_list: bool = False) -> list[dict[str, Any]]:
        """An ``Answer`` for each post, in order.

        Args:
            posts: what to score.
            as_list: whether errors say which post they are about.

        Raises:
            Refused: the queue is full, or a picture cannot be had or used.
        """
        try:
            with self.places.hold() as take:
                take(len(posts))
                self._metrics.waiting(self.places.used)
                # All pictures of a request at once would keep those of later requests waiting behind the last of them.
                turns = asyncio.Semaphore(self._limits.decoders)
                names = [f"posts[{n}]." if as_list else "" for n in range(len(posts))]
                return await _all([self._one(post, where, turns) for post, where in zip(posts, names, strict=True)])
        finally:
            self._metrics.waiting(self.places.used)

    async def _one(self, given: GivenPost, where: str, turns: asyncio.Semaphore) -> dict[str, Any]:
        with self.bodies.hold() as take:
            try:
                picture = given.image
                if given.image_url:
                    picture = await self._fetched(given.image_url)
                    take(len(picture))
                prepared = await self._prepared(given.text, picture, turns)
            except Refused as refused:
                field = "image_url" if given.image_url else "image"
                raise (refused if refused.status == 503 else refused.at(where + field)) from None
        return self._say(given, await self._batcher.score(prepared))

    async def _prepared(self, text: str | None, picture: bytes | None, turns: asyncio.Semaphore) -> Prepared:
        prepare = self._preparation
        if picture is None:
            return await self.aside(prepare.prepare, text, None, None)
        async with turns:
            large = await self.aside(check_image, picture, self._limits)
            seen = await _in(self._large if large else self._decoders, prepare.see, picture)
            image_text = await _in(self._decoders, prepare.read, seen) if seen.readable else None
        return await self.aside(prepare.prepare, text, seen, image_text)

    async def _fetched(self, url: str) -> bytes:
        if self._fetch is None:
            remedy = f"send the picture itself, or ask whoever runs the server for {setting('allow_urls')}"
            raise Refused(422, "this server fetches nothing", remedy)
        return await _in(self._fetchers, self._fetch, url)

    def _say(self, given: GivenPost, row: np.ndarray) -> dict[str, Any]:
        label, confidence = self.predictor.answer(row)
        missing = {"text": given.text is None, "image": given.image is None and given.image_url is None}
        return {
            "label": label,
            "confidence": confidence,
            "probabilities": dict(zip(self.predictor.labels, map(float, row), strict=True)),
            "missing": [name for name, lacks in missing.items() if lacks],
        }


async def _in(pool: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


async def _all(work: list[Coroutine[Any, Any, T]]) -> list[T]:
    """Results in order; the first error ends what is not done yet."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
