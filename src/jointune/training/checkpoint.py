"""The state of a training run on disk, so that it can go on after an interrupt or a kill."""

import errno
import json
import zipfile
from pathlib import Path
from typing import Any

import torch

from jointune.errors import OutputError, first_line
from jointune.utils.files import atomic_file
from jointune.utils.run_folder import TRAINING_STATE, RunFolder


class Checkpoints:
    """A folder with the newest state of one run.

    Args:
        folder: where; made when the first state is saved.
        fingerprint: what the run depends on: settings, posts, versions. A state of another run is refused.
    """

    def __init__(self, folder: Path, fingerprint: dict[str, Any]) -> None:
        self.folder = RunFolder(folder, TRAINING_STATE, resume=True, force=None)
        self.fingerprint = json.loads(json.dumps(fingerprint))

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state, atomically.

        Raises:
            OutputError: the disk is full.
        """
        with atomic_file(self.folder.path / TRAINING_STATE) as path:
            try:
                torch.save({"fingerprint": self.fingerprint, "state": state}, path)
            except RuntimeError as reason:  # what torch makes of a write that failed
                raise OSError(errno.ENOSPC, str(reason)) from reason

    def load(self) -> dict[str, Any] | None:
        """Return the saved state, or None where there is none yet.

        Raises:
            OutputError: it is damaged, or belongs to other posts or settings.
        """
        if not self.folder.exists:
            return None
        path = self.folder.path / TRAINING_STATE
        try:
            with zipfile.ZipFile(path) as archive:  # torch itself reads past a wrong checksum
                if damaged := archive.testzip():
                    raise ValueError(f"{damaged} was changed")
            # weights_only: tensors and plain values; nothing in the file is executed
            saved = torch.load(path, map_location="cpu", weights_only=True)
            fingerprint, state = dict(saved["fingerprint"]), dict(saved["state"])
        except Exception as reason:
            remedy = "remove it and start again"
            raise OutputError(f"{path} is damaged: {first_line(reason)}", remedy) from reason
        self.folder.check_same(fingerprint, self.fingerprint)
        return state
