"""Decode the first seconds of a sound file."""

import io
import math
import threading
from functools import cache
from typing import Any

import numpy as np

from jointune.data.image_file import ImageError, image_bytes, image_name
from jointune.data.post import FileSource
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


def read_sound(source: FileSource, rate: int, seconds: float) -> tuple[np.ndarray, float]:
    """Decode the beginning of a sound, average its channels, and resample it.

    Args:
        source: a path, the bytes of a file, or an address.
        rate: samples a second that are wanted.
        seconds: that are read at most.

    Returns:
        Samples int16 [T], one at least, and the seconds of the whole sound.

    Raises:
        ImageError: the file cannot be used.
        MissingExtraError: the packages that decode sounds are not installed.
    """
    with _LOADING:
        soundfile, soxr = _libraries()
    name, content = image_name(source, "sound"), image_bytes(source, "sound")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            own_rate, channels, length, kind = file.samplerate, file.channels, file.frames, file.format
            if kind not in FORMATS:
                raise ImageError(name, f"a sound in the format {kind}", f"convert it to one of {', '.join(FORMATS)}")
            if not _RATES[0] <= own_rate <= _RATES[1]:
                allowed = f"{_RATES[0]:,} to {_RATES[1]:,} are read"
                raise ImageError(name, f"{own_rate:,} samples a second; {allowed}", "convert it")
            blocks = file.blocks(max(1, _BLOCK // channels), frames=math.ceil(seconds * own_rate), dtype="float32")
            mono = [block if block.ndim == 1 else block.mean(1) for block in blocks]
    except soundfile.SoundFileError as reason:
        raise ImageError(
            name, f"damaged, or not a sound ({reason})", "restore the file, convert it to WAV, or remove the row"
        ) from reason
    samples = np.concatenate(mono) if mono else np.zeros(0, dtype=np.float32)
    if not len(samples):
        raise ImageError(name, "a sound of 0 samples", "restore the file or leave the sound empty")
    if not np.isfinite(samples).all():
        raise ImageError(name, "damaged: its samples are not finite (nan or inf)", "restore the file or remove the row")
    resampled = soxr.resample(samples, own_rate, rate)[: math.ceil(seconds * rate)]
    whole = np.clip(np.rint(resampled * 32768), -32768, 32767).astype(np.int16)
    return whole if len(whole) else np.zeros(1, dtype=np.int16), length / own_rate
