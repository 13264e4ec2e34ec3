"""How much the service takes on."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from jointune.errors import SettingsError, setting
from jointune.utils.threads import available_cores

MAX_FIELDS = 1000
"""Fields of a post, at most."""

MAX_CELL = 1000
"""Characters of a field, at most."""

MAX_IMAGES = 64
"""Images that a post may come with; how many of them are used, the model says."""

MAX_POSTS = 64  # posts in one request
MAX_CHARACTERS = 1_000_000  # characters of one text

MEGABYTE = 1_000_000

_DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Limits:
    """Bounds of time, size and number; beyond each there is a clear answer, never a slow one.

    Attributes:
        max_batch: posts that the model scores at once.
        max_wait: seconds that a post waits for others to share its batch. With 0 it waits only while the model is busy.
        queue: posts accepted and not answered yet; beyond them the answer is 503.
        timeout: seconds from the end of a request's body to its answer; then the answer is 503.
        body_bytes: bytes of one request.
        body_seconds: within which a request's head, and then its body, must have arrived.
        image_bytes: bytes of one image file.
        image_pixels: pixels of one image, before it is resized.
        large_pixels: pixels from which on an image is decoded alone: at 8 bytes a pixel, for WebP 17, several at a
            time would need gigabytes.
        decoders: threads that decode images, and as many that read bodies and texts. Large images have one more.
        connections: open at a time; further ones are closed at once.

    Raises:
        SettingsError: one of them is not above zero, or the queue does not hold one full request.
    """

    max_batch: int = 4
    max_wait: float = 0.0
    queue: int = 256
    timeout: float = 10.0
    body_bytes: int = 16 * MEGABYTE
    body_seconds: float = 10.0
    image_bytes: int = 10 * MEGABYTE
    image_pixels: int = 25_000_000
    large_pixels: int = 2_000_000
    decoders: int = min(available_cores(), 4)
    connections: int = 900

    def __post_init__(self) -> None:
        for field in fields(self):
            name, value, is_seconds = field.name, getattr(self, field.name), field.type is float
            most = _DAY if is_seconds else math.inf
            if not (0 < value < math.inf or (name == "max_wait" and value == 0)) or value > most:
                at_most = f" ({_DAY:,} at most)" if is_seconds else ""
                raise SettingsError(f"{setting(name, value)}: must be above 0, and finite{at_most}", setting=name)
        if self.queue < MAX_POSTS:
            raise SettingsError(
                f"{setting('queue', self.queue)}: must be {MAX_POSTS} or more, the posts of one full request",
                setting="queue",
            )

    @property
    def bodies_bytes(self) -> int:
        """Bytes of all requests together that are in memory at a time."""
        return 4 * self.body_bytes

    @property
    def grace(self) -> int:
        """Seconds that accepted requests have to finish after the service has to end."""
        return math.ceil(self.timeout) + 1


class Budget:
    """Counts what requests hold together, such as bytes or places in a queue. Only for the event loop's thread.

    Args:
        size: how much they may hold.
        refusal: makes the error for what does not fit.
    """

    def __init__(self, size: int, refusal: Callable[[], Exception]) -> None:
        self.size, self.used, self._refusal = size, 0, refusal

    @contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """Give the block a function that takes an amount, or raises; everything is returned when the block ends."""
        held = 0

        def take(amount: int) -> None:
            nonlocal held
            if self.used + amount > self.size:
                raise self._refusal()
            self.used += amount
            held += amount

        try:
            yield take
        finally:
            self.used -= held

    def check(self) -> None:
        """Raise if nothing more fits."""
        if self.used >= self.size:
            raise self._refusal()
