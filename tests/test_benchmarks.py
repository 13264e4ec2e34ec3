"""Benchmarks run to their end and print their table; what they measure is no test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="there is no folder benchmarks")]


@pytest.fixture
def run(tmp_path):
    def run(name: str, *options: object) -> str:
        command = [sys.executable, BENCHMARKS / f"{name}.py", *map(str, options), "--out", tmp_path / "result.json"]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "2"})
        assert done.returncode == 0, done.stderr[-2000:]
        assert (tmp_path / "result.json").is_file()
        return done.stdout

    return run


def test_arithmetic(run):
    assert "Data and bookkeeping: " in run("arithmetic", "--count", 8, "--rounds", 1)


def test_predict(run, tiny_bundle, posts_csv):
    pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    said = run("predict", tiny_bundle, posts_csv, "--count", 4, "--rounds", 1)
    assert "| exported |" in said
    assert "| int8 |" in said
