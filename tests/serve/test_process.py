"""A service in a process of its own: signals, sockets, slow clients, several workers, its log."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from jointune.serve.limits import Limits
from jointune.serve.server import Worker, WorkerPlace
from serve.conftest import running_services, wait_for


def ask(running, body=b'{"text": "good"}', path="/predict"):
    request = Request(running.url + path, body, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=20) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error)


def is_answered(running) -> bool:
    try:
        return ask(running)[0] == 200
    except OSError:  # there are still too many connections
        return False


def connect(running) -> closing:
    return closing(socket.create_connection(("127.0.0.1", running.port), timeout=20))


def takes_connections(running) -> bool:
    try:
        with connect(running):
            return True
    except ConnectionError:
        return False


def all_of(line: socket.socket) -> bytes:
    found = b""
    while part := line.recv(65_536):
        found += part
    return found


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_sigterm_finishes_what_was_taken(running):
    one = running(delay=0.5, limits={"max_batch": 1})
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, one) for _ in range(4)]
        wait_for(lambda: "jointune_waiting_posts 4" in read_metrics(one))
        one.terminate()
        began = time.monotonic()
        assert [answer.result()[0] for answer in answers] == [200] * 4
    assert one.end() == 0
    assert time.monotonic() - began < 10
    assert one.lines[-1]["event"] == "stopped"
    assert not takes_connections(one)


def test_several_workers_take_nothing_new_once_told_to_end(running):
    one = running(delay=0.5, workers=2, limits={"max_batch": 1})
    body = json.dumps({"posts": [{"text": "good"}] * 4}).encode()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, one, body)
        wait_for(lambda: "jointune_waiting_posts 4" in read_metrics(one))
        one.terminate()
        wait_for(lambda: answer.done() or not takes_connections(one))
        assert not answer.done()
        assert answer.result()[0] == 200
    assert one.end() == 0


def test_an_answer_has_its_time_after_the_service_was_told_to_end():
    for seconds in (0.5, 10.0, 45.0):
        assert Limits(timeout=seconds).grace > seconds


def test_a_client_that_does_not_finish_does_not_hold_up_the_end(running):
    one = running(limits={"body_seconds": 60, "timeout": 0.5})
    with connect(one) as line, connect(one) as idle:
        line.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        idle.sendall(HEAD)
        assert ask(one)[0] == 200  # by then, what the others sent was read
        began = time.monotonic()
        one.terminate()
        assert one.end() == 0
        assert time.monotonic() - began < 5


@pytest.fixture(scope="module")
def strict():
    """A service with little patience, for small bodies."""
    with running_services() as start:
        yield start(limits={"body_seconds": 0.6, "body_bytes": 100_000})


def test_slow_heads_and_bodies_are_ended(strict):
    one = strict
    with connect(one) as head, connect(one) as body, connect(one) as second:
        body.sendall(HEAD + b"Content-Length: 100\r\n\r\n")
        second.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in second.recv(65_536)
        head.sendall(b"POST /pre")
        began = time.monotonic()
        ended = set()
        while len(ended) < 3 and time.monotonic() - began < 5:
            for name, line in {"head": head, "body": body, "second": second}.items():
                try:
                    line.sendall(b"G")
                except OSError:
                    ended.add(name)
            time.sleep(0.1)
        assert ended == {"head", "body", "second"}
        assert time.monotonic() - began < 4
    with connect(one) as line:
        line.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        answer = all_of(line)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"reason"' in answer
    assert ask(one)[0] == 200


def test_too_large_bodies_are_refused_before_they_are_read(strict):
    one = strict
    with connect(one) as line:
        line.sendall(HEAD + b"Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n")
        answer = all_of(line)
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"100,000 bytes" in answer
    with connect(one) as line:
        line.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        answer, sent = b"", 0
        line.settimeout(0.01)
        while not answer and sent < 1000:
            line.sendall(b"2710\r\n" + b" " * 10_000 + b"\r\n")
            sent += 1
            with suppress(TimeoutError):
                answer = line.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 413")


def test_too_many_connections_are_closed(running):
    one = running(limits={"connections": 5})
    lines = [connect(one).thing for _ in range(9)]
    ended = set()

    def count_ended() -> int:
        for line in lines:
            line.settimeout(0.01)
            try:
                if line.recv(1) == b"":
                    ended.add(line)
            except TimeoutError:
                pass
            except ConnectionError:
                ended.add(line)
        return len(ended)

    wait_for(lambda: count_ended() >= 4)
    assert count_ended() == 4
    for line in lines:
        line.close()
    wait_for(lambda: is_answered(one))


def test_overload_passes(running):
    one = running(delay=0.05, limits={"max_batch": 8, "queue": 64})
    body = json.dumps({"posts": [{"text": "good"}] * 16}).encode()
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: ask(one, body)[0], range(48)))
    assert set(answers) == {200, 503}
    assert ask(one)[0] == 200


def test_the_log_tells_all_but_the_posts(running):
    one = running(token="s3cret")
    for token, query, status in (("s3cret", b"", b"200"), ("wr0ng", b"", b"401"), ("s3cret", b"?q=queried", b"422")):
        head = HEAD.replace(b"/predict", b"/predict" + query) + f"Authorization: Bearer {token}\r\n".encode()
        with connect(one) as line:
            line.sendall(head + b'Connection: close\r\nContent-Length: 30\r\n\r\n{"text": "very private words"}')
            assert all_of(line).startswith(b"HTTP/1.1 " + status)
    with connect(one) as line:
        line.sendall(b"GET /pr1vate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        all_of(line)
    with connect(one) as line:
        line.sendall(b"nons3nse\r\n\r\n")
        all_of(line)
    one.terminate()
    assert one.end() == 0
    said = json.dumps(one.lines)
    assert not [word for word in ("private", "s3cret", "wr0ng", "pr1vate", "nons3nse", "queried") if word in said]
    requests = [line for line in one.lines if line["event"] == "request"]
    assert [(line["route"], line["status"], line["posts"]) for line in requests] == [
        ("/predict", 200, 1),
        ("other", 401, 0),
        ("/predict", 422, 0),
        ("other", 401, 0),
    ]
    assert requests[0]["bytes_in"] == 30
    assert requests[0]["ms"] > 0
    assert requests[0]["id"] != requests[1]["id"]
    assert all(line["time"].endswith("+00:00") for line in one.lines)


def read_metrics(one):
    """What ``/metrics`` says."""
    with urlopen(one.url + "/metrics", timeout=20) as response:
        return response.read().decode()


def test_several_workers_count_together_and_end_together(running):
    one = running(workers=2)
    with ThreadPoolExecutor(4) as pool:
        assert {answer[0] for answer in pool.map(lambda _: ask(one), range(20))} == {200}
    counted = 'jointune_requests_total{route="/predict",status="200"} 20'
    wait_for(lambda: counted in read_metrics(one))  # a worker counts once it has answered
    began = time.monotonic()
    one.terminate()
    assert one.end() == 0
    assert time.monotonic() - began < 10
    assert sum(line["event"] == "stopped" for line in one.lines) == 2


@pytest.mark.parametrize(
    ("broken", "workers", "says"),
    [
        ("bundle", 2, ["error: the bundle is broken", "a worker could not start; its message is above"]),
        ("process", 2, ["a worker could not start; its exit code is 7"]),
        ("graph", 2, ["does not answer: ValueError: the graph is broken", "a worker could not start"]),
        ("graph", 1, ["does not answer: ValueError: the graph is broken"]),
    ],
)
def test_what_cannot_serve_ends_with_the_reason(broken, workers, says):
    told = json.dumps({"broken": broken, "workers": workers})
    done = subprocess.run(
        [sys.executable, Path(__file__).parents[1] / "helpers" / "server.py", told],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert not [part for part in says if part not in done.stderr], done.stderr


def test_a_worker_that_dies_is_replaced(running):
    one = running(workers=2)
    workers = workers_of(one)
    os.kill(workers[0], signal.SIGKILL)
    wait_for(lambda: sum(line["event"] == "ready" for line in one.lines) == 3)
    assert ask(one)[0] == 200


def test_workers_end_when_the_first_process_was_killed(running):
    one = running(workers=2)
    workers = workers_of(one)
    one.process.kill()
    one.process.wait(20)
    try:
        wait_for(lambda: not takes_connections(one))
    finally:
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


class Ended:
    """The process of a worker that was ready and has ended."""

    exitcode = -9

    def is_alive(self):
        return False


def place_of_ended_workers(on_start) -> WorkerPlace:
    ready = threading.Event()
    ready.set()
    return WorkerPlace(0, lambda number: on_start() or Worker(Ended(), ready), 0.0)


def test_workers_that_keep_ending_are_started_less_and_less_often():
    started, now = [], 0.0
    place = place_of_ended_workers(lambda: started.append(now))
    while now < 200:
        now += 0.25
        place.tend(now)
    pauses = [later - earlier for earlier, later in pairwise(started)]
    assert pauses[:7] == pytest.approx([0, 1, 2, 4, 8, 16, 16], abs=0.5)
    assert len(started) < 20


def test_a_worker_that_ran_for_long_is_replaced_at_once():
    started = []
    place = place_of_ended_workers(lambda: started.append(0))
    for hour in range(1, 6):
        place.tend(3600.0 * hour)
        place.tend(3600.0 * hour + 0.2)
    assert len(started) == 6


def workers_of(one) -> list[int]:
    children = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children")
    if not children.exists():
        pytest.skip("the system does not list a process's children")
    workers = [pid for pid in map(int, children.read_text().split()) if b"spawn_main" in command_of(pid)]
    assert len(workers) == 2
    return workers


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
