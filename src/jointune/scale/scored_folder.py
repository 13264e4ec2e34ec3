"""The folder of scored parts, on a disk that all workers see or behind an s3 or gs address.

``NAME`` holds the scored rows of a part, ``_manifest/NAME.json`` its entry in the manifest, which is written last, and
``_problems/NAME.csv`` the rows that could not be used as they are. Programs that read a folder of tables pass over
names that begin with an underscore. Each entry is a file of its own: workers on many machines write without waiting for
each other, and object stores cannot append to a file.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jointune.data.remote import can_fetch, is_address, read_if_there, upload_file
from jointune.errors import JointuneError, OutputError, SettingsError, setting
from jointune.scale.input_parts import InputPart
from jointune.utils.files import SCORED_MARK, atomic_file, clear_write_errors, discard_folder, sha256, write_json
from jointune.utils.run_folder import RunFolder, differing_names, scratch_folder

_STAGED = "_writing"
"""The folder of files that are being written."""

_CONTENTS = (f"{_STAGED}/*", "_manifest/*.json", "_problems/*.csv", "*.csv", "*.tsv", "*.jsonl", "*.parquet")


@dataclass(frozen=True)
class FinishedPart:
    """A part that is scored; its entry in the manifest.

    Attributes:
        name: of its output.
        source: what it was made from, see ``InputPart.source``.
        read: number of posts.
        rows: number of rows written.
        problems: number of posts that were left out, or used without a picture.
        digests: the SHA-256 of its files.
    """

    name: str
    source: list[Any]
    read: int
    rows: int
    problems: int
    digests: dict[str, str]


class ScoredFolder:
    """The output of a run by parts; can be pickled.

    Args:
        path: a folder, or an s3 or gs address.
    """

    def __init__(self, path: str) -> None:
        self.address = path.rstrip("/") if is_address(path) else None
        self.path = Path(path).expanduser()
        if self.address and (not can_fetch(path) or path.lower().startswith("http")):
            raise SettingsError(f"{path}: not an address to write to", "give a folder, or an s3 or gs address")

    def __str__(self) -> str:
        return self.address or str(self.path)

    def claim(self, run: Mapping[str, Any], resume: bool, force: bool, source: Path | None, alone: bool) -> None:
        """Begin the folder, or check that it holds parts of the same run.

        Args:
            run: what the rows depend on, as JSON values, by the names that messages give them.
            resume: whether to go on with the parts that are there.
            force: whether to remove them.
            source: the posts, which are never removed.
            alone: whether no other process writes there now, so that what killed ones left half-written is removed.

        Raises:
            OutputError: the folder may not be written to, or holds another run.
        """
        if self.address:
            self._claim_address(run, resume, force)
            return
        folder = RunFolder(self.path, SCORED_MARK, _CONTENTS, resume, force, source)
        folder.refuse()
        if folder.exists and resume:
            folder.check_same(folder.fingerprint(), run)
            if alone:
                discard_folder(self.path / _STAGED)
            return
        if force:
            folder.discard()
        folder.write_fingerprint(run)

    def _claim_address(self, run: Mapping[str, Any], resume: bool, force: bool) -> None:
        stored = self._read(SCORED_MARK)
        if force:
            remedy = "remove what is there with the tools of your store, or choose another"
            raise OutputError(f"{setting('force', True)}: nothing is removed behind an address", remedy)
        if stored is not None and not resume:
            way_on = f"go on with {setting('resume', True)}, or choose another address"
            raise OutputError(f"{self} exists already and holds scored parts", way_on)
        try:
            differing = [] if stored is None else differing_names(json.loads(stored), run)
        except (ValueError, AttributeError) as reason:
            raise OutputError(f"{self}/{SCORED_MARK} is damaged: {reason}", "choose another address") from reason
        if differing:
            raise OutputError(
                f"{self} holds scored parts with other {' and '.join(differing)}",
                "resume with the same, or choose another address",
            )
        with self.writing(SCORED_MARK) as file:
            write_json(file, run)

    def finished(self, part: InputPart) -> FinishedPart | None:
        """Return a part's entry; None if it has none yet, its table was changed, or one of its files is damaged."""
        entry = self._read(_entry(part.name))
        if entry is None:
            return None
        try:
            found = FinishedPart(**json.loads(entry))
        except (ValueError, TypeError):  # damaged
            return None
        same = found.source == json.loads(json.dumps(part.source))
        return found if same and all(self._digest(name) == sha for name, sha in found.digests.items()) else None

    def output(self, part: InputPart) -> "PartOutput":
        """Return what writes the files of a part."""
        return PartOutput(self, part)

    def close(self) -> None:
        """Remove the folder of files that were being written, if it is empty."""
        with suppress(OSError):  # there is none, or another worker is writing
            (self.path / _STAGED).rmdir()

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield the path to write a file to, which then appears whole or not at all."""
        if self.address is None:
            # Not beside the output: what a killed worker left there would have to be found among a million names.
            staged = self.path / _STAGED / f"{secrets.token_hex(8)}-{Path(name).name}"
            with clear_write_errors(self.path / name), atomic_file(staged) as temporary:
                yield temporary
            with clear_write_errors(self.path / name):
                (self.path / name).parent.mkdir(exist_ok=True)
                staged.replace(self.path / name)
            return
        with scratch_folder("scored") as folder:
            yield folder / Path(name).name
            with self._store_errors(name):
                upload_file(folder / Path(name).name, f"{self.address}/{name}")

    def _read(self, name: str) -> bytes | None:
        if self.address is not None:
            with self._store_errors(name):
                return read_if_there(f"{self.address}/{name}")
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def _digest(self, name: str) -> str | None:
        if self.address is None:
            return sha256(self.path / name) if (self.path / name).is_file() else None
        content = self._read(name)
        return None if content is None else hashlib.sha256(content).hexdigest()

    @contextmanager
    def _store_errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except JointuneError as error:
            raise OutputError(f"{self.address}/{name}: {error.reason}", error.remedy) from error


class PartOutput:
    """The files of one part, while they are written; each appears whole or not at all."""

    def __init__(self, folder: ScoredFolder, part: InputPart) -> None:
        self._folder, self._part = folder, part
        self._digests: dict[str, str] = {}

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Yield the path to write a file to.

        Raises:
            OutputError: the disk is full or the like, or the store does not take the file.
        """
        with self._folder.writing(name) as path:
            yield path
            self._digests[name] = sha256(path)

    def finish(self, read: int, rows: int, problems: int) -> FinishedPart:
        """Enter the part in the manifest, once its files are written; see ``FinishedPart``."""
        done = FinishedPart(self._part.name, self._part.source, read, rows, problems, self._digests)
        with self._folder.writing(_entry(self._part.name)) as path:
            write_json(path, asdict(done))
        return done


def _entry(name: str) -> str:
    return f"_manifest/{name}.json"
