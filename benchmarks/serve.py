"""Overhead of the service, and its latency under load: python benchmarks/serve.py MODEL [POSTS] [options].

Prints two tables: how long one post takes on an idle service, and how many posts a second are answered to clients that
each ask again as soon as they are answered, against scoring the same posts as `jointune predict` does. The clients run
in this process and on the same cores as the service, so that what they cost counts against it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections import Counter
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from results import circumstances, parser, save, show

from jointune.data.image_file import image_bytes
from jointune.data.post import Posts
from jointune.data.read import read_posts
from jointune.demo import POSTS
from jointune.inference.load import load_predictor
from jointune.utils.memory import peak_memory


def request_of(text: str | None, picture: bytes | None) -> bytes:
    """One post as a whole HTTP request, encoded beforehand: clients should cost little."""
    edge = b"--jointune-benchmark"
    fields = [b'name="text"\r\n\r\n' + text.encode()] if text else []
    fields += [b'name="image"; filename="x"\r\n\r\n' + picture] if picture else []
    body = (
        b"".join(edge + b"\r\nContent-Disposition: form-data; " + field + b"\r\n" for field in fields)
        + edge
        + b"--\r\n"
    )
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Content-Type: multipart/form-data; boundary=" + edge[2:] + b"\r\n\r\n" + body


def ask(line: socket.socket, request: bytes) -> int:
    """Send a request and read its answer; the status."""
    line.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += line.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(next(one for one in head.lower().split(b"\r\n") if one.startswith(b"content-length")).split(b":")[1])
    while len(body) < length:
        body += line.recv(65_536)
    return int(head.split()[1])


def crowd(port: int, requests: list[bytes], clients: int, seconds: float) -> tuple[list[tuple[int, float]], float]:
    """Status and seconds of each answer, and the time that all took."""
    answers: list[tuple[int, float]] = []
    given = cycle(requests)
    until = time.perf_counter() + seconds

    def client() -> None:
        with socket.create_connection(("127.0.0.1", port)) as line:
            while (began := time.perf_counter()) < until:
                status = ask(line, next(given))
                answers.append((status, time.perf_counter() - began))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, time.perf_counter() - began


def milliseconds(times: list[float], share: float) -> float:
    """Return the time within which a share of the answers came."""
    return 1000 * sorted(times)[min(len(times) - 1, int(share * len(times)))]


def main(options: Namespace) -> None:
    """Start a service, ask it, and print the tables."""
    posts = Posts(islice(cycle(read_posts(options.posts)), options.requests), options.posts.name)
    predictor = load_predictor(options.model, engine=options.engine)

    def batch_rate() -> float:
        began = time.perf_counter()
        scored = sum(1 for _ in predictor.stream(posts))
        return scored / (time.perf_counter() - began)

    requests = [request_of(post.text, image_bytes(post.image) if post.image else None) for post in posts]
    began = time.perf_counter()
    command = [sys.executable, "-m", "jointune", "serve", str(options.model), "--port", "0"]
    command += ["--engine", options.engine] if options.engine else []
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    ready = json.loads(server.stdout.readline())
    start = time.perf_counter() - began
    threading.Thread(target=server.stdout.read, daemon=True).start()  # its log must not fill the pipe
    try:
        batch_rate()  # warms up
        rates = [batch_rate()]
        with socket.create_connection(("127.0.0.1", ready["port"])) as line:
            idle = []
            for request in requests:
                asked = time.perf_counter()
                assert ask(line, request) == 200
                idle.append(time.perf_counter() - asked)
        answers, seconds = crowd(ready["port"], requests, options.clients, options.seconds)
        rates.append(batch_rate())
        memory = (peak_memory(server.pid) or 0) / 1e6
    finally:
        os.kill(server.pid, signal.SIGTERM)
        server.wait(20)
    good = [taken for status, taken in answers if status == 200]
    statuses = Counter(status for status, _ in answers)
    save(
        options.out,
        {
            "circumstances": circumstances(),
            "model": str(options.model),
            "engine": options.engine,
            "seconds to ready": start,
            "peak MB": memory or None,
            "idle seconds": idle,
            "clients": options.clients,
            "crowd seconds": [taken for _, taken in answers],
            "crowd statuses": statuses,
            "posts a second": {"crowd": len(good) / seconds, "batch": rates},
        },
    )
    print(f"ready after {start:.2f} s" + (f", at most {memory:.0f} MB of memory\n" if memory else "\n"))
    times = {"one post, idle": idle, f"one post among {options.clients} clients": good}
    show(
        ["milliseconds", "p50", "p99", "most"],
        [[n, *(f"{milliseconds(taken, share):.1f}" for share in (0.5, 0.99, 1))] for n, taken in times.items()],
    )
    print()
    show(
        ["posts a second", "", "batch = 1"],
        [
            ["as jointune predict scores them", f"{median(rates):.1f}", "1.00"],
            [
                f"answered to {options.clients} clients",
                f"{len(good) / seconds:.1f}",
                f"{len(good) / seconds / median(rates):.2f}",
            ],
        ],
    )
    print("\nanswers by status:", ", ".join(f"{count} of {status}" for status, count in sorted(statuses.items())))


if __name__ == "__main__":
    arguments = parser(__doc__, "serve")
    arguments.add_argument("model", type=Path, help="a bundle, or what jointune export wrote")
    arguments.add_argument("posts", type=Path, nargs="?", default=POSTS, help="(default: the demo posts)")
    arguments.add_argument("--engine", help="of an exported model, as for jointune serve")
    arguments.add_argument("--requests", type=int, default=300, help="on the idle service (default: %(default)s)")
    arguments.add_argument("--clients", type=int, default=64, help="that ask at a time (default: %(default)s)")
    arguments.add_argument("--seconds", type=float, default=20, help="that they ask for (default: %(default)s)")
    main(arguments.parse_args())
