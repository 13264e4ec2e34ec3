"""Any picture people have becomes upright 8-bit RGB; anything else is named with a reason and a remedy."""

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.odd_pictures import RED, bomb, red, unusable, usable
from jointune.data.image_file import ImageError, image_digest
from jointune.modalities.image.open import open_image


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return usable(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    return unusable(tmp_path_factory.mktemp("bad"))


def colour(picture: Image.Image) -> tuple[float, ...]:
    return tuple(np.asarray(picture).reshape(-1, 3).mean(0))


COLOURED = [
    "exif-rotated", "cmyk", "palette", "transparent", "ycck", "gif", "animated gif", "webp", "animated webp",
    "animated png", "avif", "bmp", "tiff", "phone's mpo", "progressive", "png named jpg", "no ending", "1 x 1",
    "12,000 x 9", "9 x 12,000", "spaces and letters",
]  # fmt: skip
GREY = ["16-bit", "16-bit big-endian", "float", "grey", "black and white", "grey with alpha"]


def test_the_kinds_are_all_looked_at(good):
    assert sorted(good) == sorted(COLOURED + GREY)


@pytest.mark.parametrize("kind", COLOURED)
def test_colours_are_right(good, kind):
    picture = open_image(good[kind])
    assert picture.mode == "RGB"
    # The first frame where there are several: the second is blue.
    assert colour(picture) == pytest.approx(RED, abs=12)


@pytest.mark.parametrize("kind", GREY)
def test_grey_pictures_become_rgb(good, kind):
    picture = open_image(good[kind])
    assert picture.mode == "RGB"
    assert picture.size == (24, 16)
    assert np.ptp(np.asarray(picture), axis=2).max() == 0


@pytest.mark.parametrize("kind", ["16-bit", "16-bit big-endian"])
def test_16_bits_are_scaled_not_clipped(good, kind):
    # Pillow's own conversion makes every value over 255 white.
    assert colour(open_image(good[kind])) == pytest.approx((40_000 / 257,) * 3, abs=1)


def test_float_pixels_span_the_whole_range(good):
    pixels = np.asarray(open_image(good["float"]))
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_float_pixels_that_are_no_numbers_harm_no_others(tmp_path):
    values = np.linspace(0, 1, 384, dtype=np.float32).reshape(16, 24)
    values[0, 0], values[0, 1] = np.nan, np.inf
    Image.fromarray(values).save(tmp_path / "gaps.tiff")
    pixels = np.asarray(open_image(tmp_path / "gaps.tiff"))
    assert pixels.max() == 255
    assert pixels[8, 12, 0] == pytest.approx(values[8, 12] * 255, abs=1)


def test_transparency_is_laid_on_white(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("LA", (4, 4), (0, 0)).save(tmp_path / "clear-grey.png")
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(tmp_path / "clear.gif", transparency=0)
    for name in ("clear.png", "clear-grey.png", "clear.gif"):
        assert colour(open_image(tmp_path / name)) == (255, 255, 255), name


PEAK = """
import sys
from jointune.modalities.image.open import open_image

def peak():  # not getrusage's, which begins with that of the process that started this one
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

open_image(open(sys.argv[1], "rb").read())
before = peak()
open_image(open(sys.argv[2], "rb").read())
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell a process's peak")
@pytest.mark.parametrize("mode", ["I;16", "RGBA", "LA", "P"])
def test_memory_is_that_of_two_copies(tmp_path, mode):
    width, height = 3000, 2000
    turned = Image.Exif()
    turned[0x0112] = 6
    options = {"transparency": 0} if mode == "P" else {}
    for name, size in (("small.png", (30, 20)), ("large.png", (width, height))):
        Image.new(mode, size).save(tmp_path / name, exif=turned, **options)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path / "small.png", tmp_path / "large.png"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) / (width * height) < 11, "twice the 4 bytes a pixel that Pillow takes, and one tile"


def test_what_is_converted_in_parts_is_whole():
    columns, rows = np.meshgrid(np.arange(1300), np.arange(700))
    deep = (columns * 50 + rows).astype(np.uint16)
    expected = np.repeat((deep / 65535 * 255).round().astype(np.uint8)[..., None], 3, axis=2)
    np.testing.assert_array_equal(np.asarray(open_image(Image.fromarray(deep))), expected)
    glass = np.stack([columns % 256, rows % 256, columns // 256, rows // 3], axis=2).astype(np.uint8)
    over = Image.alpha_composite(Image.new("RGBA", (1300, 700), "white"), Image.fromarray(glass, "RGBA"))
    np.testing.assert_array_equal(np.asarray(open_image(Image.fromarray(glass, "RGBA"))), np.asarray(over)[..., :3])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(tmp_path, orientation):
    upright = Image.new("RGB", (16, 8), "blue")
    upright.paste("red", (0, 0, 8, 4))  # the top left corner
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # how a camera held that way would have stored it
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(turn[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    assert list(open_image(tmp_path / "turned.png").getdata()) == list(upright.getdata())


def test_exif_that_cameras_filled_wrongly_still_says_what_is_up(tmp_path):
    # Found by flipping bytes: a text where the resolution belongs, which ImageOps.exif_transpose cannot write anew.
    exif = (
        b"Exif\0\0MM\0*\0\0\0\x08\0\x06\x01\xdb\0\x02\0\0\0\x06\0\0\0V\x01\x1b\0\x02\0\0\0\x06\0\0\0\\\x01\x12\0\x03\0\0"
        b"\0\x01\0\x06\0\0\x01\x1a\0\x05\0\0\0\x01\0\0\0b\x012\0\x02\0\0\0\x05\0\0\0j\x87i\0\x04\0\0\0\x01\0\0\0p\0\0\0\0"
        b"Maker\0Model\0\0\0\0H\0\0\0\x012020\0\0\0\x01\x90\x03\0\x02\0\0\0\x14\0\0\0\x82\0\0\0\x002020:01:01 00:00:00"
    )
    red().save(tmp_path / "camera.jpg", exif=exif)
    assert open_image(tmp_path / "camera.jpg").size == (16, 24)
    red().save(tmp_path / "garbage.jpg", exif=b"Exif\0\0not exif at all")
    assert open_image(tmp_path / "garbage.jpg").size == (24, 16)


def test_a_jpeg_need_not_be_decoded_in_full(tmp_path):
    red((800, 600)).save(tmp_path / "large.jpg")
    small = open_image(tmp_path / "large.jpg", (90, 90))
    assert 90 <= small.width < 800
    assert 90 <= small.height < 600
    assert colour(small) == pytest.approx(RED, abs=4)


KINDS = [
    "missing", "truncated jpg", "truncated png", "truncated webp", "truncated gif", "truncated tif", "truncated avif",
    "truncated bmp", "corrupt png", "corrupt webp", "only a header", "zero bytes", "svg", "pdf", "html", "postscript",
    "bomb", "folder",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_picture_is_named_with_reason_and_remedy(bad, kind):
    assert sorted(bad) == sorted(KINDS)
    path, reason = bad[kind]
    for at_least in (None, (8, 8)):
        with pytest.raises(ImageError) as caught:
            open_image(path, at_least)
        assert caught.value.file == str(path)
        assert reason in caught.value.reason
        assert caught.value.remedy


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 95, "subsampling": 0}])
def test_a_jpeg_that_lacks_only_its_end_marker_is_a_picture(options):
    content = BytesIO()
    Image.effect_noise((203, 161), 80).convert("RGB").save(content, "JPEG", **options)
    whole = content.getvalue()
    assert open_image(whole[:-2]).tobytes() == open_image(whole[:-1]).tobytes() == open_image(whole).tobytes()
    assert open_image(whole[:-2], (50, 50)).tobytes() == open_image(whole, (50, 50)).tobytes()
    for lost in (8, 100, len(whole) // 2):
        with pytest.raises(ImageError, match="damaged or cut off"):
            open_image(whole[:-lost])


def test_a_progressive_jpeg_that_lacks_a_pass_is_damaged():
    content = BytesIO()
    Image.effect_noise((203, 161), 80).convert("RGB").save(content, "JPEG", progressive=True)
    whole = content.getvalue()
    passes = [place for place in range(len(whole)) if whole[place : place + 2] == b"\xff\xda"]
    assert len(passes) > 5
    for place in passes[1:]:
        tables = whole.rfind(b"\xff\xc4", 0, place)
        for cut in (place, tables):
            with pytest.raises(ImageError, match="damaged or cut off"):
                open_image(whole[:cut])


def test_a_name_in_another_case_is_named(tmp_path):
    red().save(tmp_path / "10910.PNG")
    with pytest.raises(ImageError, match=r"no such file; there is 10910\.PNG in its folder, which differs in case"):
        open_image(tmp_path / "10910.png")
    red().save(tmp_path / "10910.Png")
    for name in ("10910.png", "other.png"):
        with pytest.raises(ImageError, match="no such file; correct the path or leave the picture empty"):
            open_image(tmp_path / name)


def test_the_bomb_is_refused_even_where_pillow_was_told_not_to(monkeypatch):
    # As users do; put back after the test.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(ImageError, match="too large to open safely"):
        open_image(bomb())


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="a device or a pipe"):
        open_image(tmp_path / "pipe.jpg")


def test_a_path_too_long_for_the_disk_is_a_clear_error(tmp_path):
    with pytest.raises(ImageError, match="not readable"):
        open_image(tmp_path / ("x" * 5000))


def test_opened_pictures_are_decoded_by_the_same_rules(tmp_path):
    content = BytesIO()
    Image.effect_noise((200, 160), 80).save(content, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(content.getvalue()[:5000])
    for use in (open_image, image_digest):
        with Image.open(tmp_path / "cut.jpg") as picture, pytest.raises(ImageError, match=r"cut\.jpg: damaged or cut"):
            use(picture)
    with pytest.raises(ImageError, match="no pixels"):
        open_image(Image.new("RGB", (0, 7)))
    assert colour(open_image(red().convert("CMYK"))) == pytest.approx(RED, abs=3)


def test_bytes_are_pictures_too(good):
    assert open_image(good["png named jpg"].read_bytes()).size == (24, 16)
    with pytest.raises(ImageError, match="picture bytes: not a picture"):
        open_image(b"not a picture")


def _samples() -> list[bytes]:
    found = []
    for form in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "ICO", "PPM"):
        content = BytesIO()
        Image.effect_mandelbrot((64, 48), (-2, -1, 1, 1), 30).convert("RGB").save(content, form)
        found.append(content.getvalue())
    return found


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    sample=st.sampled_from(_samples()),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
    kept=st.floats(0.1, 1),
)
def test_damage_of_any_kind_is_a_picture_or_a_picture_error(sample, changes, kept):
    damaged = bytearray(sample[: int(len(sample) * kept)])
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    try:
        assert open_image(bytes(damaged)).mode == "RGB"
    except ImageError as error:
        assert error.reason  # noqa: PT017


def test_pictures_are_identified_by_their_bytes(good, tmp_path):
    copy = tmp_path / "copy.bin"
    copy.write_bytes(good["bmp"].read_bytes())
    assert image_digest(copy) == image_digest(good["bmp"])
    assert image_digest(red()) == image_digest(red())
    assert image_digest(red()) != image_digest(red((16, 24)))
    with pytest.raises(ImageError, match="no such file"):
        image_digest(Path("nowhere.png"))
