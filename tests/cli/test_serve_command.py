"""jointune serve: what it says before it serves, and that it serves what it was given."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from jointune.errors import SettingsError
from jointune.serve.listen import bind

HEAVY = ("torch", "transformers", "pandas", "pyarrow", "sklearn", "scipy", "gradio")


def test_what_makes_no_sense_is_refused(refused, tmp_path, monkeypatch):
    refused("serve", tmp_path, "--workers", "0", says=["--workers", "equal to 1"])
    refused("serve", tmp_path, "--queue", "3", says=["--queue 3", "64 or more"])
    refused("serve", tmp_path, "--timeout", "0", says=["--timeout 0", "above 0"])
    refused("serve", tmp_path, "--timeout", "inf", says=["--timeout inf", "finite"])
    refused("serve", tmp_path, "--max-body", "nan", says=["--max-body nan", "above 0"])
    for name in ("timeout", "max-wait", "max-body", "max-picture", "max-pixels"):
        for value in ("nan", "inf", "-inf", "-1"):
            refused("serve", tmp_path, f"--{name}={value}", says=[f"--{name}", "finite"])
    for name in ("timeout", "max-wait"):
        refused("serve", tmp_path, f"--{name}=1e300", says=[f"--{name}", "at most"])
    for name in ("max-batch", "queue"):
        refused("serve", tmp_path, f"--{name}=-1", says=[f"--{name}"])
    for command in ("serve", "ui"):
        for port in ("99999", "65536", "-1", "nan", "1e3"):
            refused(command, tmp_path, f"--port={port}", says=["--port"])
    for port in (99999, -1):
        with pytest.raises(SettingsError, match="65535"):
            bind("127.0.0.1", port)
    refused("serve", tmp_path, "--host", "0.0.0.0", "--port", "0", says=["--host 0.0.0.0", "--allowed-host"])
    for name in ("http://a.example", "a.example:80", "*", "a/b", "", "a b"):
        refused("serve", tmp_path, "--port", "0", f"--allowed-host={name}", says=["--allowed-host", "without http://"])
    refused("serve", tmp_path, "--host", "192.0.2.1", says=["192.0.2.1", "another --host or --port"])
    refused("serve", tmp_path, "--token-file", tmp_path / "none", says=["--token-file", "not readable"])
    for content in ("", "two words", "two\nlines", "w\u00f6rd"):
        (tmp_path / "token").write_text(content, encoding="utf-8")
        refused("serve", tmp_path, "--token-file", tmp_path / "token", says=["one line of ASCII"])
    monkeypatch.setenv("JOINTUNE_TOKEN", " ")
    refused("serve", tmp_path, says=["JOINTUNE_TOKEN", "one line of ASCII"])


@pytest.mark.parametrize(
    ("host", "token", "allow_urls", "says"),
    [
        ("127.0.0.1", None, False, []),
        ("localhost", "s3cret", True, []),
        ("0.0.0.0", "s3cret", True, []),
        ("0.0.0.0", None, False, ["no token", "reaches 0.0.0.0"]),
        ("127.0.0.1", None, True, ["no token", "any public server"]),
        ("0.0.0.0", None, True, ["no token", "reaches 0.0.0.0", "any public server"]),
    ],
)
def test_it_warns_where_it_is_open_to_others(host, token, allow_urls, says, broken_bundle, monkeypatch, refused):
    if token:
        monkeypatch.setenv("JOINTUNE_TOKEN", token)
    options = ["--host", host, "--port", "0", "--allowed-host", "models.example.org"]
    said = refused("serve", broken_bundle, *options, *(["--allow-urls"] if allow_urls else []), says=says)
    assert said.count("warning: ") == bool(says)


@pytest.fixture(scope="module")
def broken_bundle(tiny_bundle, tmp_path_factory):
    """A bundle that fails when it is loaded, which is the last thing that the command does."""
    folder = tmp_path_factory.mktemp("broken") / "bundle"
    shutil.copytree(tiny_bundle, folder)
    next(folder.glob("*.safetensors")).write_bytes(b"")
    return folder


def test_a_port_in_use_is_refused(refused, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused("serve", tmp_path, "--port", taken.getsockname()[1], says=["cannot listen", "another --host or --port"])


def test_a_missing_extra_names_its_command(refused, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    refused("serve", tmp_path, says=["pip install -c constraints.txt '.[serve]'"])


def test_a_folder_that_is_no_bundle_ends_it(refused, tmp_path):
    (tmp_path / "posts.txt").write_text("no bundle")
    refused("serve", tmp_path, "--port", "0", says=["error: ", str(tmp_path)])


def test_it_serves_a_bundle(tiny_bundle, tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "jointune", "serve", tiny_bundle, "--port", "0", "--token-file", tmp_path / "token"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["event"] == "ready"
        request = Request(f"http://127.0.0.1:{ready['port']}/predict", b'{"text": "good happy"}')
        request.add_header("Content-Type", "application/json")
        with pytest.raises(HTTPError, match="401"):
            urlopen(request, timeout=20)
        request.add_header("Authorization", "Bearer s3cret")
        with urlopen(request, timeout=20) as response:
            assert set(json.load(response)["probabilities"]) == {"negative", "positive"}
    finally:
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(12) == 0
        process.stdout.close()


def test_what_serves_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, jointune.cli.app, jointune.serve.server; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {name.split(".")[0] for name in done.stdout.split()} & set(HEAVY)
