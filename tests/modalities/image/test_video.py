"""Frames of video files, made here: those of the first to the last second, and a reason for each that has none."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from jointune.data.image_file import ImageError
from jointune.data.post import Post
from jointune.errors import MissingExtraError
from jointune.modalities.image.bounds import spaced
from jointune.modalities.image.decode import decode_posts
from jointune.modalities.image.open import open_frames, open_image
from jointune.modalities.image.video import video_container

av = pytest.importorskip("av", reason="the extra video is not installed")

KINDS = [("mp4", "mpeg4"), ("mov", "mpeg4"), ("webm", "libvpx")]


def video(kind: str, codec: str, count: int = 37, gop: int = 12, file=None, **options: str) -> bytes:
    """A video whose frames become brighter, at 10 a second; in memory, if no ``file`` is named."""
    memory = BytesIO()
    with av.open(file or memory, "w", format=kind, options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.gop_size = 64, 48, "yuv420p", gop
        for number in range(count):
            pixels = np.full((48, 64, 3), number * 6 % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file.read_bytes() if file else memory.getvalue()


def decoded(content: bytes) -> list[np.ndarray]:
    with av.open(BytesIO(content)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize(("kind", "codec"), KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 5, 37, 100])
def test_frames_are_those_that_are_decoded_one_by_one(kind, codec, count):
    content = video(kind, codec)
    every = decoded(content)
    assert len(every) == 37
    frames = [np.asarray(image) for image in open_frames(content, count)]
    assert len(frames) == min(count, 37)
    for number, frame in zip(spaced(37, count), frames, strict=True):
        assert np.array_equal(frame, every[number]), number


def test_a_video_counts_as_its_first_frame_where_one_is_asked_for(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(video("mp4", "mpeg4"))
    assert open_image(path).size == (64, 48)
    (post,) = decode_posts([Post("a", path)], np.asarray)
    assert len(post.images) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (video("mp4", "mpeg4")[:300], "damaged or cut off"),
        (video("webm", "libvpx")[:60], "damaged or cut off"),
        (b"\0\0\0\x18ftypisom" + bytes(100), "damaged or cut off"),
        (b"\x1aE\xdf\xa3" + bytes(100), "damaged or cut off"),
    ],
)
def test_a_video_that_cannot_be_read_is_named(tmp_path, content, says):
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=says):
        list(open_frames(path, 4))
    (post,) = decode_posts([Post("a", path, where="row 5")], np.asarray, frames=4)
    assert (post.problem.where, post.problem.what) == ("row 5", str(path))


def test_a_video_that_ends_early_is_named_where_its_index_tells(tmp_path):
    content = video("mp4", "mpeg4", 60, file=tmp_path / "whole.mp4", movflags="faststart")
    assert len(list(open_frames(content, 4))) == 4
    with pytest.raises(ImageError, match=r"damaged or cut off \(\d+ of 60 frames are there\)"):
        list(open_frames(content[: len(content) * 2 // 3], 4))
    live = video("webm", "libvpx", 60)  # a live recording has no index: what is there counts
    assert 1 <= len(list(open_frames(live[: len(live) * 2 // 3], 4))) <= 4


def test_a_long_video_with_one_key_frame_is_decoded_once():
    frames = list(open_frames(video("mp4", "mpeg4", 700, gop=600), 300))
    assert len(frames) == 300


def test_sound_alone_is_no_video(tmp_path):
    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(ImageError, match="a file of sound, without a video"):
        open_image(file.getvalue())


def test_only_containers_of_videos_are_given_to_the_decoder():
    image = BytesIO()
    Image.new("RGB", (8, 8)).save(image, "AVIF")
    assert video_container(image.getvalue()) is None
    for content in (b"", b"#EXTM3U\nfile:///etc/passwd", b"ffconcat version 1.0", b"RIFF....AVI "):
        assert video_container(content) is None


def test_without_the_extra_the_command_is_said(monkeypatch, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(video("mp4", "mpeg4", 3))
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install -c constraints.txt '.\[video\]'"):
        open_image(path)
    with pytest.raises(MissingExtraError):
        list(decode_posts([Post("a", path)], np.asarray))
