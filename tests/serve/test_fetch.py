"""--allow-urls: only public addresses, checked at every step."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jointune.serve.fetch import Fetcher as WebFetcher
from jointune.serve.fetch import is_public
from jointune.serve.refusal import Refused


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.3",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "168.63.129.16",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2001:0:1::1",
        "2001:db8::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "ff0e::1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "",
    ],
)
def test_these_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"])
def test_these_are_public(address):
    assert is_public(address)


@contextmanager
def site(pages, secure=None):
    """A server on loopback; a page is its content, or a function of the handler. ``secure`` has it speak TLS."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            page = pages.get(self.path, b"")
            if callable(page):
                page(self)
                return
            self.send_response(200 if self.path in pages else 404)
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # closing it waits for them
    if secure:
        server.socket = secure.wrap_socket(server.socket, server_side=True)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    serving.start()
    try:
        yield f"https://localhost:{server.server_port}" if secure else f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def redirect(target):
    def page(handler):
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.end_headers()

    return page


# The servers here listen wherever a port is free.
Fetcher = partial(WebFetcher, ports=range(65_536))


def loopback_alone(address):
    return address == "127.0.0.1"


def refusal(fetcher, url) -> Refused:
    with pytest.raises(Refused) as caught:
        fetcher(url)
    return caught.value


def test_a_picture_is_fetched_and_scored(service, red):
    with site({"/red.png": red, "/moved": redirect("/red.png"), "/page": b"<html>"}) as url:
        client = service(fetch=Fetcher(10_000, allowed=loopback_alone))
        for path in ("/red.png", "/moved"):
            answer = client.post("/predict", json={"text": "good", "image_url": url + path})
            assert answer.status_code == 200, answer.text
            assert answer.json()["missing"] == []
        assert client.post("/predict", files={"image_url": (None, url + "/red.png")}).json()["missing"] == ["text"]
        for path, status in (("/page", 415), ("/nothing", 422)):
            response = client.post("/predict", json={"posts": [{"text": "x"}, {"image_url": url + path}]})
            assert response.status_code == status
            assert response.json()["error"]["reason"].startswith("posts[1].image_url: ")
        both = client.post("/predict", json={"image": "aGk=", "image_url": url})
        assert both.status_code == 422


def test_private_addresses_are_refused_before_anything_is_sent():
    asked = []
    with site({"/": lambda handler: asked.append(handler.path)}) as url:
        port = url.rsplit(":", 1)[1]
        for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f000001"):
            assert "not public" in refusal(Fetcher(100), f"http://{host}:{port}/").reason
    assert not asked


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/x",
        "gopher://127.0.0.1/",
        "data:image/png;base64,AA",
        "//example.org/x",
        "example.org",
        "http://",
        "http:///x",
        "http://user:word@example.org/",
        "http://user@example.org/",
        "http://example.org/\r\nHost: y",
        "http://example.org/a b",
        "http://ex\u00e4mple.org/",
        "http://[::1/",
        "http://example.org:99999/",
        "http://example.org:0x50/",
    ],
)
def test_other_addresses_are_refused(url):
    fetcher = Fetcher(100, resolve=lambda host, port: pytest.fail("it was looked up"))
    assert refusal(fetcher, url).status == 422


def test_redirects_are_checked_again():
    with site({}) as other:
        targets = {
            "/metadata": redirect("http://169.254.169.254/latest/meta-data"),
            "/name": redirect(other.replace("127.0.0.1", "127.0.0.2")),
            "/file": redirect("file:///etc/passwd"),
            "/loop": redirect("/loop"),
            "/nowhere": redirect(""),
        }
        with site(targets) as url:
            fetcher = Fetcher(100, allowed=loopback_alone)
            assert "not public" in refusal(fetcher, url + "/metadata").reason
            assert "not public" in refusal(fetcher, url + "/name").reason
            assert "neither http nor https" in refusal(fetcher, url + "/file").reason
            assert "more than 3 redirects" in refusal(fetcher, url + "/loop").reason
            assert "redirects" in refusal(fetcher, url + "/nowhere").reason


def test_other_ports_than_the_web_s_are_refused():
    asked = []
    fetcher = WebFetcher(100, resolve=lambda host, port: asked.append(port) or [])
    for port in (22, 8080, 6379):
        assert f"port {port}" in refusal(fetcher, f"http://example.org:{port}/").reason
    for url in ("http://example.org/", "https://example.org/", "https://example.org:80/"):
        assert "not known" in refusal(fetcher, url).reason
    assert asked == [80, 443, 80]


def test_one_private_address_among_public_ones_is_enough():
    fetcher = Fetcher(
        100,
        resolve=lambda host, port: ["93.184.216.34", "10.0.0.1"],
        connect=lambda *_, **__: pytest.fail("it connected"),
    )
    assert "not public" in refusal(fetcher, "http://example.org/").reason


def test_the_connection_goes_to_the_address_that_was_checked():
    answers, connected = [["127.0.0.1"], ["10.0.0.1"]], []

    def connect(address, timeout):
        connected.append(address[0])
        return socket.create_connection(address, timeout)

    fetcher = Fetcher(100, allowed=loopback_alone, resolve=lambda host, port: answers.pop(0), connect=connect)
    with site({"/x": b"found"}) as url:
        port = url.rsplit(":", 1)[1]
        assert fetcher(f"http://rebinding.example:{port}/x") == b"found"
    assert connected == ["127.0.0.1"]
    assert len(answers) == 1, "the name is looked up once"


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """What a server on localhost shows, and who trusts it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes a certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    made = "req -x509 -newkey rsa:2048 -nodes -keyout key -out shown -days 2 -subj /CN=localhost".split()  # noqa: SIM905
    made += ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([openssl, *made], cwd=folder, check=True, capture_output=True)
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(folder / "shown", folder / "key")
    return shown, ssl.create_default_context(cafile=folder / "shown")


def drip(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(50):
        handler.wfile.write(b".")
        time.sleep(0.05)


def drip_head(handler):
    for _ in range(50):
        handler.wfile.write(b"H")
        time.sleep(0.05)


def assert_ends_in_time(fetcher, url) -> None:
    began = time.monotonic()
    assert "could not be fetched" in refusal(fetcher, url).reason
    assert time.monotonic() - began < 1.5


def test_size_and_time_are_limited():
    with site({"/large": b"x" * 101, "/drip": drip, "/head": drip_head}) as url:
        fetcher = Fetcher(100, seconds=0.4, allowed=loopback_alone)
        assert refusal(fetcher, url + "/large").status == 413
        for path in ("/drip", "/head"):
            assert_ends_in_time(fetcher, url + path)


def test_size_and_time_are_limited_over_https(tls):
    shown, trusting = tls
    loopback = partial(Fetcher, 100, allowed=loopback_alone, resolve=lambda host, port: ["127.0.0.1"])
    with site({"/x": b"found", "/large": b"x" * 101, "/drip": drip, "/head": drip_head}, shown) as url:
        fetcher = loopback(seconds=0.4, tls=trusting)
        assert fetcher(url + "/x") == b"found"
        assert refusal(fetcher, url + "/large").status == 413
        for path in ("/drip", "/head"):
            assert_ends_in_time(fetcher, url + path)
        assert "SSL" in refusal(loopback(), url + "/x").reason


def test_a_server_is_left_at_once_whatever_still_holds_the_refusal():
    left = threading.Event()

    def page(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"x" * 101)
        handler.connection.settimeout(5)
        with suppress(ConnectionResetError):
            assert handler.connection.recv(1) == b""
        left.set()

    with site({"/": page}) as url:
        held = refusal(Fetcher(100, allowed=loopback_alone), url + "/")
        assert left.wait(5), "the other side sees no end"
    assert held.__traceback__ is not None, "it holds what the fetcher worked with"


def test_a_server_that_never_shakes_hands_is_left_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fetcher = Fetcher(100, seconds=0.4, allowed=loopback_alone)
        assert_ends_in_time(fetcher, f"https://127.0.0.1:{silent.getsockname()[1]}/")
