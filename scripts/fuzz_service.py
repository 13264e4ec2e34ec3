"""Ask a service thousands of things that nobody should: python scripts/fuzz_service.py MODEL [--requests N] [--seed N].

Starts `jointune serve MODEL` and sends it damaged pictures, JSON and forms of every wrong shape, bodies that end too
early, and good posts among them. Ends with exit code 1 where an answer is a server error other than 503, where a good
post is no longer answered, or where memory goes on growing.
"""

import argparse
import base64
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from PIL import Image

from jointune.demo import POSTS

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
WORDS = ("text", "image", "posts", "", "a" * 5000, "\u0000", "☃", "-1", "url", "http://localhost/")
Request = tuple[str, bytes, dict[str, str], float]
"""Method and path, body, headers, and the share of the body that is sent before the client hangs up."""


def pictures() -> list[bytes]:
    """Return the demo's pictures, and small ones of each format and kind of pixel."""
    found = [path.read_bytes() for path in sorted((POSTS.parent / "pictures").iterdir())[:20]]
    for mode in ("RGB", "L", "P", "RGBA", "I;16", "1"):
        for name in FORMATS:
            file = io.BytesIO()
            try:
                Image.new(mode, (40, 30)).save(file, name)
            except (OSError, ValueError, KeyError):
                continue  # not every format has every kind
            found.append(file.getvalue())
    return found


def damaged(chance: random.Random, content: bytes) -> bytes:
    """Change some bytes, cut some off, repeat some, or do nothing."""
    changed = bytearray(content)
    for _ in range(chance.choice((0, 1, 3, 30))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    start = chance.randrange(len(changed))
    match chance.randrange(4):
        case 0:
            del changed[start:]
        case 1:
            changed[start:start] = changed[: chance.randrange(1, 200)]
        case 2 if len(changed) > 64:  # where formats say how large a picture is
            changed[chance.randrange(64)] = chance.choice((0, 127, 255))
    return bytes(changed)


def value(chance: random.Random, depth: int = 0) -> object:
    """Any JSON value."""
    match chance.randrange(8 if depth < 3 else 6):
        case 0:
            return chance.choice((None, True, False))
        case 1:
            return chance.choice((0, -1, 1.5, 10**30))
        case 2 | 3 | 4:
            return chance.choice(WORDS)
        case 5:
            return base64.b64encode(chance.randbytes(chance.randrange(200))).decode()[: chance.randrange(1, 300)]
        case 6:
            return [value(chance, depth + 1) for _ in range(chance.choice((0, 1, 3, 70)))]
        case _:
            return {str(chance.choice(WORDS)): value(chance, depth + 1) for _ in range(chance.randrange(4))}


def form(chance: random.Random, parts: dict[str, bytes], edge: bytes = b"edge") -> tuple[bytes, dict[str, str]]:
    """Make a multipart body, whose boundaries are sometimes wrong."""
    body = b""
    for name, content in parts.items():
        file = b'; filename="x"' if name == "image" else b""
        disposition = b'Content-Disposition: form-data; name="' + name.encode() + b'"' + file
        body += b"--" + edge + b"\r\n" + disposition + b"\r\n\r\n" + content + b"\r\n"
    body += b"--" + (edge if chance.random() < 0.9 else b"other") + b"--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=edge"}


def any_request(chance: random.Random, shown: list[bytes]) -> Request:
    """One of everything that a client may come up with."""
    picture = damaged(chance, chance.choice(shown))
    share = 1.0 if chance.random() < 0.98 else chance.random()
    match chance.randrange(6):
        case 0 | 1:
            body, headers = form(chance, {"text": b"so happy", "image": picture})
        case 2:
            body, headers = form(chance, {str(chance.choice(WORDS)): chance.randbytes(chance.randrange(300))})
        case 3:
            post = {"text": chance.choice(WORDS), "image": base64.b64encode(picture).decode()}
            given = chance.choice((post, {"posts": [post] * chance.choice((0, 1, 2, 65))}))
            body, headers = json.dumps(given).encode(), {"Content-Type": "application/json"}
        case 4:
            body, headers = json.dumps(value(chance)).encode(), {"Content-Type": "application/json"}
        case _:
            kind = chance.choice(
                ("application/json", "text/plain", "multipart/form-data", "application/x-protobuf", "?")
            )
            body, headers = chance.randbytes(chance.randrange(2000)), {"Content-Type": kind}
    paths = ("POST /predict",) * 12 + (
        "GET /predict",
        "PUT /model",
        "GET /metrics",
        "GET /model",
        "POST /nowhere",
        "HEAD /",
    )
    return chance.choice(paths), body, headers, share


def ask(port: int, request: Request) -> int | None:
    """Return the status, or None if the client hung up first."""
    target, body, headers, share = request
    lines = [f"{target} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, *(f"{name}: {said}" for name, said in headers.items())]) + "\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        try:
            line.sendall(head.encode() + body[: int(share * len(body))])
            if share < 1:
                return None
        except OSError:
            pass  # answered and closed before all was sent
        answer = b""
        while b"\r\n" not in answer:
            part = line.recv(65_536)
            if not part:
                return 0
            answer += part
    return int(answer.split(b" ", 2)[1])


def memory(process: int) -> float:
    """Return the memory of a process, in MB."""
    status = Path("/proc", str(process), "status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1000


def main(options: argparse.Namespace) -> int:
    """Ask, count and judge."""
    shown = pictures()
    command = [sys.executable, "-m", "jointune", "serve", str(options.model), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None, "it is a pipe"
    port = int(json.loads(server.stdout.readline())["port"])
    threading.Thread(target=server.stdout.read, daemon=True).start()  # its log must not fill the pipe
    good: Request = ("POST /predict", *form(random.Random(1), {"text": b"so happy", "image": shown[0]}), 1.0)
    statuses: Counter[int | None] = Counter()
    held: list[float] = []
    lock = threading.Lock()

    def client(number: int) -> None:
        chance = random.Random(options.seed * 1000 + number)
        for _ in range(options.requests // options.clients):
            status = ask(port, any_request(chance, shown))
            with lock:
                statuses[status] += 1
                if sum(statuses.values()) % (options.requests // 20) == 0:
                    held.append(memory(server.pid))
                    print(f"{sum(statuses.values())} of {options.requests}, {held[-1]:.0f} MB", file=sys.stderr)

    try:
        assert ask(port, good) == 200
        threads = [threading.Thread(target=client, args=(number,)) for number in range(options.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        still = ask(port, good)
    finally:
        os.kill(server.pid, signal.SIGTERM)
        server.wait(30)
    # The first half fills caches and pools.
    growth = held[-1] - held[len(held) // 2]
    bad = [status for status in statuses if status == 0 or ((status or 0) >= 500 and status != 503)]
    print("answers by status:", dict(sorted(statuses.items(), key=str)))
    print(f"memory: {held[len(held) // 2]:.0f} MB at half, {held[-1]:.0f} MB at the end; a good post then: {still}")
    return int(bool(bad) or still != 200 or growth > options.most_growth)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--most-growth", type=float, default=20.0, help="MB over the second half (default: %(default)s)"
    )
    sys.exit(main(parser.parse_args()))
