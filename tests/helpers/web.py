"""A web server on this machine, for tests of what is fetched."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Server(ThreadingHTTPServer):
    """Serves a folder; ``asked`` counts the requests of each path.

    Under ``/flaky/`` the first two answers are errors, under ``/refused/`` all; ``/moved/`` leads to the same path
    without it; ``/slow/`` takes seconds, ``/cut/`` ends in the middle.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.asked: Counter[str] = Counter()
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(SimpleHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.path
        self.server.asked[asked] += 1
        for kind in ("flaky", "refused", "moved", "slow", "cut"):
            if asked.startswith(f"/{kind}/"):
                self.path = asked.removeprefix(f"/{kind}")
                getattr(self, kind)(self.server.asked[asked])
                return
        super().do_GET()

    def flaky(self, time: int) -> None:
        if time < 3:
            self.send_error(503)
        else:
            super().do_GET()

    def refused(self, _: int) -> None:
        self.send_error(403)

    def moved(self, _: int) -> None:
        self.send_response(302)
        self.send_header("Location", self.path)
        self.end_headers()

    def slow(self, _: int) -> None:
        time.sleep(3)
        with suppress(BrokenPipeError):  # nobody waited
            super().do_GET()

    def cut(self, _: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"half")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """A server of ``folder``, as long as the block lasts."""
    with Server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
