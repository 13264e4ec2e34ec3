"""Embeddings are kept between runs of the probe alone, and change nothing but the time."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from jointune import JointClassifier
from jointune.utils import cache_dir
from jointune.utils.cache_dir import cached_files, clear_caches


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("JOINTUNE_CACHE", str(tmp_path / "cache"))
    cache_dir._warn_once.cache_clear()
    return tmp_path / "cache" / "embeddings.sqlite"


@pytest.fixture
def fitted(parts, tiny_settings):
    """Returns the probabilities of test posts, by a probe."""

    def run(**settings):
        learn, held, test = parts
        classifier = JointClassifier(**tiny_settings | {"epochs": 0} | settings)
        return classifier.fit(learn, validation=held).predict_proba(test)

    return run


def vectors(path):
    with closing(sqlite3.connect(path)) as database:
        return dict(database.execute("SELECT key, vector FROM vectors"))


def test_a_second_run_gets_the_vectors_of_the_first(cache, fitted):
    first = fitted()
    known = vectors(cache)
    np.testing.assert_array_equal(fitted(), first)
    assert vectors(cache) == known
    with closing(sqlite3.connect(cache)) as database, database:
        database.execute("UPDATE vectors SET vector = zeroblob(length(vector))")
    assert abs(fitted() - first).max() > 0.01, "what is stored is what is used"
    assert cached_files()["embeddings"][0] == 1
    clear_caches()
    assert not cache.exists()
    np.testing.assert_allclose(fitted(), first, atol=1e-5)


@pytest.mark.parametrize("settings", [{"max_tokens": 4}, {"probe_depths": 1}, {"precision": "bf16"}, {"normalise": ()}])
def test_vectors_of_another_preparation_are_not_used(cache, fitted, settings):
    alone = fitted(**settings)
    clear_caches()
    fitted()
    np.testing.assert_allclose(fitted(**settings), alone, atol=1e-5)


def test_fine_tuning_keeps_none(cache, fitted):
    fitted(epochs=1)
    assert not cache.exists()


def test_a_damaged_cache_is_told_and_passed_over(cache, fitted, caplog):
    cache.parent.mkdir()
    cache.write_bytes(b"no database" * 100)
    damaged = fitted()
    assert "embeddings are not kept" in caplog.text
    cache.unlink()
    np.testing.assert_allclose(damaged, fitted(), atol=1e-5)
