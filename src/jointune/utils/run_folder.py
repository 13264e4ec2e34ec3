"""The output of a run: locked against a second run, and fresh, resumed, replaced or refused."""

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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from jointune.errors import OutputError, setting
from jointune.utils.files import (
    COMPARISON_MARK,
    SCORED_MARK,
    TUNING_MARK,
    atomic_file,
    clear_write_errors,
    discard_folder,
    remove_leftovers,
    why,
    write_json,
)
from jointune.utils.wording import visible

P = ParamSpec("P")
R = TypeVar("R")

_PATIENCE = 0.2
"""Seconds to wait for a lock, so that a run that is just ending is not in the way."""

_RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
"""Variables by which launchers number the processes of one training."""

PARTIAL = ".partial"
"""Ending of the name of the folder beside an output that keeps the state of an unfinished run."""

TRAINING_STATE = "state.pt"
"""The file with the newest state of a training, and its fingerprint; the mark of its folder."""

_held = threading.local()


def locking(parameter: str, training: bool = False, unless: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that it holds the lock of its output while it runs; see ``locked``.

    Args:
        parameter: the function's parameter that names the output; None is no output.
        training: whether several processes may share the work, of which the main one takes the lock.
        unless: a parameter; where an argument is given for it, another process does the work, and takes the lock.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind_partial(*args, **kwargs)
            bound.apply_defaults()
            path = bound.arguments.get(parameter)
            alone = not training or next((os.environ[name] for name in _RANKS if name in os.environ), "0") == "0"
            here = not bound.arguments.get(unless)
            with locked(Path(path)) if path is not None and alone and here else nullcontext():
                return function(*args, **kwargs)

        return run

    return decorate


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of an output, and remove what a killed run left of it.

    The lock is a hidden file beside the output that names who holds it. The system releases it when the process ends,
    however it ends. Nested calls of one thread share the lock, and so do an output and its ``.partial`` folder.

    Args:
        path: a file or a folder, which need not exist.

    Raises:
        OutputError: another run holds the lock, or nothing can be written there.
    """
    target = Path(os.path.abspath(path))  # noqa: PTH100 - a link to a file is replaced, not followed
    with clear_write_errors(path, before=True):
        if target.suffix == PARTIAL:
            target = target.with_suffix("")
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
                    remove_leftovers(target.parent, target.name + PARTIAL)
                yield
            finally:
                held.discard(target)
    finally:
        for folder in missing:
            with suppress(OSError):  # there is something in it, as there should be
                folder.rmdir()


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """Make a temporary folder, named after its purpose, for the duration of the block; remove those of killed runs.

    Raises:
        OutputError: it cannot be made.
    """
    base = Path(tempfile.gettempdir())
    for file in base.glob(".jointune-*.lock"):
        folder = base / file.name.removeprefix(".").removesuffix(".lock")
        with suppress(OutputError), _lock(folder, file, patience=0):  # a run that lives holds it
            shutil.rmtree(folder, ignore_errors=True)
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

    # Another thread may release it: whichever closes a table behind an address removes its copy.
    lock = FileLock(file, timeout=patience, thread_local=False, on_acquired=_sign)
    try:
        lock.acquire()
    except Timeout:
        remedy = "wait until it has ended, or choose another path"
        raise OutputError(f"{path} is being written by another run, {_holder(file)}", remedy) from None
    except OSError as reason:
        message = f"{path} cannot be locked against a second run: {file}: {why(reason)}"
        raise OutputError(message, "choose another path") from reason
    try:
        yield
    finally:
        # Before the release: a waiting run sees that the file has no name any more, and makes another one.
        with suppress(OSError):  # Windows removes no open file
            file.unlink()
        lock.release()


def _sign(handle: int) -> None:
    """Write into a lock file who holds it."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    since = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "command": command[:300], "since": since}
    os.ftruncate(handle, os.pwrite(handle, json.dumps(holder).encode(), 0))


def _holder(file: Path) -> str:
    try:
        with open(file, "rb") as opened:
            holder = json.loads(opened.read(10_000))
        host = "" if holder["host"] == socket.gethostname() else f" on {holder['host']}"
        text = f"process {holder['pid']}{host} (`{holder['command']}`), since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"which {file} does not name"
    return visible(text)


def refuse_existing(path: Path, force: bool, source: Path | None = None) -> None:
    """Refuse a file that exists and may not be replaced.

    Args:
        path: the file to write.
        force: whether it may be replaced.
        source: the file or folder with the posts, which is never replaced.

    Raises:
        OutputError: ``path`` may not be written to.
    """
    with clear_write_errors(path, before=True):
        if not path.exists():
            return
        _refuse_source(path, source)
        if not path.is_file():
            raise OutputError(_OCCUPIED.format(path, setting("force", True)), "choose another path")
    if not force:
        raise OutputError(f"{path} exists already", f"choose another path, or replace it with {setting('force', True)}")


_OCCUPIED = "{} exists already and holds something else, which {} spares"


def _refuse_source(path: Path, source: Path | None) -> None:
    if source is not None and source.resolve().is_relative_to(path.resolve()):
        raise OutputError(f"{path} is or holds the posts themselves", "choose another path")


def partial_folder(path: Path) -> Path:
    """Return the folder that keeps the state of a run until its output is whole."""
    return path.parent / f"{path.name}{PARTIAL}"


@dataclass(frozen=True)
class RunFolder:
    """The output folder of a run: fresh, resumed, replaced or refused. The caller holds its lock.

    Args:
        path: the folder.
        mark: the file in it that holds the run's fingerprint. A folder without this file is never replaced.
        contents: patterns of the files that a run writes; everything in the folder if empty.
        resume: whether to go on with an earlier run; None if such a run cannot be resumed.
        force: whether to replace an earlier run; None if there is no such argument.
        source: the file or folder with the posts, which is never replaced.
    """

    path: Path
    mark: str
    contents: tuple[str, ...] = ()
    resume: bool | None = None
    force: bool | None = False
    source: Path | None = None

    @property
    def exists(self) -> bool:
        """Whether the folder holds a run of this kind."""
        return (self.path / self.mark).exists()

    def refuse(self) -> None:
        """Refuse a folder that exists and is neither resumed nor replaced; call it before any work is done.

        Raises:
            OutputError: the folder may not be written to.
        """
        with clear_write_errors(self.path, before=True):
            if not self.path.exists():
                return
            _refuse_source(self.path, self.source)
            leftover = f".{self.mark}."
            empty = self.path.is_dir() and all(file.name.startswith(leftover) for file in self.path.iterdir())
            ours = self.exists or empty
        if not ours:
            raise OutputError(_OCCUPIED.format(self.path, setting("force", True)), "choose another path")
        if self.force or self.resume or (self.resume is not None and empty):
            return
        if self.resume is None:
            raise OutputError(f"{self.path} exists already", self._remedy())
        way_on = f"go on with {setting('resume', True)}, {self._remedy()}"
        raise OutputError(f"{self.path} exists already and holds {self._kind}", way_on)

    def claim(self, fingerprint: Mapping[str, Any], same: Iterable[str] | None = None) -> bool:
        """Begin the folder, or check that the run in it is the same one.

        Args:
            fingerprint: what the run depends on, as JSON values, by the names that messages give them.
            same: the names that must agree for the run to go on; all by default.

        Returns:
            Whether an earlier run goes on.

        Raises:
            OutputError: the folder may not be written to, or holds another run.
        """
        self.refuse()
        remove_leftovers(self.path)
        if self.resume and self.exists:
            self.check_same(self.fingerprint(), fingerprint, same)
            return True
        self.discard()
        self.write_fingerprint(fingerprint)
        return False

    def fingerprint(self) -> dict[str, Any]:
        """Read the fingerprint of the run.

        Raises:
            OutputError: the file is damaged.
        """
        file = self.path / self.mark
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(stored, dict):
                raise ValueError("it is no JSON object")
        except (OSError, ValueError) as reason:
            raise OutputError(f"{file} is damaged: {reason}", self._remedy()) from reason
        return stored

    def write_fingerprint(self, fingerprint: Mapping[str, Any]) -> None:
        """Write the fingerprint, and so make the folder one of this kind."""
        with atomic_file(self.path / self.mark) as file:
            write_json(file, fingerprint)

    def check_same(
        self, stored: Mapping[str, Any], fingerprint: Mapping[str, Any], names: Iterable[str] | None = None
    ) -> None:
        """Refuse to go on with a run of another fingerprint.

        Args:
            stored: of the earlier run.
            fingerprint: of this run.
            names: those that must agree; all by default.

        Raises:
            OutputError: it names what differs.
        """
        self.refuse_other(differing_names(stored, fingerprint, names))

    def refuse_other(self, differing: Sequence[str]) -> None:
        """Refuse to go on with a run from which this one differs.

        Raises:
            OutputError: ``differing`` names something.
        """
        if "format" in differing:
            raise OutputError(
                f"{self.path} holds {self._kind} by another version of jointune, which works differently",
                f"go on with that version, {self._remedy()}",
            )
        if differing:
            raise OutputError(
                f"{self.path} holds {self._kind} with other {' and '.join(differing)}",
                f"resume with the same, {self._remedy()}",
            )

    def discard(self) -> None:
        """Remove what the run wrote, and the folder if nothing else is in it.

        Raises:
            OutputError: it cannot be removed.
        """
        if not self.contents:
            discard_folder(self.path)
            return
        with clear_write_errors(self.path):
            # The mark goes last: until then, the folder is known as one of ours.
            for pattern in (*self.contents, self.mark):
                for file in list(self.path.glob(pattern)):
                    file.unlink(missing_ok=True)  # several processes may do so
        for folder in (*((self.path / pattern).parent for pattern in self.contents), self.path):
            with suppress(OSError):  # something else is in it
                folder.rmdir()

    @property
    def _kind(self) -> str:
        kinds = {COMPARISON_MARK: "a comparison", TUNING_MARK: "a tuning", SCORED_MARK: "scored parts"}
        return kinds.get(self.mark, "an unfinished run")

    def _remedy(self) -> str:
        if self.force is None:
            return f"or start again without {setting('resume', True)}"
        return f"choose another path, or replace it with {setting('force', True)}"


def differing_names(
    stored: Mapping[str, Any], fingerprint: Mapping[str, Any], names: Iterable[str] | None = None
) -> list[str]:
    """Return the names in which a stored fingerprint differs from that of this run; all are compared by default."""
    wanted = json.loads(json.dumps(fingerprint))
    return [name for name in (wanted if names is None else names) if stored.get(name) != wanted.get(name)]
