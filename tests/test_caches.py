"""Where things are kept between runs."""

import pytest

from jointune.caches import DEFAULT_LIMIT, cache_folder, cache_limit, cached_files


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
    monkeypatch.setenv("JOINTUNE_CACHE_GIB", "0.5")
    assert cache_limit() == 2**29
    monkeypatch.setenv("JOINTUNE_CACHE_GIB", "much")
    assert cache_limit() == DEFAULT_LIMIT
