"""A bundle is read whole and unaltered, or named as not; it holds nothing that could run."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from jointune import BundleError, JointClassifier, OutputError, read_posts
from jointune.persistence.bundle import FORMAT, load_bundle


@pytest.fixture
def copied(tiny_bundle, tmp_path):
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


NEEDED = [
    "config.json",
    "labels.json",
    "manifest.json",
    "model.safetensors",
    "preprocessor_config.json",
    "tokenizer.json",
]


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_file_is_named(copied, refused, posts_csv, tmp_path, name):
    (copied / name).unlink()
    refused("evaluate", copied, posts_csv, says=[str(copied), name, "missing"])
    refused("predict", copied, posts_csv, "--out", tmp_path / "s.csv", says=[str(copied), name, "missing"])
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.parametrize("name", [name for name in NEEDED if name != "manifest.json"])
def test_an_altered_file_is_named(copied, refused, posts_csv, name):
    content = bytearray((copied / name).read_bytes())
    place = content.index(b"1") if b"1" in content else content.index(b"i")
    content[place] ^= 1
    (copied / name).write_bytes(content)
    refused("evaluate", copied, posts_csv, says=[str(copied), name, "copy"])


@pytest.mark.parametrize("name", ["config.json", "manifest.json", "metrics.json", "training_log.jsonl"])
@pytest.mark.parametrize("content", [b"{", b"\xff\xfe"])
def test_a_file_that_is_not_what_it_says_is_named(copied, refused, posts_csv, name, content):
    (copied / name).write_bytes(content)
    refused("evaluate", copied, posts_csv, says=[str(copied / name), "not readable", "copy the whole bundle again"])


def test_a_manifest_that_is_none(copied, refused, posts_csv):
    (copied / "manifest.json").write_text("[]")
    refused("evaluate", copied, posts_csv, says=["manifest.json was altered"])


def test_a_truncated_copy_is_named(copied, refused, posts_csv):
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    refused("evaluate", copied, posts_csv, says=["model.safetensors was altered after training"])


def test_a_newer_format_says_which_and_how_to_upgrade(copied, refused, posts_csv):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"format": FORMAT + 1, "jointune_version": "9.1"}))
    refused("evaluate", copied, posts_csv, says=[f"format {FORMAT + 1}", "written by jointune 9.1", "git pull"])


def test_what_is_no_bundle(refused, posts_csv, tmp_path):
    refused("evaluate", tmp_path / "nowhere", posts_csv, says=["nowhere", "no such"])
    refused("evaluate", tmp_path, posts_csv, says=["is not a jointune bundle"])
    refused("evaluate", posts_csv, posts_csv, says=["is not a jointune bundle"])
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(BundleError, match="names no format"):
        load_bundle(tmp_path)


def test_nothing_in_it_is_a_pickle(tiny_bundle, monkeypatch):
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        # Only so is it seen that nothing is unpickled.
        monkeypatch.setattr(module, name, forbidden)
    load_bundle(tiny_bundle)
    assert {path.suffix for path in tiny_bundle.rglob("*") if path.is_file()} == {
        ".json",
        ".jsonl",
        ".md",
        ".npz",
        ".safetensors",
    }
    with np.load(tiny_bundle / "unlike.npz", allow_pickle=False) as file:
        assert not any(array.dtype.hasobject for array in file.values())
    for path in tiny_bundle.iterdir():
        if path.suffix == ".npz":
            continue
        content = path.read_bytes()
        # A pickle of protocol 2 or later begins with 0x80, one in torch's container with a zip's signature.
        assert not content.startswith((b"\x80", b"PK"))
        if path.suffix != ".safetensors":
            content.decode("utf-8")


def test_saving_again_gives_the_same_predictions(tiny_bundle, posts_csv, tmp_path):
    classifier = JointClassifier.load(tiny_bundle)
    classifier.save(tmp_path / "again")
    posts = read_posts(posts_csv)
    again = JointClassifier.load(tmp_path / "again")
    np.testing.assert_array_equal(again.predict_proba(posts), classifier.predict_proba(posts))
    with pytest.raises(OutputError, match="exists already"):
        classifier.save(tmp_path / "again")
    classifier.save(tmp_path / "again", force=True)
    (tmp_path / "holidays").mkdir()
    (tmp_path / "holidays" / "beach.jpg").touch()
    with pytest.raises(OutputError, match="force=True spares"):
        classifier.save(tmp_path / "holidays", force=True)
    assert (tmp_path / "holidays" / "beach.jpg").exists()


def test_other_users_may_read_what_ones_umask_lets_them(tiny_bundle, tmp_path):
    before = os.umask(0o027)
    try:
        JointClassifier.load(tiny_bundle).save(tmp_path / "bundle")
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "bundle").iterdir()} == {0o640}
    assert (tmp_path / "bundle").stat().st_mode & 0o777 == 0o750
