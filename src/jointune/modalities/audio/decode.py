"""Decode the first seconds of a sound file, or of the sound track of a video."""

import io
import math
import threading
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from jointune.data.image_file import ImageError, image_bytes, image_name
from jointune.data.post import FileSource
from jointune.modalities.image.video import video_container
from jointune.utils.extras import require

FORMATS = ("AIFF", "AU", "CAF", "FLAC", "MP3", "OGG", "RF64", "W64", "WAV", "WAVEX")
"""Formats of libsndfile that sounds come in; further decoders could be attacked too."""

_RATES = (1000, 768_000)
"""Least and greatest sampling rate."""

_BLOCK = 2**20
"""Samples that are decoded at once, of all channels together."""


_LOADING = threading.Lock()
"""Held while the packages are imported, which several threads may not do at once."""


@cache
def _libraries() -> tuple[Any, Any]:
    purpose = "a column of sounds"
    return require("soundfile", "audio", purpose), require("soxr", "audio", purpose)


class _Sound(NamedTuple):
    """The beginning of a sound: float32 [T] of one channel, samples a second, and the seconds of the whole."""

    samples: np.ndarray
    rate: int
    seconds: float


def read_sound(source: FileSource, rate: int, seconds: float) -> tuple[np.ndarray, float] | None:
    """Decode the beginning of a sound, average its channels, and resample it.

    Args:
        source: a path, the bytes of a file, or an address.
        rate: samples a second that are wanted.
        seconds: that are read at most.

    Returns:
        Samples int16 [T], one at least, and the seconds of the whole sound; None for a video without a sound track.

    Raises:
        ImageError: the file cannot be used.
        MissingExtraError: the packages that decode sounds, or videos, are not installed.
    """
    name, content = image_name(source, "sound"), image_bytes(source, "sound")
    container = video_container(content)
    with _LOADING:
        soundfile, soxr = _libraries()
        av = require("av", "video", "the sound of a video") if container else None
    try:
        sound = _of_video(av, content, container, seconds, name) if av else _of_file(soundfile, content, seconds, name)
    except ImageError:
        raise
    except Exception as reason:  # decoders raise nearly anything at damaged input
        raise ImageError(
            name, f"damaged, or not a sound ({reason})", "restore the file, convert it to WAV, or remove the row"
        ) from reason
    if sound is None:
        return None
    if not len(sound.samples):
        raise ImageError(name, "a sound of 0 samples", "restore the file or leave the sound empty")
    if not np.isfinite(sound.samples).all():
        raise ImageError(name, "damaged: its samples are not finite (nan or inf)", "restore the file or remove the row")
    resampled = soxr.resample(sound.samples, sound.rate, rate)[: math.ceil(seconds * rate)]
    whole = np.clip(np.rint(resampled * 32768), -32768, 32767).astype(np.int16)
    return whole if len(whole) else np.zeros(1, dtype=np.int16), sound.seconds


def _of_file(soundfile: Any, content: bytes, seconds: float, name: str) -> _Sound:
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        if file.format not in FORMATS:
            formats = ", ".join(FORMATS)
            raise ImageError(name, f"a sound in the format {file.format}", f"convert it to one of {formats}")
        _check_rate(file.samplerate, name)
        size, wanted = max(1, _BLOCK // file.channels), math.ceil(seconds * file.samplerate)
        blocks = file.blocks(size, frames=wanted, dtype="float32", always_2d=True)
        return _Sound(_joined([block.mean(1) for block in blocks]), file.samplerate, file.frames / file.samplerate)


def _of_video(av: Any, content: bytes, container: str | None, seconds: float, name: str) -> _Sound | None:
    with av.open(io.BytesIO(content), format=container) as video:
        if not video.streams.audio:
            return None
        stream = video.streams.audio[0]
        to_floats = av.AudioResampler(format="fltp")
        blocks: list[np.ndarray] = []
        rate, missing = 0, 0
        for frame in video.decode(stream):
            if frame.sample_rate != rate:  # which the decoder knows better than the container
                if blocks:
                    raise ValueError("its sampling rate changes")
                rate = frame.sample_rate
                _check_rate(rate, name)
                missing = math.ceil(seconds * rate)
            for converted in to_floats.resample(frame):
                blocks.append(converted.to_ndarray().mean(0)[:missing])
                missing -= len(blocks[-1])
            if not missing:
                break
        samples = _joined(blocks)
        length = stream.duration * stream.time_base if stream.duration else (video.duration or 0) / av.time_base
        return _Sound(samples, rate, float(length) or len(samples) / max(rate, 1))


def _check_rate(rate: int, name: str) -> None:
    if not _RATES[0] <= rate <= _RATES[1]:
        allowed = f"{_RATES[0]:,} to {_RATES[1]:,} are read"
        raise ImageError(name, f"{rate:,} samples a second; {allowed}", "convert it")


def _joined(blocks: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)
