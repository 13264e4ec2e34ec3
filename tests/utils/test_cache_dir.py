"""Where things are kept between runs."""

import math

import numpy as np
import pytest

from jointune.modalities.image.cache import open_store
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.utils.cache_dir import DEFAULT_LIMIT, cache_folder, cache_limit, cached_files


def test_the_cache_lies_where_the_user_keeps_such_things(monkeypatch, tmp_path):
    monkeypatch.delenv("JOINTUNE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "jointune"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "jointune"
    monkeypatch.setenv("JOINTUNE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_nothing_is_kept_where_that_is_wanted(monkeypatch, refused):
    monkeypatch.setenv("JOINTUNE_CACHE", "off")
    with pytest.raises(RuntimeError, match="off"):
        cache_folder()
    assert cached_files() == {}
    refused("cache", says=["nothing is kept"])


def test_the_limit(monkeypatch):
    monkeypatch.delenv("JOINTUNE_CACHE_GIB", raising=False)
    assert cache_limit() == DEFAULT_LIMIT
    for chosen, limit in {"": DEFAULT_LIMIT, "0.5": 2**29, "0": 0, "inf": math.inf}.items():
        monkeypatch.setenv("JOINTUNE_CACHE_GIB", chosen)
        assert cache_limit() == limit


@pytest.mark.parametrize("chosen", ["much", "20GB", "-1", "nan", "-inf"])
def test_a_limit_that_is_none_is_told_before_any_work(monkeypatch, tmp_path, posts_csv, refused, chosen):
    monkeypatch.setenv("JOINTUNE_CACHE_GIB", chosen)
    says = [f"JOINTUNE_CACHE_GIB='{chosen}'", "a number of GiB, 0 or more"]
    out = tmp_path / "out"
    for command in ("train", "compare", "tune"):
        refused(command, posts_csv, "--out", out, says=says)
        assert not out.exists()


def test_without_a_limit_everything_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("JOINTUNE_CACHE", str(tmp_path))
    monkeypatch.setenv("JOINTUNE_CACHE_GIB", "inf")
    for number in range(2):
        store = open_store(ImagePreprocessor((8, 8), (10, 10)))
        store.append(np.zeros((10, 10, 3), dtype=np.uint8), bytes([number]))
    assert cached_files()["prepared pictures"][0] == 2
    assert [path.stat().st_size for path in tmp_path.glob("pictures/*.u8")] == [600]
