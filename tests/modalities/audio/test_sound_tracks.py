"""Sound tracks of videos: the beginning of each, nothing of a silent one, and a reason for each that is damaged."""

import sys

import numpy as np
import pytest

from conftest import write_rows
from helpers.small_clips import make_clip
from helpers.small_sounds import RATE, make_audio_encoder, tone
from jointune import JointClassifier, JointuneWarning, Post, PostsError, read_posts
from jointune.data.image_file import ImageError
from jointune.errors import MissingExtraError
from jointune.modalities.audio.decode import read_sound
from jointune.modalities.audio.waveform import AudioPreprocessor

for package in ("av", "soundfile", "soxr"):
    pytest.importorskip(package, reason="the extras audio and video are not installed")

KINDS = ("mp4", "mov", "webm")
SOUND = tone(440, 0.5, 48_000)


@pytest.mark.parametrize("kind", [*KINDS, "ipod"])
def test_the_track_of_a_video_is_read_as_a_sound(kind):
    content = make_clip(kind, SOUND, frames=0 if kind == "ipod" else 5)
    samples, seconds = read_sound(content, RATE, 10)
    assert (samples.dtype, seconds) == (np.int16, pytest.approx(0.5, abs=0.05))
    assert len(samples) == pytest.approx(len(SOUND) // 3, abs=600)
    spectrum = np.abs(np.fft.rfft(samples[2000:6000].astype(float)))
    assert np.argmax(spectrum) * RATE / 4000 == pytest.approx(440, abs=5)
    first, whole = read_sound(content, RATE, 0.1)
    assert (len(first), whole) == (RATE // 10, seconds)


def test_an_uncompressed_track_is_that_of_a_sound_file():
    samples, _ = read_sound(make_clip("mov", SOUND, 48_000), 48_000, 10)
    np.testing.assert_array_equal(samples, SOUND)


@pytest.mark.parametrize(
    "content",
    [
        make_clip("mp4", SOUND)[:300],
        make_clip("webm", SOUND)[:80],
        b"\0\0\0\x18ftypisom" + bytes(100),
        b"\x1aE\xdf\xa3" + bytes(100),
    ],
)
def test_a_damaged_video_is_named(content):
    with pytest.raises(ImageError, match=r"damaged, or not a sound .*; restore the file"):
        read_sound(content, RATE, 10)


def test_a_rate_that_is_not_read():
    with pytest.raises(ImageError, match="800 samples a second; 1,000 to 768,000 are read"):
        read_sound(make_clip("mov", SOUND[:400], 800), RATE, 10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_without_a_track_is_no_sound(kind, tmp_path):
    path = tmp_path / "silent"
    path.write_bytes(make_clip(kind, None))
    assert read_sound(path, RATE, 10) is None
    audio = AudioPreprocessor("clip", RATE, 0.2)
    posts = [Post("a", files={"clip": path}), Post(image=path, files={"clip": path})]
    posts += [Post("b", files={"clip": make_clip(kind, SOUND)}), Post("c")]
    assert [None if row is None else len(row) for row in audio.rows(posts)] == [None, None, RATE // 5, None]
    assert audio.notes(posts, "training") == [
        "clip: 1 of 1 training sound is longer than 0.2 s; only the first 0.2 s are read",
        "clip: 2 training videos without a sound track: used as posts without a sound",
    ]
    with pytest.raises(PostsError, match=r"row 7: .*silent: a video without a sound track, .*; give"):
        audio.rows([Post(files={"clip": path}, where="row 7")])


def test_without_the_extra_the_command_is_named(monkeypatch):
    content = make_clip("mp4", SOUND)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"sound of a video needs .* av; .*constraints.txt '.\[video\]'"):
        read_sound(content, RATE, 10)


def test_one_file_is_picture_and_sound_of_a_post(jointune, tiny_settings, tmp_path):
    rows = []
    for number in range(40):
        label = ("low", "high")[number % 2]
        sound = tone((200, 3000)[number % 2] + 20 * number, 0.2, 48_000) if number else None
        (tmp_path / f"{number}.mp4").write_bytes(make_clip("mp4", sound, frames=1 + number))
        rows.append({"text": f"good {number}", "clip": f"{number}.mp4", "sound": f"{number}.mp4", "label": label})
    table = write_rows(tmp_path / "posts.csv", rows)
    columns = ("--image-column", "clip", "--audio-column", "sound")
    code, said = jointune("check", table, *columns)
    assert code == 0, said
    assert "sound: 1 training video without a sound track: used as posts without a sound" in said
    audio = {"audio_column": "sound", "audio_encoder": make_audio_encoder("wav2vec2", tmp_path / "encoder")}
    quick = {"image_column": "clip", "epochs": 1, "audio_seconds": 0.3, "probe": False}
    with pytest.warns(JointuneWarning, match="video without a sound track"):
        classifier = JointClassifier(**tiny_settings | audio | quick).fit(table, validation=0.2)
    posts = read_posts(table, image_column="clip", file_columns=["sound"])
    probabilities = classifier.predict_proba(posts)
    rows = [{"text": f"good {number}", "clip": str(tmp_path / f"{number}.mp4")} for number in (0, 1)]
    silent, heard = classifier.predict_proba(read_posts(rows, image_column="clip"))
    np.testing.assert_allclose(silent, probabilities[0], atol=1e-5)
    assert np.abs(heard - probabilities[1]).max() > 1e-4, "the sound counts"
