"""Videos with a sound track, and without, made by PyAV."""

import io

import numpy as np


def make_clip(kind: str, sound: np.ndarray | None, rate: int = 48_000, frames: int = 5) -> bytes:
    """A video file whose sound track is int16 [T], in two equal channels; without one if ``sound`` is None.

    Args:
        kind: ``mp4``, ``mov`` or ``webm``; ``ipod`` is an M4A, which has no ``frames``.
        sound: of the track.
        rate: of its samples.
        frames: grey, 10 a second.
    """
    import av

    of_picture, of_sound = {"webm": ("libvpx", "libopus"), "mov": ("mpeg4", "pcm_s16le")}.get(kind, ("mpeg4", "aac"))
    memory = io.BytesIO()
    with av.open(memory, "w", format=kind) as container:
        if frames:
            picture = container.add_stream(of_picture, rate=10)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        track = None if sound is None else container.add_stream(of_sound, rate=rate, layout="stereo")
        for number in range(frames):
            pixels = np.full((48, 64, 3), 40 * number % 256, np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        if frames:
            container.mux(picture.encode())
        if track is not None and sound is not None:
            packed = np.repeat(sound, 2)[None]
            frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
            frame.sample_rate = rate
            container.mux(track.encode(frame))
            container.mux(track.encode())
    return memory.getvalue()
