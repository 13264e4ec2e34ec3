"""The state of a training run on disk, so that it can go on after an interrupt or a kill."""

import errno
import json
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from jointune.errors import BundleError, OutputError, first_line, setting
from jointune.utils.files import atomic_file, clear_write_errors


class Checkpoints:
    """A folder with the newest state of one run.

    Args:
        folder: where; made when the first state is saved.
        fingerprint: what the run depends on: settings, posts, versions. A state of another run is refused.
    """

    def __init__(self, folder: Path, fingerprint: dict[str, Any]) -> None:
        self.folder = folder
        self.fingerprint = json.loads(json.dumps(fingerprint))

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state, atomically.

        Raises:
            OutputError: the disk is full.
        """
        with atomic_file(self.folder / STATE) as path:
            try:
                torch.save({"fingerprint": self.fingerprint, "state": state}, path)
            except RuntimeError as reason:  # what torch makes of a write that failed
                raise OSError(errno.ENOSPC, str(reason)) from reason

    def load(self) -> dict[str, Any] | None:
        """Return the saved state, or None where there is none yet.

        Raises:
            BundleError: it is damaged, or belongs to other posts or settings.
        """
        path = self.folder / STATE
        if not path.exists():
            return None
        try:
            with zipfile.ZipFile(path) as archive:  # torch itself reads past a wrong checksum
                if damaged := archive.testzip():
                    raise ValueError(f"{damaged} was changed")
            # weights_only: tensors and plain values; nothing in the file is executed
            saved = torch.load(path, map_location="cpu", weights_only=True)
            fingerprint, state = dict(saved["fingerprint"]), dict(saved["state"])
        except Exception as reason:
            raise BundleError(f"{path} is damaged: {first_line(reason)}", "remove it and start again") from reason
        differing = sorted(name for name, value in self.fingerprint.items() if fingerprint.get(name) != value)
        if differing:
            raise BundleError(
                f"{self.folder} holds a run with other {', '.join(differing)}: "
                "resume with the same posts and settings, or remove it and start again"
            )
        return state


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
