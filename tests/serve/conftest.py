"""A service in this process, and services in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from PIL import Image
from starlette.testclient import TestClient

from helpers.made_predictor import make_predictor
from jointune.serve.app import make_app
from jointune.serve.limits import Limits


def file_of(picture: Image.Image, form: str = "PNG") -> bytes:
    file = BytesIO()
    picture.save(file, form)
    return file.getvalue()


def wait_for(condition) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture(scope="session")
def red() -> bytes:
    """A small picture's file."""
    return file_of(Image.new("RGB", (40, 30), "red"))


@pytest.fixture
def service():
    """Start a service in this process: ``service(timeout=1.0, predictor=..., token=..., fetch=...)`` gives a client."""
    started = []

    def start(predictor=None, token=None, fetch=None, **limits):
        app = make_app(predictor or make_predictor(), Limits(**limits), token=token, fetch=fetch)
        client = TestClient(app, "http://localhost:8000", raise_server_exceptions=False)
        client.__enter__()
        started.append(client)
        return client

    yield start
    for client in started:
        client.__exit__(None, None, None)


class Running:
    """A service in a process of its own."""

    def __init__(self, **told) -> None:
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).parents[1] / "helpers" / "server.py", json.dumps(told)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict] = []
        self._read_until_listening(told.get("workers", 1))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read_until_listening(self, workers: int) -> None:
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if sum(one["event"] == "ready" for one in self.lines) == workers:
                self.port = self.lines[-1]["port"]
                self.url = f"http://127.0.0.1:{self.port}"
                return
        raise AssertionError(self.lines)

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def terminate(self) -> None:
        os.kill(self.process.pid, signal.SIGTERM)

    def end(self) -> int:
        """Exit code; everything that was logged is in ``lines`` then."""
        code = self.process.wait(20)
        self._thread.join(5)
        return code


@pytest.fixture
def running():
    """Starts a service in a process of its own: ``running(delay=0.1, limits={...}, workers=2)``."""
    with running_services() as start:
        yield start


@contextmanager
def running_services():
    started = []

    def start(**told):
        started.append(Running(**told))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.terminate()
            try:
                one.process.wait(20)
            finally:
                one.process.kill()
        one.process.stdout.close()
