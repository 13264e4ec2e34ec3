"""The one place that talks to a network: tables and pictures behind http, https, s3 and gs addresses."""

import posixpath
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from jointune.errors import MissingExtraError, PostsError, setting
from jointune.utils.extras import require
from jointune.utils.progress import Bar

SCHEMES = ("http", "https", "s3", "gs")
"""An allow-list: fsspec itself would also read local files, archives and chains of addresses."""

MOST_BYTES = 64 * 2**20
"""The largest picture that is fetched: several are in memory at a time."""

_ATTEMPTS, _PAUSE = 3, 0.5
"""How often an address is tried, and seconds before the second time; twice as long before the third."""

_CONNECT, _SILENCE, _PICTURE = 10, 20, 30
"""Seconds to wait for a connection, for the next bytes, and for a picture as a whole; s3 and gs have limits of their
own."""

_BLOCK = 2**20
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs"}

T = TypeVar("T")


class FetchError(Exception):
    """Something behind an address that could not be had.

    Attributes:
        reason: why not.
        remedy: what to do about it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


def is_address(value: str) -> bool:
    """Whether ``value`` is an address of any kind, fetched or not, and no path."""
    return re.match(r"\s*([a-z][a-z0-9+.-]+://|data:)", value, re.IGNORECASE) is not None


def can_fetch(address: str) -> bool:
    """Whether ``address`` is of a kind that is fetched."""
    return address.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def beside(table: str, path: str) -> str:
    """The address of a picture that the table behind an address names by a relative path.

    Raises:
        ValueError: ``path`` leads out of the table's folder.
    """
    inner = posixpath.normpath(path.replace("\\", "/"))
    if inner.startswith(("/", "..")):
        raise ValueError(f"leads out of the folder of {table}")
    parts = urlsplit(table)
    # Without the query, which signs an address for its own file alone.
    folder = f"{parts.scheme}://{parts.netloc}{posixpath.dirname(parts.path).rstrip('/')}"
    return f"{folder}/{quote(inner) if parts.scheme.startswith('http') else inner}"


def fetch(address: str, redirects: bool) -> bytes:
    """What is behind an address, in memory.

    Args:
        address: with one of ``SCHEMES``.
        redirects: whether to follow an answer that leads to another address.

    Raises:
        FetchError: it is missing, too large or does not answer, also after a few attempts.
        MissingExtraError: what talks to it is not installed.
    """

    def attempt() -> bytes:
        content = bytearray()
        with _opened(address, redirects, _PICTURE) as file:
            while block := file.read(_BLOCK):
                content += block
                if len(content) > MOST_BYTES:
                    raise FetchError(f"larger than {MOST_BYTES:,} bytes", "save it smaller or remove the row")
        return bytes(content)

    return _with_patience(attempt)


def download(address: str, folder: Path, bar: Bar) -> Path:
    """Copy a table into ``folder``, under its own name.

    Args:
        address: with one of ``SCHEMES``.
        folder: where to.
        bar: advances by megabytes.

    Raises:
        PostsError: it could not be had.
        MissingExtraError: what talks to it is not installed.
    """

    def attempt() -> Path:
        path = folder / (posixpath.basename(urlsplit(address).path) or "posts")
        with _opened(address, True, None) as file, open(path, "wb") as copy:
            bar.start(_size(file) // 2**20)
            megabytes = 0
            while block := file.read(_BLOCK):
                copy.write(block)
                bar.advance(copy.tell() // 2**20 - megabytes)
                megabytes = copy.tell() // 2**20
        return path

    try:
        return _with_patience(attempt)
    except FetchError as reason:
        raise PostsError(f"{address}: {reason}") from reason


def _size(file: Any) -> int:
    """In bytes; 0 where it is not known."""
    answer = getattr(file, "r", None)
    return int(file.size or 0) if answer is None else int(answer.headers.get("Content-Length", 0))


@contextmanager
def _opened(address: str, redirects: bool, seconds: float | None) -> Iterator[Any]:
    scheme = address.split(":")[0].lower()
    purpose = f"reading from {scheme}://"
    fsspec = require("fsspec", "remote", purpose)
    if scheme in _PACKAGES:
        try:
            system = fsspec.filesystem(scheme)
        except ImportError as reason:
            package = _PACKAGES[scheme]
            raise MissingExtraError(f"{purpose} needs the package {package}: pip install {package}") from reason
        with system.open(address, "rb") as file:
            yield file
        return
    aiohttp = require("aiohttp", "remote", purpose)
    if urlsplit(address).port == 0:
        raise FetchError("port 0, at which nothing can be", "correct the address")
    limits = aiohttp.ClientTimeout(seconds, sock_connect=_CONNECT, sock_read=_SILENCE)
    # Without blocks and with a size, whatever it is, fsspec makes one plain request that is read as it comes.
    with fsspec.filesystem(scheme).open(
        address, "rb", block_size=0, size=1, timeout=limits, allow_redirects=redirects
    ) as file:
        if 300 <= file.r.status < 400:
            raise FetchError("leads to another address", f"see {setting('remote_images')}, or correct the address")
        yield file


def _with_patience(attempt: Callable[[], T]) -> T:
    for pause in [_PAUSE * 2**number for number in range(_ATTEMPTS - 1)]:
        try:
            return attempt()
        except Exception as reason:
            if _is_final(reason):
                raise _as_fetch_error(reason) from reason
        time.sleep(pause)
    try:
        return attempt()
    except Exception as reason:
        raise _as_fetch_error(reason) from reason


def _is_final(reason: Exception) -> bool:
    """Whether trying again is of no use."""
    if isinstance(reason, FetchError | MissingExtraError | FileNotFoundError | PermissionError | ValueError):
        return True
    status = getattr(reason, "status", None)
    return isinstance(status, int) and 400 <= status < 500 and status not in (408, 425, 429)


def _as_fetch_error(reason: Exception) -> Exception:
    if isinstance(reason, FetchError | MissingExtraError):
        return reason
    if isinstance(reason, FileNotFoundError):
        return FetchError("there is nothing at this address", "correct the address or leave it empty")
    if isinstance(reason, TimeoutError):
        return FetchError("no answer in time", "try again later")
    status = getattr(reason, "status", None)
    why = f"the answer was {status}" if isinstance(status, int) else " ".join(str(reason).split())
    remedy = "correct the address or try again later"
    return FetchError(f"could not be fetched: {why or type(reason).__name__}", remedy)
