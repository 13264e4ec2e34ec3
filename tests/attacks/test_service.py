"""Attacks on `jointune serve`: other names, bodies and pictures made to cost, smuggled requests, SSRF, worker loops."""

import base64
import json
import socket
import struct
import time
import zlib
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from PIL import Image

from jointune.data.image_file import ImageError
from jointune.modalities.image.open import open_image
from jointune.serve.fetch import Fetcher, is_public
from jointune.serve.refusal import Refused
from serve.conftest import file_of, running, service  # noqa: F401 - fixtures

pytestmark = pytest.mark.attack

JSON = "application/json"
FORM = "multipart/form-data; boundary=e"
FIELD = b'--e\r\nContent-Disposition: form-data; name="text"\r\n\r\n'


def post(port: int, body: bytes, kind: str = JSON, **headers: str) -> tuple[int, float]:
    """Status and seconds."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = [
        "POST /predict HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        *lines,
    ]
    began = time.monotonic()
    answer = exchange(port, "\r\n".join(head).encode() + b"\r\n\r\n" + body)
    return int(answer.split(b" ", 2)[1]), time.monotonic() - began


def exchange(port: int, sent: bytes) -> bytes:
    """The first bytes of what is answered."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as line:
        with suppress(OSError):  # it was refused before all was sent
            line.sendall(sent)
        return line.recv(65_536)


def peak(one) -> int:
    """Most MiB that the service has held."""
    status = Path(f"/proc/{one.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024


@pytest.mark.slow
def test_bodies_made_to_cost_are_refused_at_once_and_cheaply(running):  # noqa: F811
    one = running()
    before = peak(one)
    several = b'{"posts":['
    bodies = {
        "unknown keys": json.dumps(
            {"text": "x"} | {f"k{n}": 0 for n in range(1_200_000)}, separators=(",", ":")
        ).encode(),
        "numbers": several + b"1," * 7_900_000 + b"1]}",
        "empty posts": several + b"{}," * 5_000_000 + b"{}]}",
        "empty strings": several + b'"",' * 5_000_000 + b'""]}',
        "equal keys": b"{" + b'"text":"x",' * 1_400_000 + b'"text":"x"}',
        "nested lists": b'{"text":' + b"[" * 15_900_000,
        "nested objects": b'{"text":' * 1_900_000,
        "a huge integer": b'{"text":' + b"9" * 15_900_000 + b"}",
        "a huge exponent": b'{"text":1e' + b"9" * 15_900_000 + b"}",
        "a huge key": b'{"' + b"k" * 15_900_000 + b'":0}',
        "a huge text": b'{"text":"' + b"x" * 15_900_000 + b'"}',
        "a huge text of escapes": b'{"text":"' + b'\\"' * 7_900_000 + b'"}',
        "a huge text of wide characters": '{"text":"\U0001f600'.encode() + b"x" * 15_900_000 + b'"}',
        "no base64": b'{"image":"' + b"%" * 15_900_000 + b'"}',
    }
    for name, body in bodies.items():
        assert len(body) < 16_000_000, name
        status, seconds = post(one.port, body)
        assert status in (400, 413, 422), name
        assert seconds < 3, name
    forms = {
        "parts": (FIELD + b"\r\n") * 280_000,
        "boundaries": b"--e\r\n" * 3_000_000,
        "line ends": FIELD + b"\r\n" * 7_900_000 + b"\r\n--e--\r\n",
        "almost boundaries": FIELD + b"\r\n--" * 3_900_000 + b"\r\n--e--\r\n",
        "before the first part": b"\r\n" * 7_900_000 + b"--e--\r\n",
        "headers": b"--e\r\n" + b"a:b\r\n" * 3_000_000 + b"\r\nx\r\n--e--\r\n",
        "a long header": FIELD[:-4] + b"; a=b" * 3_000_000 + b"\r\n\r\nx\r\n--e--\r\n",
    }
    for name, body in forms.items():
        status, seconds = post(one.port, body, FORM)
        assert status in (400, 413, 422), name
        assert seconds < 3, name
    assert post(one.port, b"a=1&" * 3_900_000, "application/x-www-form-urlencoded")[0] == 415
    assert peak(one) - before < 250
    assert post(one.port, b'{"text": "good"}')[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        b'{"text": "one", "text": "another"}',
        b'{"posts": [{"text": "one", "text": "another"}]}',
        b'{"posts": [{"text": "one"}], "posts": [{"text": "another"}]}',
        b'{"text": NaN}',
        b'{"text": Infinity}',
        b'{"text": 1e400}',
        b'{"text": "x"} {"text": "y"}',
    ],
)
def test_json_of_two_readings_is_refused(service, body):  # noqa: F811
    response = service().post("/predict", content=body, headers={"Content-Type": JSON})
    assert response.status_code in (400, 422)


@pytest.mark.parametrize("text", ['"', "\\", '\\"', "{}[]:,", ": " * 50, "\\" * 65_537, "é\U0001f600" * 50_000])
def test_what_a_text_holds_is_not_taken_for_structure(service, text):  # noqa: F811
    body = {"posts": [{"text": text + "x"}, {"text": "x" + text, "image": None}] * 2}
    assert service().post("/predict", json=body).status_code == 200
    assert service().post("/predict", content=json.dumps(body, indent=8), headers={"Content-Type": JSON}).is_success


def test_smuggled_and_crumbled_requests_are_refused(running):  # noqa: F811
    one = running()
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    chunks = b"10\r\n" + b'{"text": "good"}' + b"\r\n0\r\n\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n"
    assert exchange(one.port, chunked + b"\r\n" + chunks).startswith(b"HTTP/1.1 200")
    for sent in (
        chunked + b"Content-Length: 5\r\n\r\n" + chunks,
        head + b"Content-Length: 31\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
        head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        head + b"Content-Length: -1\r\n\r\n",
        head + b"Host: evil.example\r\nContent-Length: 0\r\n\r\n",
        chunked + b"\r\n" + b"1\r\n \r\n" * 200_000,
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"a:\r\n" * 1_000_000 + b"\r\n",
        head + b"Content-Length: 3\r\nX: " + b"x" * 100_000 + b"\r\n\r\nabc",
    ):
        began = time.monotonic()
        assert exchange(one.port, sent)[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5")
        assert time.monotonic() - began < 3
    long = "multipart/form-data; boundary=" + "x" * 8000
    assert post(one.port, b"abc", long)[0] == 415
    assert post(one.port, b"abc", "multipart/form-data; boundary=" + "x" * 71)[0] == 400


def test_other_names_and_other_sites_are_refused(running):  # noqa: F811
    one = running(hosts=["localhost", "models.example.org"])
    for name, status in {
        "localhost": 200,
        "LOCALHOST:1": 200,
        "models.example.org": 200,
        "evil.example": 421,
        "localhost.evil.example": 421,
        "evil.example:8000": 421,
        "0.0.0.0": 421,
        "localhost@evil.example": 421,
        "": 421,
    }.items():
        answer = exchange(one.port, f"GET /healthz HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        assert int(answer.split(b" ")[1]) == status, name
    assert b" 421 " in exchange(one.port, b"GET /healthz HTTP/1.0\r\n\r\n")
    for origin, status in {
        "http://localhost": 200,
        "https://models.example.org": 200,
        "http://localhost:3000": 403,
        "http://evil.example": 403,
        "null": 403,
    }.items():
        assert post(one.port, b'{"text": "good"}', Origin=origin)[0] == status, origin


def png(width: int, height: int) -> bytes:
    """Black, in a few kilobytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer, row = zlib.compressobj(9), b"\0" * (1 + 3 * width)
    rows, rest = divmod(height, 10_000)
    data = b"".join(packer.compress(row * 10_000) for _ in range(rows)) + packer.compress(row * rest) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def endless_jpeg() -> bytes:
    """With a last pass that is repeated ten thousand times, in a few bytes each."""
    content = file_of_progressive(Image.new("RGB", (1400, 1400)))
    last, end = content.rindex(b"\xff\xda"), content.rindex(b"\xff\xd9")
    return content[:end] + 10_000 * content[last:end] + content[end:]


def file_of_progressive(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "JPEG", progressive=True)
    return file.getvalue()


BOMBS = {
    "one pixel wide": lambda: png(1, 25_000_000),
    "one pixel high": lambda: png(25_000_000, 1),
    "a side too long": lambda: png(65_536, 2),
    "passes": endless_jpeg,
    "pixels": lambda: png(5001, 5000),
    "a large WebP": lambda: file_of(Image.new("1", (5001, 5000)), "WEBP"),
    "a large GIF": lambda: file_of(Image.new("P", (5001, 5000)), "GIF"),
    "a large JPEG": lambda: file_of(Image.new("L", (5001, 5000)), "JPEG"),
    "TIFF": lambda: file_of(Image.new("RGB", (10, 10)), "TIFF"),
    "ICO": lambda: file_of(Image.new("RGB", (16, 16)), "ICO"),
}


@pytest.mark.slow
def test_pictures_made_to_cost_are_refused_before_they_are_decoded(running):  # noqa: F811
    one = running()
    before = peak(one)
    for name, make in BOMBS.items():
        status, seconds = post(one.port, json.dumps({"image": base64.b64encode(make()).decode()}).encode())
        assert status in (413, 415, 422), name
        assert seconds < 3, name
    assert peak(one) - before < 60
    for usual in (file_of_progressive(Image.new("RGB", (300, 200))), png(1, 65_535)):
        assert post(one.port, json.dumps({"image": base64.b64encode(usual).decode()}).encode())[0] == 200


@pytest.mark.parametrize("name", ["one pixel wide", "passes"])
def test_such_pictures_of_a_table_are_refused_too(name):
    with pytest.raises(ImageError, match=r"a side of more than|passes"):
        open_image(BOMBS[name]())


@pytest.mark.parametrize(
    "address",
    [
        *("192.0.0.192", "192.0.0.9", "192.0.0.170", "192.88.99.1", "192.31.196.1", "192.52.193.1", "192.175.48.1"),
        *("::ffff:192.88.99.1", "::ffff:0:1.2.3.4", "2002:808:808::1", "2001:0:808:808::1", "64:ff9b::808:808"),
        *("64:ff9b:1::1", "2001:4:112::1", "2001:20::1", "2001:30::1", "2620:4f:8000::1", "3fff::1", "3ffe::1"),
        *("5f00::1", "100::1", "100:0:0:1::1", "::8.8.8.8", "4000::1", "fec0::1", "fd00:ec2::254", "ff0e::1"),
    ],
)
def test_special_addresses_are_no_public_ones_whatever_python_says(address):
    assert not is_public(address)


def test_port_0_is_no_other_port():
    fetch = Fetcher(100, connect=lambda *_, **__: pytest.fail("it connected"))
    for url in ("http://93.184.216.34:0/a.png", "https://93.184.216.34:0/", "http://93.184.216.34:00/"):
        with pytest.raises(Refused, match="port 0"):
            fetch(url)
