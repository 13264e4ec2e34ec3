"""Benchmarks run to their end and print their table; what they measure is no test."""

import runpy
from pathlib import Path
from unittest.mock import patch

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="there is no folder benchmarks")]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a benchmark in this process, which need not load torch anew."""
    monkeypatch.syspath_prepend(BENCHMARKS)

    def run(name: str, *words: object) -> str:
        with patch("sys.argv", [name, *map(str, words), "--out", str(tmp_path / "result.json")]):
            runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")
        assert (tmp_path / "result.json").is_file()
        return capsys.readouterr().out

    return run


def test_arithmetic(run):
    assert "Data and bookkeeping: " in run("arithmetic", "--count", 4, "--rounds", 1, "--side", 64)


def test_many_parts(run):
    assert "| 5 |" in run("many_parts", "--sizes", 5)


def test_predict(run, tiny_bundle, posts_csv):
    pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    said = run("predict", tiny_bundle, posts_csv, "--count", 4, "--rounds", 1)
    assert "| exported |" in said
    assert "| int8 |" in said


def test_cluster(run, tiny_bundle, posts_csv):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    assert "| 8 |" in run("cluster", tiny_bundle, posts_csv, "--count", 0, "--sizes", 8, "--kills", 0)
