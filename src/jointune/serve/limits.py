"""How much the service takes on."""

import math
from dataclasses import dataclass, fields

from jointune.errors import SettingsError, setting
from jointune.utils.threads import available_cores

MAX_POSTS = 64
"""Posts in one request."""

MAX_CHARACTERS = 1_000_000
"""Of one text."""

MEGABYTE = 1_000_000

_DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Limits:
    """Bounds of time, size and number; beyond each there is a clear answer, never a slow one.

    Attributes:
        max_batch: posts that the model is given at once.
        max_wait: seconds that a post waits for others to share its batch. With 0 it waits only while the model is busy.
        queue: posts taken and not answered yet; beyond them the answer is 503.
        timeout: seconds from the end of a request's body to its answer; then the answer is 503.
        body_bytes: of one request.
        body_seconds: within which a request's head, and then its body, must have arrived.
        bodies_bytes: of all requests together that are in memory at a time.
        image_bytes: of one picture's file.
        picture_pixels: of one picture, before it is resized.
        decoders: threads that decode pictures, and as many that read bodies and texts. Large pictures have one more.
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
    bodies_bytes: int = 64 * MEGABYTE
    image_bytes: int = 10 * MEGABYTE
    picture_pixels: int = 25_000_000
    decoders: int = min(available_cores(), 4)
    connections: int = 900

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            # Those in seconds: what waits for them cannot count for ages.
            most, at_most = (_DAY, f" ({_DAY:,} at most)") if one.type is float else (math.inf, "")
            if not (0 < value < math.inf or (one.name == "max_wait" and value == 0)) or value > most:
                raise SettingsError(f"{setting(one.name, value)}: must be above 0, and finite{at_most}")
        if self.queue < MAX_POSTS:
            raise SettingsError(
                f"{setting('queue', self.queue)}: must be {MAX_POSTS} or more, the posts of one full request",
                setting="queue",
            )
        if self.bodies_bytes < self.body_bytes:
            raise SettingsError(
                f"bodies_bytes={self.bodies_bytes}: must hold one request of {self.body_bytes} bytes",
                setting="bodies_bytes",
            )

    @property
    def grace(self) -> int:
        """Seconds for which requests that were taken may go on after the service was told to end: for an answer."""
        return math.ceil(self.timeout) + 1
