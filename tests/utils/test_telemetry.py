"""No command opens a connection that nobody asked for: not to the makers of the packages it uses either."""

import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

GCC = shutil.which("gcc")
LONG = 15
"""Seconds; onnxruntime reported 10 seconds after its import."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(GCC is None or sys.platform != "linux", reason="needs gcc, to see what native code connects to"),
]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Run Python watched: ``watched("-m", "jointune", ..., seconds=None)`` gives the hosts outside of this machine."""
    folder = tmp_path_factory.mktemp("watched")
    library = folder / "connections.so"
    source = Path(__file__).with_name("connections.c")
    subprocess.run([GCC, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)

    def run(*command, seconds=None):
        """Whatever still runs after ``seconds`` is told to end."""
        log = folder / "log"
        log.write_text("")
        plain = {name: value for name, value in os.environ.items() if not re.search("TELEMETRY|ANALYTICS|TRACK", name)}
        home = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "XDG_CONFIG_HOME": str(folder / "config")}
        environment = plain | home | {"LD_PRELOAD": str(library), "CONNECTIONS": str(log)}
        process = subprocess.Popen([sys.executable, *map(str, command)], env=environment)
        try:
            assert process.wait(seconds) == 0
            assert seconds is None
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        hosts = {line.split()[-1] for line in log.read_text().splitlines()}
        reports = [path for path in folder.rglob("*") if re.search("deviceid|telemetry|ga_cid", path.name)]
        assert reports == []
        return {host for host in hosts if not re.fullmatch(r"127\..*|::1?|0\.0\.0\.0|localhost", host)}

    return run


def test_a_connection_is_seen(watched):
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    assert watched("-c", code) == {"192.0.2.1"}


def test_training(watched, tiny_settings, posts_csv, tmp_path):
    encoders = [f"--{side}-encoder={tiny_settings[f'{side}_encoder']}" for side in ("text", "image")]
    split = ["--split-column", "split", "--epochs", "1", "--epoch-steps", "1"]
    assert watched("-m", "jointune", "train", posts_csv, *split, *encoders, "--out", tmp_path / "model") == set()


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_prediction_with_an_exported_model(watched, exported_model, posts_csv, tmp_path, engine):
    pytest.importorskip(engine, reason=f"{engine} is not installed")
    command = [
        "-m",
        "jointune",
        "predict",
        exported_model,
        posts_csv,
        "--out",
        tmp_path / "scored.csv",
        "--engine",
        engine,
    ]
    assert watched(*command) == set()


def test_a_service_that_runs_for_long(watched, exported_model):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    assert watched("-m", "jointune", "serve", exported_model, "--port", "0", seconds=LONG) == set()


def test_a_page_that_is_open_for_long(watched, exported_model):
    pytest.importorskip("gradio", reason="the extra ui is not installed")
    assert watched("-m", "jointune", "ui", exported_model, "--port", "0", seconds=LONG) == set()


@pytest.mark.parametrize("package", ["openvino", "wandb", "mlflow", "trackio"])
def test_packages_that_report_when_they_are_imported(watched, package):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    assert watched("-c", f"from jointune.utils.extras import require; require({package!r}, 'x', 'x')") == set()
