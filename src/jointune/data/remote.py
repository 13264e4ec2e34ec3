"""Read and write behind http, https, s3 and gs addresses; nothing else in the package reads posts from a network."""

import posixpath
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from jointune.errors import JointuneError, MissingExtraError, PostsError, setting
from jointune.utils.extras import require
from jointune.utils.progress import Bar

SCHEMES = ("http", "https", "s3", "gs")
"""An allow-list: fsspec itself would also read local files, archives and chains of addresses."""

_MOST_BYTES = 64 * 2**20
"""The largest image that is fetched: several are in memory at a time."""

_ATTEMPTS, _PAUSE = 3, 0.5
"""Attempts for each address, and seconds before the second one; twice as many before the third."""

_CONNECT_SECONDS, _SILENCE_SECONDS, _IMAGE_SECONDS = 10, 20, 30
"""Time to wait for a connection, for the next bytes, and for a whole image; s3 and gs have limits of their own."""

_BLOCK = 2**20
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs"}

T = TypeVar("T")


class FetchError(JointuneError):
    """An address that could not be read or written."""


def is_address(value: str) -> bool:
    """Return whether a text is an address of any kind, and not a path."""
    return re.match(r"\s*([a-z][a-z0-9+.-]+://|data:)", value, re.IGNORECASE) is not None


def can_fetch(address: str) -> bool:
    """Return whether an address has one of ``SCHEMES``."""
    return address.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def beside(table: str, path: str) -> str:
    """Return the address of an image that the table behind an address names by a relative path.

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


def fetch(
    address: str,
    redirects: bool,
    *,
    most_bytes: int = _MOST_BYTES,
    seconds: float = _IMAGE_SECONDS,
    pause: float = _PAUSE,
) -> bytes:
    """Fetch an image into memory, in several attempts of at most so many seconds, after a growing pause.

    Raises:
        FetchError: there is nothing, or it is too large, or does not answer after several attempts.
        MissingExtraError: the package that fetches it is not installed.
    """

    def attempt() -> bytes:
        content = bytearray()
        with _opened(address, redirects, seconds) as file:
            while block := file.read(_BLOCK):
                content += block
                if len(content) > most_bytes:
                    raise FetchError(f"larger than {most_bytes:,} bytes", "save it smaller or remove the row")
        return bytes(content)

    return _retried(attempt, pause)


def download(address: str, folder: Path, bar: Bar) -> Path:
    """Copy a table into ``folder``, under its own name; the bar advances by megabytes.

    Raises:
        PostsError: it could not be fetched.
        MissingExtraError: the package that fetches it is not installed.
    """

    def attempt() -> Path:
        path = folder / (posixpath.basename(urlsplit(address).path) or "posts")
        with _opened(address, True, None) as file, open(path, "wb") as copy:
            answer = getattr(file, "r", None)
            size = int(file.size or 0) if answer is None else int(answer.headers.get("Content-Length", 0))
            bar.start(size // 2**20)
            megabytes = 0
            while block := file.read(_BLOCK):
                copy.write(block)
                bar.advance(copy.tell() // 2**20 - megabytes)
                megabytes = copy.tell() // 2**20
        return path

    with _as_posts_error(address):
        return _retried(attempt, _PAUSE)


def list_folder(address: str) -> list[tuple[str, list[object]]]:
    """Return the addresses of the files in the folder behind an s3 or gs address.

    Each comes with JSON values that change if the file does. The address of a file is listed alone, and so is an http
    address, of which no changes are known.

    Raises:
        PostsError: there is nothing.
        MissingExtraError: the package that lists it is not installed.
    """
    scheme = address.split(":")[0].lower()
    if scheme not in _PACKAGES:
        return [(address, [])]

    def attempt() -> list[dict[str, Any]]:
        system = _filesystem(scheme)
        system.invalidate_cache()
        return [entry for entry in system.ls(address, detail=True) if entry["type"] == "file"]

    with _as_posts_error(address):
        entries = _retried(attempt, _PAUSE)
    tags = ("ETag", "etag", "LastModified", "updated")
    return [
        (f"{scheme}://{one['name']}", [one["size"], *(str(one[tag]) for tag in tags if tag in one)]) for one in entries
    ]


def read_if_there(address: str) -> bytes | None:
    """Return the content behind an s3 or gs address; None if there is none.

    Raises:
        FetchError: it cannot be read.
    """

    def attempt() -> bytes | None:
        try:
            return bytes(_filesystem(address.split(":")[0].lower()).cat_file(address))
        except FileNotFoundError:
            return None

    return _retried(attempt, _PAUSE)


def upload_file(path: Path, address: str) -> None:
    """Copy a file to an s3 or gs address, where it appears whole or not at all.

    Raises:
        FetchError: it cannot be written.
    """
    _retried(lambda: _filesystem(address.split(":")[0].lower()).put_file(str(path), address), _PAUSE)


def _filesystem(scheme: str) -> Any:
    """Return the file system of fsspec for ``s3`` or ``gs``."""
    package, purpose = _PACKAGES[scheme], f"reading from {scheme}://"
    fsspec = require("fsspec", "remote", purpose)
    try:
        return fsspec.filesystem(scheme)
    except ImportError as reason:
        raise MissingExtraError(f"{purpose} needs the package {package}: pip install {package}") from reason


@contextmanager
def _as_posts_error(address: str) -> Iterator[None]:
    try:
        yield
    except FetchError as error:
        raise PostsError(f"{address}: {error.reason}", error.remedy) from error


@contextmanager
def _opened(address: str, redirects: bool, seconds: float | None) -> Iterator[Any]:
    scheme = address.split(":")[0].lower()
    if scheme in _PACKAGES:
        with _filesystem(scheme).open(address, "rb") as file:
            yield file
        return
    purpose = f"reading from {scheme}://"
    fsspec = require("fsspec", "remote", purpose)
    aiohttp = require("aiohttp", "remote", purpose)
    if urlsplit(address).port == 0:
        raise FetchError("port 0, at which nothing can be", "correct the address")
    limits = aiohttp.ClientTimeout(seconds, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS)
    # Without blocks and with any size, fsspec makes one plain request and streams the answer.
    with fsspec.filesystem(scheme).open(
        address, "rb", block_size=0, size=1, timeout=limits, allow_redirects=redirects
    ) as file:
        if 300 <= file.r.status < 400:
            raise FetchError("leads to another address", f"see {setting('remote_images')}, or correct the address")
        yield file


def _retried(attempt: Callable[[], T], pause: float) -> T:
    number = 0
    while True:
        number += 1
        try:
            return attempt()
        except Exception as reason:
            if number == _ATTEMPTS or _is_final(reason):
                raise _as_fetch_error(reason) from reason
        time.sleep(pause * 2 ** (number - 1))


def _is_final(reason: Exception) -> bool:
    """Return whether another attempt would be of no use."""
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
