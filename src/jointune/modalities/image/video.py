"""Frames of video files, by PyAV."""

import io
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image

from jointune.data.image_file import ImageError
from jointune.modalities.image.bounds import MAX_PIXELS, MAX_SIDE, refuse_long, spaced
from jointune.utils.extras import require

_STILL_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
"""Images in the container of MP4."""

_OLD_MOVIES = (b"moov", b"mdat", b"wide", b"free", b"skip")
"""First parts of QuickTime files that begin without a brand."""

_MOST_PACKETS = 1_000_000
"""Frames of a video that are counted: nine hours at 30 a second."""


_WHOLE = 0.9
"""Share of the frames that an index names of which a whole file has no less; some are only there to be skipped."""


def video_container(content: bytes) -> str | None:
    """Return what ffmpeg calls the container of a video file, by its first bytes; None for all other files.

    It is named when the file is opened, since other containers of ffmpeg's can name further files, and read them.
    """
    if content.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    kind, brand = content[4:8], content[8:12]
    return "mov" if kind in _OLD_MOVIES or (kind == b"ftyp" and brand not in _STILL_BRANDS) else None


def video_frames(
    content: bytes, container: str, count: int, file: str, admit: Callable[[int], object]
) -> Iterator[Image.Image]:
    """Decode frames of a video as 8-bit RGB, upright; takes and raises what ``open_frames`` does."""
    av = require("av", "video", "a video among the images")
    with av.open(io.BytesIO(content), format=container) as video:
        if not video.streams.video:
            raise ImageError(file, "a file of sound, without a video", "name a video or remove the row")
        stream = video.streams.video[0]
        stream.thread_type = "NONE"  # several videos are decoded at a time
        pixels = stream.width * stream.height
        if not 0 < pixels <= MAX_PIXELS or max(stream.width, stream.height) > MAX_SIDE:
            size = f"frames of {stream.width} x {stream.height} pixels"
            raise ImageError(file, size, "save it smaller or remove the row")
        admit(pixels)
        if count == 1:
            yield _upright(next(iter(_decoded(video, stream)), None), "it has no frames")
            return
        wanted = _plan(video, stream, count, file)
        refuse_long(sum(steps for _, _, steps in wanted), pixels, file)
        frames: Iterator[Any] = iter(())
        at = -math.inf
        for time, start, _ in wanted:
            if at < start:
                video.seek(start, stream=stream)
                frames = _decoded(video, stream)
            frame = next((frame for frame in frames if frame.pts >= time), None)
            yield _upright(frame, "it ends before its last frame")
            at = time


def _plan(video: Any, stream: Any, count: int, file: str) -> list[tuple[int, int, int]]:
    """Return the time of each wanted frame, that of the frame to begin at, and how many further ones are decoded.

    Times are in the units of the stream. The packets are looked at, and not decoded.
    """
    times: dict[int, bool] = {}
    for packet in video.demux(stream):
        if packet.pts is not None:
            times[packet.pts] = packet.is_keyframe
        if len(times) > _MOST_PACKETS:
            raise ImageError(file, f"more than {_MOST_PACKETS:,} frames", "cut it or remove the row")
    if len(times) < _WHOLE * stream.frames or not times:
        raise ValueError(f"{len(times):,} of {stream.frames:,} frames are there")
    ordered = sorted(times)
    keys = [place for place, time in enumerate(ordered) if times[time]]
    plan, last = [], -1
    for place in spaced(len(ordered), count):
        start = keys[max(bisect_right(keys, place) - 1, 0)] if keys else 0
        plan.append((ordered[place], ordered[start], place - max(start - 1, last)))
        last = place
    return plan


def _decoded(video: Any, stream: Any) -> Iterator[Any]:
    return (frame for frame in video.decode(stream) if frame.pts is not None)


def _upright(frame: Any, missing: str) -> Image.Image:
    if frame is None:
        raise ValueError(missing)
    image: Image.Image = frame.to_image()
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image
