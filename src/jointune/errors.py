"""The errors a user can meet: each message says what happened, where, and what to do about it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _argument(name: str, *value: object) -> str:
    return f"{name}={value[0]!r}" if value else name


_render: Callable[..., str] = _argument


def setting(name: str, *value: object) -> str:
    """Return a setting as messages name it, such as ``force=True``; a command has it rendered as an option.

    Args:
        name: of the argument in Python.
        value: if the message is about one.
    """
    return _render(name, *value)


@contextmanager
def settings_rendered_by(render: Callable[..., str]) -> Iterator[None]:
    """Have ``setting`` return what ``render`` does, in all threads; put the former renderer back at the end."""
    global _render
    former, _render = _render, render
    try:
        yield
    finally:
        _render = former


class JointuneError(Exception):
    """Base of every error that jointune raises on purpose. The command line prints it and exits with 2.

    Args:
        reason: what is wrong, and where.
        remedy: what to do about it; follows the reason in the message.
        setting: the name of the argument at fault, if there is one.
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
    """A device has too little memory for one post in training, or for ``micro_batch_size`` posts at once."""


class MissingExtraError(JointuneError, ImportError):
    """An optional package is not installed; the message holds the pip command that brings it."""


class InterruptedWork(JointuneError):  # noqa: N818 - nothing went wrong
    """Ctrl-C stopped work of which a part is kept: ``resume`` goes on with it."""


class InterruptedTraining(InterruptedWork):
    """Training was stopped by Ctrl-C after its state was saved."""


def first_line(reason: BaseException) -> str:
    """Return the first line of an error's message, or the error's name if the message is empty."""
    return next((line for line in map(str.strip, str(reason).splitlines()) if line), type(reason).__name__)


def is_fatal(reason: BaseException) -> bool:
    """Tell whether an error ends the process, such as Ctrl-C. A panic of a library in Rust looks so, but does not."""
    return not isinstance(reason, Exception) and type(reason).__name__ != "PanicException"


@contextmanager
def foreign_errors(failed: str, remedy: str = "") -> Iterator[None]:
    """Turn any error that third-party code raises into an ``EncoderError``, except for a lack of memory.

    Args:
        failed: what could not be done, such as ``the text encoder 'x' cannot be loaded``.
        remedy: what to do about it.
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
        raise EncoderError(f"{failed}: {first_line(reason)}", remedy) from reason
