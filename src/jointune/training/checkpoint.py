"""The state of a training run on disk, so that it can go on after an interrupt or a kill."""

import errno
import json
import zipfile
from pathlib import Path
from typing import Any

import torch

from jointune.errors import BundleError, first_line
from jointune.files import atomic_file
from jointune.training.unfinished import STATE


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
        """The saved state, or None where there is none yet.

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
            raise BundleError(f"{path} is damaged: {first_line(reason)}; remove it and start again") from reason
        differing = sorted(name for name, value in self.fingerprint.items() if fingerprint.get(name) != value)
        if differing:
            raise BundleError(
                f"{self.folder} holds a run with other {', '.join(differing)}: "
                "resume with the same posts and settings, or remove it and start again"
            )
        return state
