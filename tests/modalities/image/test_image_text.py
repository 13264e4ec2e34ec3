"""The text in pictures: in order, once a picture, kept between runs, and never a reason to fail on the cache."""

import logging
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from helpers.fake_ocr import install
from jointune.data.post import Post, Posts
from jointune.data.problems import Problem
from jointune.errors import MissingExtraError, PostsError
from jointune.modalities.image import image_text, ocr
from jointune.modalities.image.image_text import read_image_text, unread
from jointune.modalities.image.ocr import Piece, in_reading_order
from jointune.utils import cache_dir
from jointune.utils.progress import QuietBar


def says_its_colour(picture: Image.Image) -> str:
    return "{} {} {}".format(*picture.getpixel((0, 0)))


@pytest.fixture
def fake(monkeypatch, tmp_path):
    cache_dir._warn_once.cache_clear()
    return install(monkeypatch, tmp_path / "cache", says_its_colour)


def pictures(folder, count, first=0):
    posts = []
    for number in range(first, first + count):
        path = folder / f"{number}.png"
        Image.new("RGB", (6, 6), (number, 0, 0)).save(path)
        posts.append(Post(f"post {number}", path, where=f"row {number}"))
    return posts


def texts(posts, **settings):
    return [post.image_text for post in read_image_text(posts, **settings)]


@pytest.mark.parametrize("workers", [1, 3])
def test_each_post_gets_its_text_in_order(fake, tmp_path, workers):
    posts = pictures(tmp_path, 40)
    read = list(read_image_text(posts, workers=workers))
    assert [post.image_text for post in read] == [f"{number} 0 0" for number in range(40)]
    assert [replace(post, image_text=None) for post in read] == posts


def test_posts_are_read_no_further_ahead_than_the_workers_need(fake, tmp_path):
    taken = []
    posts = read_image_text((taken.append(post) or post for post in pictures(tmp_path, 40)), workers=2)
    assert taken == []
    next(posts)
    assert len(taken) <= 6
    posts.close()


def test_a_picture_is_read_once_whoever_carries_it(monkeypatch, tmp_path):
    def slowly(picture):
        time.sleep(0.02)
        return "text"

    fake = install(monkeypatch, tmp_path / "cache", slowly)
    (post,) = pictures(tmp_path, 1)
    posts = [post, replace(post, image=post.image.read_bytes()), post] * 4
    assert texts(posts, workers=4) == ["text"] * 12
    assert fake.pictures == 1
    assert texts(posts) == ["text"] * 12
    assert fake.pictures == 1


def test_all_pictures_and_frames_that_the_model_sees_are_read(fake, tmp_path):
    first, last = pictures(tmp_path, 2)
    frames = [Image.new("RGB", (6, 6), (level, 0, 0)) for level in (50, 51, 51, 52)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=[10, 10, 10, 90])
    post = Post(image=[first.image, tmp_path / "moving.gif", last.image])
    assert texts([post]) == ["0 0 0\n50 0 0\n1 0 0"]
    assert texts([post], frames=2) == ["0 0 0\n50 0 0\n52 0 0\n1 0 0"]
    read = fake.pictures
    assert texts([post] * 2, frames=9) == ["0 0 0\n50 0 0\n51 0 0\n52 0 0\n1 0 0"] * 2
    assert fake.pictures <= read + 6, "each once"
    assert texts([post]) == ["0 0 0\n50 0 0\n1 0 0"], "one frame is cached apart from several"


def test_opened_pictures_are_told_apart_by_what_they_show(fake):
    red, blue = Image.new("P", (2, 2)), Image.new("P", (2, 2))
    red.putpalette([255, 0, 0])
    blue.putpalette([0, 0, 255])
    assert texts([Post(image=red), Post(image=blue)]) == ["255 0 0", "0 0 255"]


def test_another_version_reads_anew(fake, monkeypatch, tmp_path):
    posts = pictures(tmp_path, 3)
    assert texts(posts) == ["0 0 0", "1 0 0", "2 0 0"]
    other = install(monkeypatch, tmp_path / "cache", lambda picture: "other", "fake 2")
    assert texts(posts) == ["other"] * 3
    assert other.pictures == 3
    again = install(monkeypatch, tmp_path / "cache", says_its_colour)
    assert texts(posts) == ["0 0 0", "1 0 0", "2 0 0"]
    assert again.pictures == 0


def test_no_text_is_known_too(monkeypatch, tmp_path):
    fake = install(monkeypatch, tmp_path / "cache", lambda picture: "")
    posts = pictures(tmp_path, 2)
    assert texts(posts) == texts(posts) == ["", ""]
    assert fake.pictures == 2


def test_what_has_no_picture_to_read_is_left_alone(fake, tmp_path):
    (post,) = pictures(tmp_path, 1)
    bad = Problem("row 1", "text", "wrong", "mend it")
    others = [
        Post("no picture"),
        replace(post, problem=bad),
        replace(post, image_text="read by someone else"),
        *Posts([replace(post, image_text="0 0 0")]).without("image"),
    ]
    assert list(read_image_text(others)) == others
    assert others[-1].image_text is None
    assert not any(map(unread, others))
    assert fake.pictures == 0
    assert Posts([replace(post, image_text="kept")]).without("text")[0].image_text == "kept"


def test_a_picture_that_cannot_be_opened_is_left_to_whoever_needs_it(fake, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    posts = [Post("text", tmp_path / "bad.png"), Post("text", tmp_path / "none.png"), *pictures(tmp_path, 1)]
    assert texts(posts) == [None, None, "0 0 0"]
    assert list(read_image_text(posts))[:2] == posts[:2]


def test_an_ocr_that_fails_is_one_clear_error(monkeypatch, tmp_path):
    def fails(picture):
        raise RuntimeError("no such operator")

    install(monkeypatch, tmp_path / "cache", fails)
    with pytest.raises(
        PostsError, match=r"row 0: .*0\.png: the text in it could not be read .*no such operator.*; save"
    ):
        texts(pictures(tmp_path, 3))


def test_what_was_read_before_an_interrupt_is_kept(fake, monkeypatch, tmp_path):
    posts = pictures(tmp_path, 30)
    reading = read_image_text(posts, workers=2)
    for _ in range(10):
        next(reading)
    reading.close()
    already = fake.pictures
    assert already < 30
    again = install(monkeypatch, tmp_path / "cache", says_its_colour)
    assert texts(posts) == [f"{number} 0 0" for number in range(30)]
    assert again.pictures == 30 - already


def test_the_bar_counts_pictures(fake, tmp_path):
    class Counting(QuietBar):
        done = 0

        def advance(self, steps=1):
            self.done += steps

    bar = Counting()
    list(read_image_text([*pictures(tmp_path, 5), Post("no picture")], bar))
    assert bar.done == 5


def spoil_with_garbage(cache, monkeypatch):
    cache.mkdir()
    (cache / "image-text.sqlite").write_bytes(b"no database at all, but long enough to look like one" * 30)


def spoil_midway(cache, monkeypatch):
    cache.mkdir()
    with sqlite3.connect(cache / "image-text.sqlite") as other:
        other.execute("CREATE TABLE texts (something TEXT)")


def spoil_by_read_only(cache, monkeypatch):
    image_text.TextCache("fake 1").close()
    opened = sqlite3.connect
    # Root may write to files without permission.
    monkeypatch.setattr(sqlite3, "connect", lambda path, **more: opened(f"file:{path}?mode=ro", uri=True, **more))


def spoil_by_a_file_in_its_place(cache, monkeypatch):
    cache.write_text("not a folder")


@pytest.mark.parametrize("spoil", [spoil_with_garbage, spoil_midway, spoil_by_read_only, spoil_by_a_file_in_its_place])
def test_a_cache_of_no_use_is_said_once_and_done_without(fake, monkeypatch, tmp_path, caplog, spoil):
    spoil(tmp_path / "cache", monkeypatch)
    posts = pictures(tmp_path, 6)
    with caplog.at_level(logging.WARNING):
        assert texts(posts) == texts(posts) == [f"{number} 0 0" for number in range(6)]
    assert fake.pictures == 12
    assert len(caplog.messages) == 1
    assert "image-text.sqlite" in caplog.messages[0]
    assert "JOINTUNE_CACHE" in caplog.messages[0]


def test_a_cache_that_is_locked_for_long_is_said_once_and_done_without(fake, tmp_path, caplog):
    image_text.TextCache("fake 1").close()
    with closing(sqlite3.connect(tmp_path / "cache" / "image-text.sqlite")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with closing(image_text.TextCache("fake 1", patience=0.01)) as cache:
            cache.put(b"digest", "text")
            assert cache.get(b"digest") is None
    assert len(caplog.messages) == 1
    assert "is locked" in caplog.messages[0]


def test_a_read_only_cache_is_still_read(fake, monkeypatch, tmp_path, caplog):
    posts = pictures(tmp_path, 6)
    texts(posts)
    spoil_by_read_only(tmp_path / "cache", monkeypatch)
    assert texts(posts) == [f"{number} 0 0" for number in range(6)]
    assert fake.pictures == 6
    assert caplog.messages == []


def test_without_the_extra_it_is_named_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install -c constraints\.txt '\.\[ocr\]'"):
        read_image_text([])


def test_a_missing_system_library_is_named(monkeypatch, tmp_path):
    (tmp_path / "rapidocr_onnxruntime.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "rapidocr_onnxruntime", raising=False)
    with pytest.raises(MissingExtraError, match=r"libGL\.so\.1.*apt-get install libgl1"):
        ocr.load_ocr()


def test_lines_are_read_from_the_top_and_each_from_the_left():
    pieces = [
        Piece("again", 300, 102, 400, 142),
        Piece("bottom", 10, 300, 100, 340),
        Piece("it is monday", 20, 110, 280, 150),
        Piece("TOP", 150, 5, 250, 60),
    ]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]):
        assert in_reading_order(pieces[i] for i in order) == "TOP it is monday again bottom"
    assert in_reading_order([]) == ""


@pytest.mark.parametrize("size", [(12000, 9), (9, 12000), (1, 1), (4000, 3000), (300, 200), (2000, 499)])
def test_the_ocr_is_given_no_strip_and_nothing_huge(size):
    fitted = ocr.fitted(Image.new("RGB", size, "red"))
    assert max(fitted.size) == min(max(size), 2000)
    assert min(fitted.size) * 4 >= max(fitted.size)
    assert fitted.getpixel((0, 0)) == (255, 0, 0)
    assert ocr.fitted(fitted) is fitted


def test_unsure_pieces_are_left_out():
    def engine(pixels, **_):
        assert pixels.shape == (50, 100, 3)
        assert tuple(pixels[0, 0]) == (0, 0, 255)  # blue, green, red
        box = [[0, 0], [50, 0], [50, 20], [0, 20]]
        return [[box, "sure", 0.95], [box, "unsure", ocr.MIN_CONFIDENCE - 0.01]], [0.1]

    assert ocr.read_pieces(engine, Image.new("RGB", (100, 50), "red")) == "sure"
    assert ocr.read_pieces(lambda pixels, **_: (None, None), Image.new("RGB", (100, 50))) == ""


@pytest.mark.slow
def test_the_real_ocr_reads_large_print(monkeypatch, tmp_path):
    pytest.importorskip("rapidocr_onnxruntime", reason="the extra ocr is not installed")
    monkeypatch.setenv("JOINTUNE_CACHE", str(tmp_path / "cache"))
    picture = Image.new("RGB", (640, 360), "white")
    drawing = ImageDraw.Draw(picture)
    for height, line in ((30, "HELLO WORLD"), (200, "when it is monday")):
        drawing.text((30, height), line, fill="black", font=ImageFont.load_default(56))
    strip = Image.new("RGB", (6000, 9), "white")
    posts = [Post(image=picture), Post(image=Image.new("RGB", (64, 64), "green")), Post(image=strip)]
    read, nothing, narrow = texts(posts)
    # Spaces between words are often lost.
    assert read.replace(" ", "") == "HELLOWORLDwhenitismonday"
    assert nothing == narrow == ""
    reader = ocr.load_ocr().make_reader()
    assert reader(picture) == read
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8))
    assert reader(noise) == reader(noise)
