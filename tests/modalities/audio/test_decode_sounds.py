"""Sounds of every kind, and files that are none."""

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.small_sounds import RATE, tone, write_wave
from jointune import Post, PostsError
from jointune.data.image_file import ImageError
from jointune.modalities.audio.decode import read_sound
from jointune.modalities.audio.waveform import AudioPreprocessor

soundfile = pytest.importorskip("soundfile", reason="the extra audio is not installed")
pytest.importorskip("soxr", reason="the extra audio is not installed")


def encoded(samples, rate=RATE, **kind) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **kind)
    return file.getvalue()


def test_a_wave_file_is_read_to_the_sample(tmp_path):
    sound = tone(440, 0.25)
    path = write_wave(tmp_path / "a.wav", sound)
    samples, seconds = read_sound(path, RATE, 10)
    np.testing.assert_array_equal(samples, sound)
    assert seconds == pytest.approx(0.25)
    samples, seconds = read_sound(path, RATE, 0.1)
    np.testing.assert_array_equal(samples, sound[: RATE // 10])
    assert seconds == pytest.approx(0.25), "of the whole sound"


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "AIFF", "MP3"])
def test_formats_channels_and_rates(kind):
    sound = tone(440, 0.5, 44_100) / 32768
    content = encoded(np.stack([sound, sound], 1), 44_100, format=kind)
    samples, _ = read_sound(content, RATE, 10)
    expected = tone(440, 0.5)
    assert abs(len(samples) - len(expected)) < RATE // 10
    middle = slice(2000, 6000)
    spectrum = np.abs(np.fft.rfft(samples[middle].astype(float)))
    assert np.argmax(spectrum) * RATE / 4000 == pytest.approx(440, abs=5)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "an empty file of 0 bytes"),
        (b"not a sound at all", "damaged, or not a sound"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "damaged, or not a sound"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "damaged, or not a sound"),
        (encoded(np.zeros(0, dtype=np.int16), format="WAV"), "a sound of 0 samples"),
        (encoded(np.full(100, np.nan, dtype=np.float32), format="WAV", subtype="FLOAT"), "not finite"),
        (encoded(tone(440), 900, format="WAV"), "900 samples a second"),
        (encoded(tone(440), 8000, format="NIST"), "a sound in the format NIST; convert it to one of AIFF"),
    ],
)
def test_bytes_that_are_no_sound(content, says):
    with pytest.raises(ImageError, match=says):
        read_sound(content, RATE, 10)


def test_files_that_are_no_sound_name_row_file_reason_and_remedy(tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"nothing")
    posts = [
        Post("a", files={"sound": tmp_path / "broken.wav"}, where="posts.csv row 1"),
        Post("a", files={"sound": tmp_path / "lost.wav"}, where="posts.csv row 2"),
        Post("a", files={"sound": tmp_path}, where="posts.csv row 3"),
        Post("a", where="posts.csv row 4"),
    ]
    audio = AudioPreprocessor("sound", RATE, 1.0)
    with pytest.raises(PostsError) as caught:
        audio.rows(posts)
    said = str(caught.value)
    assert "3 posts of sounds cannot be used" in said
    assert "broken.wav: damaged, or not a sound" in said
    assert "restore the file, convert it to WAV, or remove the row" in said
    assert "row 2: " in said
    assert "no such file; correct the path or leave the sound empty" in said
    assert "a folder, not a sound" in said
    assert audio.problem(posts[3]) is None


@given(st.binary(max_size=200), st.integers(0, 60))
def test_damage_of_any_kind_is_a_sound_or_an_error(noise, place):
    content = bytearray(encoded(tone(440, 0.05), format="FLAC"))
    content[place : place + len(noise)] = noise
    samples = np.zeros(1, dtype=np.int16)
    with suppress(ImageError):
        samples, _ = read_sound(bytes(content), RATE, 0.1)
    assert samples.dtype == np.int16
    assert 0 < len(samples) <= RATE // 10 + 1


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=5))
def test_sounds_are_padded_to_the_longest(lengths):
    rows = [np.full(length, 16384, dtype=np.int16) for length in lengths]
    audio = AudioPreprocessor("sound", RATE, 1.0)
    arrays = audio.collate(rows)
    assert arrays["waveform"].shape == arrays["waveform_mask"].shape == (len(rows), max(1600, *lengths))
    assert arrays["waveform_mask"].sum(1).tolist() == lengths
    np.testing.assert_array_equal(arrays["waveform"], arrays["waveform_mask"] * np.float32(0.5))
    cut = audio.trim({name: values[:1] for name, values in arrays.items()})
    assert cut["waveform"].shape[1] == max(1600, lengths[0])
    assert AudioPreprocessor("sound", RATE, 1.0, 6000).collate(rows)["waveform"].shape[1] == 6000
