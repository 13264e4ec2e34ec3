"""Prepared pictures kept between runs."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jointune.data.post import Post, Posts
from jointune.modalities.image.cache import ImageCache, open_store
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.image.store import ImageStore, store_images
from jointune.utils import cache_dir
from jointune.utils.cache_dir import clear_caches
from jointune.utils.progress import QuietBar

SQUARE = ImagePreprocessor((8, 8), (10, 10))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    cache_dir._warn_once.cache_clear()
    monkeypatch.setenv("JOINTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pictures"


@pytest.fixture
def posts(tmp_path):
    made = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (20, 12), (number * 40, 10, 10)).save(path)
        made.append(Post(text="a", image=path, where=f"row {number}"))
    return Posts(made)


@pytest.fixture
def decoded():
    """Counts the pictures that ``pixels(…, decoded)`` decoded."""
    return CountingBar()


class CountingBar(QuietBar):
    pictures = 0

    def advance(self, steps=1):
        self.pictures += steps


def pixels(posts, store, bar=None):
    _, places, problems = store_images(posts, SQUARE, store, "error", bar or QuietBar())
    assert not problems
    return np.stack([store[place] for (place,) in places])


def kept_sizes(folder):
    return sorted(path.stat().st_size for path in folder.glob("*.u8"))


def test_a_second_run_decodes_nothing(folder, posts, decoded):
    first = pixels(posts, open_store(SQUARE), decoded)
    assert decoded.pictures == 6
    np.testing.assert_array_equal(pixels(posts, open_store(SQUARE), decoded), first)
    assert decoded.pictures == 6
    np.testing.assert_array_equal(pixels(posts, ImageStore((10, 10, 3)), decoded), first)


def test_a_picture_is_known_by_its_content(folder, posts, decoded, tmp_path):
    pixels(posts, open_store(SQUARE), decoded)
    renamed = tmp_path / "renamed.png"
    renamed.write_bytes(posts[2].image.read_bytes())
    Image.new("RGB", (20, 12), (1, 2, 3)).save(posts[0].image)
    found = pixels(Posts([replace(posts[2], image=renamed), posts[0]]), open_store(SQUARE), decoded)
    assert decoded.pictures == 7
    assert tuple(found[1, 5, 5]) == (1, 2, 3)


@pytest.mark.parametrize("kept", [True, False])
def test_equal_pictures_under_several_names_do_not_move_the_others(folder, posts, tmp_path, monkeypatch, kept):
    if not kept:
        monkeypatch.setenv("JOINTUNE_CACHE", "off")
    twin = tmp_path / "twin.png"
    twin.write_bytes(posts[0].image.read_bytes())
    many = Posts([posts[0], replace(posts[0], image=twin), *posts[1:]])
    store = open_store(SQUARE)
    shades = [0, *(40 * number for number in range(6))]
    assert pixels(many, store)[:, 5, 5, 0].tolist() == shades
    assert pixels(many, store)[:, 5, 5, 0].tolist() == shades


def test_another_way_of_preparing_has_pictures_of_its_own(folder, posts, decoded):
    pixels(posts, open_store(SQUARE), decoded)
    open_store(replace(SQUARE, resample=Image.Resampling.NEAREST))
    assert len(list(folder.glob("*.u8"))) == 2


@pytest.mark.parametrize("spoil", ["flip a byte", "cut the file", "delete the pictures", "delete the index"])
def test_a_damaged_record_is_made_anew_and_never_shown(folder, posts, decoded, spoil):
    first = pixels(posts, open_store(SQUARE), decoded)
    (file,) = folder.glob("*.u8")
    content = bytearray(file.read_bytes())
    if spoil == "flip a byte":
        content[5] ^= 255
        file.write_bytes(content)
    elif spoil == "cut the file":
        file.write_bytes(content[:-100])
    elif spoil == "delete the pictures":
        file.unlink()
    else:
        next(folder.glob("*.sqlite")).unlink()
    np.testing.assert_array_equal(pixels(posts, open_store(SQUARE), decoded), first)
    np.testing.assert_array_equal(pixels(posts, open_store(SQUARE), decoded), first)
    assert decoded.pictures == 6 + {"flip a byte": 1, "cut the file": 1}.get(spoil, 6)


def overwrite(index, damage):
    """Damage an index where it lies, as a failing disk does."""
    content = bytearray(index.read_bytes())
    start, end = {"begin": (0, 100), "pages": (4096, len(content)), "all": (0, len(content))}[damage.split()[0]]
    content[start:end] = (b"\0" if damage.endswith("zeroed") else b"?") * (end - start)
    with open(index, "r+b") as file:
        file.write(content)


DAMAGES = ["begin zeroed", "begin garbled", "pages zeroed", "pages garbled", "all zeroed", "all garbled"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_thrown_away(folder, posts, decoded, caplog, damage):
    first = pixels(posts, open_store(SQUARE), decoded)
    overwrite(next(folder.glob("*.sqlite")), damage)
    for _ in range(2):
        np.testing.assert_array_equal(pixels(posts, open_store(SQUARE), decoded), first)
    assert decoded.pictures == 12
    assert kept_sizes(folder) == [6 * 300]
    assert not caplog.messages


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_goes_on_when_its_index_is_damaged_meanwhile(folder, posts, damage):
    expected = pixels(posts, ImageStore((10, 10, 3)))
    pixels(Posts(posts[:3]), open_store(SQUARE))
    store = open_store(SQUARE)
    pixels(Posts(posts[2:4]), store)
    overwrite(next(folder.glob("*.sqlite")), damage)
    np.testing.assert_array_equal(pixels(posts, store), expected)
    np.testing.assert_array_equal(pixels(posts, open_store(SQUARE)), expected)


def test_an_index_that_names_no_place_is_not_believed(folder, posts, decoded):
    first = pixels(posts, open_store(SQUARE), decoded)
    with closing(sqlite3.connect(next(folder.glob("*.sqlite")), isolation_level=None)) as index:
        for number, place in enumerate([-1, 6, 2**62, 0.5, "text", None]):
            index.execute("UPDATE pictures SET place = ? WHERE rowid = ?", (place, number + 1))
    for _ in range(2):
        np.testing.assert_array_equal(pixels(posts, open_store(SQUARE), decoded), first)
    assert decoded.pictures == 12


def test_what_is_cleared_stays_readable_for_a_run_that_uses_it(folder, posts):
    store = open_store(SQUARE)
    first = pixels(posts, store)
    clear_caches()
    assert not folder.exists()
    np.testing.assert_array_equal(np.stack([store[place] for place in range(6)]), first)
    np.testing.assert_array_equal(pixels(posts, open_store(SQUARE)), first)


@pytest.mark.parametrize("deleted", ["all", "the index", "the pictures"])
@pytest.mark.parametrize("others_go_on", [False, True])
def test_a_run_goes_on_when_its_store_is_deleted_between_two_pictures(folder, posts, deleted, others_go_on):
    expected = pixels(posts, ImageStore((10, 10, 3)))
    store = open_store(SQUARE)
    pixels(Posts(posts[:2]), store)
    if deleted == "all":
        clear_caches()
    else:
        next(folder.glob("*.sqlite" if deleted == "the index" else "*.u8")).unlink()
    if others_go_on:
        pixels(Posts(posts[3:5]), open_store(SQUARE))
    np.testing.assert_array_equal(pixels(Posts(posts[:4]), store), expected[:4])
    if others_go_on:
        pixels(Posts(posts[2:3]), open_store(SQUARE))
    np.testing.assert_array_equal(pixels(posts, store), expected)
    np.testing.assert_array_equal(pixels(posts, open_store(SQUARE)), expected)


def test_a_run_goes_on_when_the_disk_of_the_cache_is_full(folder, posts, caplog):
    store = open_store(SQUARE)
    store._kept.close()
    store._kept = open("/dev/full", "ab", buffering=0)  # noqa: SIM115
    with store._kept:
        np.testing.assert_array_equal(pixels(posts, store), pixels(posts, ImageStore((10, 10, 3))))
    assert "not kept between runs" in caplog.text
    assert "No space left" in caplog.text


def test_the_oldest_make_room(folder, posts, monkeypatch):
    old, new = replace(SQUARE, resample=0), replace(SQUARE, resample=1)
    for age, preprocessor in ((100, old), (0, new)):
        store_images(posts, preprocessor, ImageCache(folder, preprocessor), "error", QuietBar())
        for path in folder.iterdir():
            os.utime(path, (path.stat().st_mtime - age,) * 2)
    kept = 2 * 6 * 300
    monkeypatch.setenv("JOINTUNE_CACHE_GIB", str((kept - 1) / 2**30))
    open_store(SQUARE)
    assert kept_sizes(folder) == [0, 6 * 300]


def test_what_is_above_the_limit_is_stored_for_the_run_alone(folder, posts, decoded, monkeypatch, caplog):
    expected = pixels(posts, ImageStore((10, 10, 3)), decoded)
    monkeypatch.setenv("JOINTUNE_CACHE_GIB", str(1000 / 2**30))
    for in_all in (12, 15):
        store = open_store(SQUARE)
        np.testing.assert_array_equal(pixels(posts, store, decoded), expected)
        np.testing.assert_array_equal(pixels(posts, store, decoded), expected)
        assert kept_sizes(folder) == [900]
        assert decoded.pictures == in_all
    assert "JOINTUNE_CACHE_GIB" in caplog.text


def test_what_is_opened_is_not_deleted_when_the_limit_is_lowered(folder, posts, decoded, monkeypatch):
    expected = pixels(posts, open_store(SQUARE), decoded)
    monkeypatch.setenv("JOINTUNE_CACHE_GIB", "0")
    np.testing.assert_array_equal(pixels(posts, open_store(SQUARE), decoded), expected)
    assert decoded.pictures == 6
    open_store(replace(SQUARE, resample=0))
    assert kept_sizes(folder) == [0]


def test_a_run_that_needs_more_room_deletes_what_others_used_before_it(folder, posts, monkeypatch):
    expected = pixels(posts, open_store(SQUARE))
    before = open_store(SQUARE)
    monkeypatch.setenv("JOINTUNE_CACHE_GIB", str(7 * 300 / 2**30))
    now = replace(SQUARE, resample=0)
    store_images(posts, now, open_store(now), "error", QuietBar())
    assert kept_sizes(folder) == [6 * 300]
    np.testing.assert_array_equal(pixels(posts, before), expected)


def test_several_processes_share_it(folder, posts):
    code = (
        "import sys; sys.path.insert(0, 'tests/modalities/image')\n"
        "from pathlib import Path\n"
        "from jointune.modalities.image.cache import open_store\n"
        "from jointune.modalities.image.pixels import ImagePreprocessor\n"
        "from jointune.modalities.image.store import store_images\n"
        "from jointune.data.post import Post, Posts\n"
        "from jointune.utils.progress import QuietBar\n"
        "how = ImagePreprocessor((8, 8), (10, 10))\n"
        "store = open_store(how)\n"
        "posts = Posts(Post(image=Path(name)) for name in sys.argv[1:])\n"
        "_, places, _ = store_images(posts, how, store, 'error', QuietBar())\n"
        "print([int(store[place][5, 5, 0]) for (place,) in places])\n"
    )
    names = [str(post.image) for post in posts]
    command = [sys.executable, "-c", code, *names]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert {process.communicate()[0].strip() for process in running} == {str([n * 40 for n in range(6)])}


def test_without_a_place_for_it_pictures_are_kept_for_the_run_alone(tmp_path, posts, monkeypatch, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("JOINTUNE_CACHE", str(tmp_path / "file"))
    assert type(open_store(SQUARE)) is ImageStore
    assert "JOINTUNE_CACHE" in caplog.text
    caplog.clear()
    monkeypatch.setenv("JOINTUNE_CACHE", "off")
    assert type(open_store(SQUARE)) is ImageStore
    assert not caplog.messages


def test_the_command_shows_and_clears(folder, posts, jointune):
    pixels(posts, open_store(SQUARE))
    code, said = jointune("cache")
    assert code == 0
    assert str(folder.parent) in said
    assert "prepared pictures: 0.0 MiB in 2 files" in said
    code, said = jointune("cache", "--clear")
    assert "prepared pictures: 0.0 MiB in 0 files" in said
    assert not folder.exists()
