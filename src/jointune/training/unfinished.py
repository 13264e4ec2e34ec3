"""The folder of an unfinished run: what in it is ours."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from jointune.errors import OutputError, setting
from jointune.files import clear_write_errors

STATE = "state.pt"
"""The file with the newest state of the run."""


def refuse_unfinished(folder: Path, resume: bool, force: bool) -> None:
    """Refuse a folder for the state of a run that is someone else's, or that holds a run to be kept.

    Args:
        folder: where the state will be.
        resume: whether to go on with what is there.
        force: whether to discard it.

    Raises:
        OutputError: something is in the way; the message says what, and what to do about it.
    """
    if not folder.exists():
        return
    ours = any(_files(folder))
    if not ours and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputError(
            f"{folder}, where the state of the run would be kept, holds something else, which {setting('force', True)} "
            f"spares: choose another path"
        )
    if ours and not resume and not force:
        raise OutputError(
            f"{folder} holds an unfinished run: go on with {setting('resume', True)}, or discard it with "
            f"{setting('force', True)}"
        )


def discard_unfinished(folder: Path) -> None:
    """Remove the state of a run, and the folder where nothing else is in it.

    Raises:
        OutputError: it cannot be removed.
    """
    with clear_write_errors(folder):
        for path in list(_files(folder)):
            path.unlink(missing_ok=True)  # several processes may do so
    with suppress(OSError):
        folder.rmdir()


def _files(folder: Path) -> Iterator[Path]:
    yield from folder.glob(STATE)
    yield from folder.glob(f".{STATE}.*")  # what a kill leaves of one that was being written
