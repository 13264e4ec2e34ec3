"""From the posts of a request to its answer: places in the queue, images, the model."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from jointune.data.post import Post, RemoteImage
from jointune.errors import setting
from jointune.explain.explainer import Explainer
from jointune.inference.predictor import Predictor
from jointune.modalities.image.first_images import FirstImages
from jointune.serve.batcher import Batcher
from jointune.serve.limits import Budget, Limits
from jointune.serve.preparation import Preparation, PreparedPost, check_image
from jointune.serve.refusal import Refused, busy
from jointune.serve.service_metrics import ServiceMetrics

T = TypeVar("T")

Fetch = Callable[[str], bytes]
"""Returns the content at an address, or raises ``Refused``."""

_FETCHERS = 8  # threads that fetch images: they wait for other servers, and must not keep the decoders waiting


class Service:
    """A model that answers.

    Attributes:
        queue: the posts accepted and not answered yet.
        bodies: the bytes of requests and fetched images in memory.

    Its arguments, and the error that it raises, are those of ``jointune.serve.app.make_app``.
    """

    def __init__(self, predictor: Predictor, limits: Limits, metrics: ServiceMetrics, fetch: Fetch | None) -> None:
        self._predictor, self._limits, self._metrics, self._fetch = predictor, limits, metrics, fetch
        self._texts = ThreadPoolExecutor(limits.decoders, thread_name_prefix="text")
        self._decoders = ThreadPoolExecutor(limits.decoders, thread_name_prefix="decode")
        self._large = ThreadPoolExecutor(1, thread_name_prefix="large")
        self._fetchers = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="fetch")
        self.queue = Budget(limits.queue, lambda: busy("the queue is full"))
        self.bodies = Budget(limits.bodies_bytes, lambda: busy("too many large requests at a time"))
        self._explainers = ThreadPoolExecutor(1, thread_name_prefix="explain")
        self._explaining = Budget(1, lambda: busy("another post is being explained"))
        self._explainer = Explainer(predictor)
        self._preparation = Preparation(predictor, limits)
        self._batcher = Batcher(self._preparation.score, limits, metrics.count_batch)
        self._warm = False

    @property
    def ready(self) -> bool:
        """Tell whether posts are answered now."""
        return self._warm and self._batcher.alive

    async def start(self) -> None:
        """Start the model's thread and score a few posts, so that the first request is not the slowest."""
        self._batcher.start()
        file = BytesIO()
        Image.new("RGB", (1, 1)).save(file, "PNG")
        text, image = "a post to warm up with", file.getvalue()
        for post in (Post(text, image), Post(text), Post(image=image)):
            await self.answer([post])
        self._warm = True

    async def stop(self) -> None:
        """Score what waits for the model, and end the threads."""
        self._warm = False
        for pool in (self._texts, self._decoders, self._large, self._fetchers, self._explainers):
            pool.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._batcher.stop)

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function that takes too long for the event loop, though less than decoding an image does."""
        return await _run(self._texts, function, *arguments)

    async def answer(
        self, posts: Sequence[Post], as_list: bool = False, predictor: Predictor | None = None
    ) -> list[dict[str, Any]]:
        """Return an ``Answer`` for each post, in order.

        Args:
            posts: of a request.
            as_list: has errors name the post that they are about.
            predictor: puts the model's numbers into words; by default, that of the service.

        Raises:
            Refused: the queue is full, or an image cannot be fetched or used.
        """
        try:
            with self.queue.hold() as take:
                take(len(posts))
                self._metrics.set_waiting(self.queue.used)
                # If all images of a request were submitted at once, later requests would wait behind the last of them.
                turns = asyncio.Semaphore(self._limits.decoders)
                places = [f"posts[{number}]." if as_list else "" for number in range(len(posts))]
                said_by = predictor or self._predictor
                work = [self._answer_one(*one, turns, said_by) for one in zip(posts, places, strict=True)]
                return await _gather(work)
        finally:
            self._metrics.set_waiting(self.queue.used)

    async def explain(self, post: Post) -> dict[str, Any]:
        """Return why a post is answered as it is, as JSON values; one post at a time.

        Raises:
            Refused: another one is being explained, the queue is full, or an image cannot be fetched or used.
        """
        with self._explaining.hold() as begin, self.queue.hold() as wait:
            begin(1)
            wait(1)
            prepared, _ = await self._prepared(post, "", asyncio.Semaphore(1))
            images = prepared.rows["image"] or []
            explained = await _run(self._explainers, self._explainer.explain_one, prepared.post, images)
        return explained.to_dict()

    async def _answer_one(
        self, post: Post, place: str, turns: asyncio.Semaphore, predictor: Predictor
    ) -> dict[str, Any]:
        prepared, notes = await self._prepared(post, place, turns)
        return {
            **predictor.response(await self._batcher.score(prepared)),
            # Not by its row: a text that was read in an image is no text of the post's own.
            "missing": [n for n, row in prepared.rows.items() if (post.text if n == "text" else row) is None],
            **notes,
        }

    async def _prepared(
        self, post: Post, place: str, turns: asyncio.Semaphore
    ) -> tuple[PreparedPost, dict[str, list[str]]]:
        """Fetch and decode the images of a post, and prepare it; return notes on images that are not used, too."""
        first_images = FirstImages(self._predictor.image.max_images)
        (post,) = first_images.of([post])
        with self.bodies.hold() as take:
            frames: list[np.ndarray] = []
            texts: list[str] = []
            for number, image in enumerate(post.images):
                field = "image_url" if isinstance(image, RemoteImage) else "image"
                try:
                    content = await self._fetched(image.address) if isinstance(image, RemoteImage) else image
                    assert isinstance(content, bytes), "requests hold files and addresses"
                    take(len(content) if content is not image else 0)
                    decoded, text = await self._decoded(content, turns)
                    frames += decoded
                    texts += [] if text is None else [text]
                except Refused as refused:
                    several = f"[{number}]" if len(post.images) > 1 else ""
                    raise (refused if refused.status == 503 else refused.at(place + field + several)) from None
            if texts:
                post = replace(post, image_text="\n".join(filter(None, texts)))
            try:
                prepared = await self.in_thread(self._preparation.prepare, post, frames)
            except Refused as refused:
                raise (refused.at(place.removesuffix(".")) if place else refused) from None
        return prepared, {"notes": first_images.notes} if first_images.cut else {}

    async def _decoded(self, content: bytes, turns: asyncio.Semaphore) -> tuple[list[np.ndarray], str | None]:
        """Return an image as the model takes it, one array a frame, and the text in it, if the model reads that."""
        steps = self._preparation
        async with turns:
            large = await self.in_thread(check_image, content, self._limits, self._predictor.image.frames)
            pool = self._large if large else self._decoders
            frames = await _run(pool, steps.decode, content)
            return frames, await _run(pool, steps.read_text, content) if self._predictor.read_image_text else None

    async def _fetched(self, url: str) -> bytes:
        if self._fetch is None:
            remedy = f"send the picture itself, or ask whoever runs the server for {setting('allow_urls')}"
            raise Refused(422, "this server fetches nothing", remedy)
        return await _run(self._fetchers, self._fetch, url)


async def _run(pool: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


async def _gather(work: list[Coroutine[Any, Any, T]]) -> list[T]:
    """Return all results in order; the first error cancels what is not done yet."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
