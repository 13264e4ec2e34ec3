"""The errors a user can meet: each message says what happened, where, and what to do about it."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

_as_options = False
_NO_VALUE = object()


def setting(name: str, value: object = _NO_VALUE) -> str:
    """A setting as messages name it: ``force=True`` in Python, ``--force`` on the command line.

    Args:
        name: of the argument in Python; the option has the same name, with hyphens.
        value: if the message is about one.
    """
    if _as_options:
        return option(name, value)
    return name if value is _NO_VALUE else f"{name}={value!r}"


def option(name: str, value: object = _NO_VALUE) -> str:
    """A setting as a shell takes it, such as ``--force``; see ``setting``."""
    words = [*(["no"] if value is False else []), *name.split("_")]
    flag = f"--{'-'.join(words)}"
    if value is _NO_VALUE or isinstance(value, bool):
        return flag
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    return f"{flag} {'all' if value is None else shlex.quote(str(value))}"


@contextmanager
def settings_as_options() -> Iterator[None]:
    """Have ``setting`` name options of the command line, in all threads, as long as the block lasts."""
    global _as_options
    before, _as_options = _as_options, True
    try:
        yield
    finally:
        _as_options = before


class JointuneError(Exception):
    """Base of every error that jointune raises on purpose; the command line prints it and exits with 2.

    Args:
        reason: what is wrong, and where.
        remedy: what to do about it; follows the reason in the message.
        setting: the name of the argument that is at fault, where one is.
    """

    def __init__(self, reason: str, remedy: str = "", *, setting: str | None = None) -> None:
        super().__init__(f"{reason}; {remedy}" if remedy else reason)
        self.reason, self.remedy, self.setting = reason, remedy, setting

    def __reduce__(self) -> tuple[object, ...]:  # errors cross processes
        return _remade, (type(self), self.reason, self.remedy, self.setting)


def _remade(kind: type[JointuneError], reason: str, remedy: str, setting: str | None) -> JointuneError:
    return kind(reason, remedy, setting=setting)


class JointuneWarning(UserWarning):
    """Something to know before a result is trusted; the work goes on. The command line prints it as a note."""


class PostsError(JointuneError, ValueError):
    """Posts that cannot be used: the message names file, row, reason and remedy."""


class EncoderError(JointuneError):
    """A pre-trained encoder that cannot be found, verified or loaded."""


class BundleError(JointuneError):
    """A bundle that is missing, incomplete, altered or written by a newer jointune."""


class OutputError(JointuneError):
    """An output that exists already, cannot be written, or no longer fits on the disk."""


class SettingsError(JointuneError, ValueError):
    """An argument outside what jointune accepts."""


class TooLittleMemoryError(JointuneError):
    """A device has too little memory for one post in training, or for as many at once as it was told to run."""


class MissingExtraError(JointuneError, ImportError):
    """An optional package is not installed; the message holds the pip command that brings it."""


class InterruptedWork(JointuneError):  # noqa: N818 - nothing went wrong
    """Ctrl-C stopped work of which a part is kept: ``resume`` goes on with it."""


class InterruptedTraining(InterruptedWork):
    """Training was stopped by Ctrl-C after its state was saved."""


def first_line(reason: BaseException) -> str:
    """The first line of what an error says; its name where it says nothing."""
    return next((line for line in map(str.strip, str(reason).splitlines()) if line), type(reason).__name__)


def is_fatal(reason: BaseException) -> bool:
    """Whether an error ends the process, such as Ctrl-C; a panic of a library in Rust does not, though it looks so."""
    return not isinstance(reason, Exception) and type(reason).__name__ != "PanicException"


@contextmanager
def foreign_errors(failed: str, remedy: str = "") -> Iterator[None]:
    """Turn whatever a model of others raises into an ``EncoderError`` with the first line of what it said.

    A lack of memory is passed on as it is.

    Args:
        failed: what could not be done, such as ``the text encoder 'x' cannot be loaded``.
        remedy: follows the reason.
    """
    try:
        yield
    except (JointuneError, MemoryError):
        raise
    except BaseException as reason:
        if is_fatal(reason):
            raise
        if type(reason).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(reason):  # torch's
            raise
        raise EncoderError(f"{failed}: {first_line(reason)}{remedy}") from reason
