"""The output of a run: locked against a second run; new, resumed, replaced or refused."""

import functools
import inspect
import json
import os
import secrets
import shlex
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from jointune.errors import OutputError, setting
from jointune.utils.files import atomic_file, clear_write_errors, remove_leftovers, why, write_json

P = ParamSpec("P")
R = TypeVar("R")

_PATIENCE = 0.2
"""Seconds to wait for a lock, so that a run that is just ending is not in the way."""

_RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
"""Where launchers say which of the processes of one training this is."""

_held = threading.local()


def locking(parameter: str, training: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that it holds the lock of its output as long as it runs; see ``locked``.

    Args:
        parameter: of the function, that names the output; None is no output.
        training: whether several processes may share the work: only the main one takes the lock.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind_partial(*args, **kwargs)
            bound.apply_defaults()
            path = bound.arguments.get(parameter)
            alone = not training or next((os.environ[name] for name in _RANKS if name in os.environ), "0") == "0"
            with locked(Path(path)) if path is not None and alone else nullcontext():
                return function(*args, **kwargs)

        return run

    return decorate


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of an output, and remove what a killed run left of it.

    The lock is a hidden file beside the output that names who holds it. The system releases it when the process ends,
    however it ends. Calls within calls of one thread share the lock.

    Args:
        path: a file or a folder, which need not exist.

    Raises:
        OutputError: another run holds the lock, or nothing can be written there.
    """
    target = Path(os.path.abspath(path))  # noqa: PTH100 - a link to a file is replaced, not followed
    with clear_write_errors(path, before=True):
        if target.is_dir():
            target = target.resolve()  # another name of the same folder is the same output
        missing = [folder for folder in target.parents if not folder.exists()]
        present = next((folder for folder in target.parents if folder not in missing), target)
        if not present.is_dir():
            raise OutputError(f"{path} cannot be written: {present} is a file, not a folder", "choose another path")
    held: set[Path] = vars(_held).setdefault("targets", set())
    if target in held:
        yield
        return
    try:
        with clear_write_errors(path, before=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            # A probe file is the one test that also holds for root, read-only mounts and quotas.
            with tempfile.TemporaryFile(dir=target.parent):
                pass
        with _lock(path, target.parent / f".{target.name}.lock"):
            held.add(target)
            try:
                with clear_write_errors(path, before=True):
                    remove_leftovers(target.parent, target.name)
                yield
            finally:
                held.discard(target)
    finally:
        for folder in missing:
            with suppress(OSError):  # there is something in it, as there should be
                folder.rmdir()


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """Make a temporary folder that goes with the block, and remove those of killed runs.

    Args:
        purpose: a part of its name.

    Raises:
        OutputError: there is no place for it.
    """
    base = Path(tempfile.gettempdir())
    for file in base.glob(".jointune-*.lock"):
        left = base / file.name.removeprefix(".").removesuffix(".lock")
        with suppress(OutputError), _lock(left, file, patience=0):  # a run that lives holds it
            shutil.rmtree(left, ignore_errors=True)
    folder = base / f"jointune-{purpose}-{secrets.token_hex(8)}"
    with locked(folder):
        try:
            with clear_write_errors(folder):
                folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lock(path: Path, file: Path, patience: float = _PATIENCE) -> Iterator[None]:
    from filelock import FileLock, Timeout

    # Not of one thread: whichever lets go of a table behind an address removes its copy.
    lock = FileLock(file, timeout=patience, thread_local=False, on_acquired=_sign)
    try:
        lock.acquire()
    except Timeout:
        raise OutputError(
            f"{path} is being written by another run, {_holder(file)}: wait until it has ended, or choose another path"
        ) from None
    except OSError as reason:
        raise OutputError(
            f"{path} cannot be locked against a second run: {file}: {why(reason)}", "choose another path"
        ) from reason
    try:
        yield
    finally:
        # While the lock is held: who waits for it sees that this file has lost its name, and makes another one.
        with suppress(OSError):  # Windows removes no open file
            file.unlink()
        lock.release()


def _sign(handle: int) -> None:
    """Write into a lock file who holds it."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    since = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"
    about = {"pid": os.getpid(), "host": socket.gethostname(), "command": command[:300], "since": since}
    content = json.dumps(about).encode()
    os.ftruncate(handle, os.pwrite(handle, content, 0))


def _holder(file: Path) -> str:
    try:
        with open(file, "rb") as opened:
            about = json.loads(opened.read(10_000))
        host = "" if about["host"] == socket.gethostname() else f" on {about['host']}"
        text = f"process {about['pid']}{host} (`{about['command']}`), since {about['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"which {file} does not name"
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def refuse_existing(
    path: Path, force: bool, mark: str | None = None, source: Path | None = None, resume: bool | None = None
) -> None:
    """Refuse an output that exists and is neither resumed nor replaced.

    Args:
        path: the output.
        force: whether it may replace what an earlier run wrote.
        mark: for an output that is a folder, the file by which to know one of ours: no other folder is ever replaced.
        source: what the posts are read from, which is never replaced either.
        resume: for long work, whether it goes on with a folder of ours; it may also begin in an empty one.

    Raises:
        OutputError: ``path`` exists and may not be replaced.
    """
    with clear_write_errors(path, before=True):
        if not path.exists():
            return
        if source is not None and source.resolve().is_relative_to(path.resolve()):
            raise OutputError(f"{path} is or holds the posts themselves: choose another path")
        ours, empty = path.is_file(), False
        if mark:
            empty = path.is_dir() and not any(path.iterdir())
            ours = (path / mark).exists() or empty
    if resume is not None and (empty or (resume and ours)):
        return
    if not force:
        raise OutputError(f"{path} exists already: choose another path, or replace it with {setting('force', True)}")
    if not ours:
        raise OutputError(f"{path} holds something else, which {setting('force', True)} spares: choose another path")


def claim_folder(
    folder: Path,
    mark: str,
    about: dict[str, Any],
    same: Iterable[str],
    kind: str,
    clear: Callable[[Path], None],
    resume: bool,
    force: bool,
) -> None:
    """Begin the folder of long work, or see that it belongs to the same work; the caller holds its lock.

    Args:
        folder: where the work keeps what it finished.
        mark: the file in it that says what the work is of, and by which to know a folder of this kind.
        about: what this work is of, as JSON values.
        same: the names in ``about`` that must agree for the work to go on.
        kind: of work, for messages.
        clear: removes what such work wrote.
        resume: whether to go on with what is there.
        force: whether to replace it.

    Raises:
        OutputError: the folder exists and is neither resumed nor replaced, or is of other work.
    """
    refuse_existing(folder, force, mark, resume=resume)
    remove_leftovers(folder)
    if resume and (folder / mark).exists():
        found = read_mark(folder / mark)
        wanted = json.loads(json.dumps(about))
        refuse_other(folder, kind, [name for name in same if found.get(name) != wanted[name]])
        return
    if folder.exists() and any(folder.iterdir()):
        clear(folder)
    with atomic_file(folder / mark) as path:
        write_json(path, about)


def read_mark(file: Path) -> dict[str, Any]:
    """What the mark of a folder says that its work is of.

    Raises:
        OutputError: it is damaged.
    """
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(about, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError) as reason:
        raise OutputError(f"{file} is damaged: {reason}", f"begin anew with {setting('force', True)}") from reason
    return about


def refuse_other(folder: Path, kind: str, differing: Sequence[str]) -> None:
    """Refuse to go on with work of which something differs.

    Raises:
        OutputError: ``differing`` names it.
    """
    if "format" in differing:
        raise OutputError(
            f"{folder} holds a {kind} by another version of jointune, which does not all do as this one: go on with "
            f"that version, choose another path, or replace it with {setting('force', True)}"
        )
    if differing:
        raise OutputError(
            f"{folder} holds a {kind} with other {' and '.join(differing)}: resume with the same, choose another "
            f"path, or replace it with {setting('force', True)}"
        )
