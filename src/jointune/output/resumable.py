"""Resumable output: finished parts in a folder beside the file that they become in the end."""

import csv
import json
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from jointune.data.problems import Problem
from jointune.errors import JointuneWarning, OutputError, setting
from jointune.output.writers import Layout, join_parts, part_ending, safe_cell, write_part
from jointune.utils.files import atomic_file, atomic_folder, clear_write_errors, sha256, write_json
from jointune.utils.run_folder import RunFolder, partial_folder, refuse_existing

_RUN = "run.json"
"""The inputs that the parts depend on; marks a folder as ours."""

_JOINED = "joined"
"""A folder with the whole outputs, until each has moved to its place."""

_PROBLEMS = ".problems.jsonl"

_RECORD = ".finished.json"
"""Written last: the number of rows of a part, and the SHA-256 of its files."""


def skipped_file(path: Path) -> Path:
    """Return the file that lists the rows left out of ``path``."""
    return path.parent / f"{path.name}.skipped.csv"


def refuse_outputs(path: Path, with_skipped: bool, resume: bool, force: bool, source: Path | None) -> None:
    """Refuse outputs that exist, and parts of another run, before any work is done; see ``RunFolder.refuse``.

    The list of skipped posts is such an output, too, if it is to be written (``with_skipped``).
    """
    folder = partial_folder(path)
    moving = resume and (folder / _JOINED).exists()  # outputs that have moved to their place are ours
    for file in (path, skipped_file(path)) if with_skipped else (path,):
        if not moving or (folder / _JOINED / file.name).exists():
            refuse_existing(file, force, source)
    RunFolder(folder, _RUN, resume=resume, force=force, source=source).refuse()


@dataclass(frozen=True)
class _Part:
    """A finished part: its end in the posts, its number of rows, and the SHA-256 of its files, rows first."""

    end: int
    rows: int
    digests: dict[str, str]


class Parts:
    """The parts of one output, in order.

    Args:
        path: the output.
        layout: its format and columns.
        run: the inputs that the rows depend on, by their names in messages, as JSON values.
        resume: whether to continue from the parts of an earlier run; they are discarded otherwise.
        on_problems: names in ``run`` of inputs that make no difference as long as no post has a problem.

    Raises:
        OutputError: the earlier run had other inputs, or nothing can be written.
    """

    def __init__(
        self, path: Path, layout: Layout, run: Mapping[str, Any], resume: bool, on_problems: Collection[str] = ()
    ) -> None:
        self.folder = partial_folder(path)
        self._path, self._layout = path, layout
        self._run_folder = RunFolder(self.folder, _RUN, resume=resume, force=not resume)
        same = [name for name in run if self.has_problems or name not in on_problems]
        if self._run_folder.claim(run, same) and self._run_folder.fingerprint() != json.loads(json.dumps(run)):
            self._run_folder.write_fingerprint(run)
        self._finished = list(self._intact_parts())

    def _intact_parts(self) -> Iterator[_Part]:
        """Yield the finished parts from the first one on, until one is missing or damaged."""
        end = 0
        for record in sorted(self.folder.glob(f"[0-9]*{_RECORD}")):
            if int(record.name.split("-")[0]) != end:
                return
            try:
                part = _Part(**json.loads(record.read_text(encoding="utf-8")))
                damaged = self._damaged_file(part)
            except (OSError, ValueError, TypeError, AttributeError):
                damaged = record
            if damaged:
                note = f"{damaged} is missing or was changed after it was written: from post {end + 1:,} on, all are "
                warnings.warn(f"{note}scored again", JointuneWarning, stacklevel=2)
                return
            end = part.end
            yield part

    def _damaged_file(self, part: _Part) -> Path | None:
        for name, digest in part.digests.items():
            file = self.folder / name
            if not file.is_file() or sha256(file) != digest:
                return file
        return None

    @property
    def read(self) -> int:
        """The number of posts in the finished parts, those with a problem included."""
        return self._finished[-1].end if self._finished else 0

    @property
    def has_problems(self) -> bool:
        """Whether a post had a problem, so that another policy for problems would make a difference."""
        return any(self.folder.glob(f"*{_PROBLEMS}"))

    def add(self, read: int, rows: Iterable[Mapping[str, object]], problems: Sequence[Problem]) -> None:
        """Finish a part of ``read`` posts: their scored rows, and the problems of some.

        Raises:
            OutputError: the disk is full or the like, or a value does not fit the format.
        """
        name = f"{self.read:012}-{self.read + read:012}"
        files = [self.folder / f"{name}{part_ending(self._layout)}"]
        count = write_part(files[0], rows, self._layout)
        if problems:
            files.append(self.folder / f"{name}{_PROBLEMS}")
            with atomic_file(files[1]) as temporary:
                lines = [json.dumps(asdict(problem)) + "\n" for problem in problems]
                temporary.write_text("".join(lines), encoding="utf-8")
        part = _Part(self.read + read, count, {file.name: sha256(file) for file in files})
        with atomic_file(self.folder / f"{name}{_RECORD}") as temporary:
            write_json(temporary, asdict(part))
        self._finished.append(part)

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of the finished parts, in order."""
        for part in self._finished:
            for name in list(part.digests)[1:]:
                with open(self.folder / name, encoding="utf-8") as lines:
                    yield from (Problem(**json.loads(line)) for line in lines)

    def join(self, total: int, with_skipped: bool) -> None:
        """Join the parts of ``total`` posts to the output, and list those that were left out (``with_skipped``).

        Both files appear whole, the output last; the parts stay. After a kill in between, call it again.

        Raises:
            OutputError: the disk is full or the like, a part was changed, or posts are missing.
        """
        joined = self.folder / _JOINED
        if not joined.exists() or (joined / self._path.name).exists():
            self._check(total, with_skipped)
            with atomic_folder(joined) as temporary:
                parts = [self.folder / next(iter(part.digests)) for part in self._finished]
                join_parts(parts, temporary / self._path.name, self._layout)
                if with_skipped and (first := next(problems := self.problems(), None)):
                    skipped = temporary / skipped_file(self._path).name
                    list_problems(chain([first], problems), skipped, self._layout.safe)
        for target in (skipped_file(self._path), self._path):
            if (joined / target.name).exists():
                with clear_write_errors(target):
                    (joined / target.name).replace(target)

    def _check(self, total: int, with_skipped: bool) -> None:
        for part in self._finished:
            if damaged := self._damaged_file(part):
                raise OutputError(
                    f"{damaged} is missing or was changed after it was written: go on with {setting('resume', True)}, "
                    "which scores its posts again"
                )
        rows = sum(part.rows for part in self._finished)
        left_out = sum(1 for _ in self.problems()) if with_skipped else 0
        if self.read != total or rows + left_out != total:
            raise OutputError(
                f"{self._path} was not written: of {total:,} posts, {self.read:,} were read and {rows:,} "
                "scored: they changed meanwhile",
                f"start again with {setting('force', True)}",
            )

    def discard(self) -> None:
        """Remove the parts."""
        self._run_folder.discard()

    def discard_if_empty(self) -> bool:
        """Remove the folder if no part is finished, and return whether it was removed."""
        if not self._finished:
            self.discard()
        return not self._finished


def list_problems(problems: Iterable[Problem], path: Path, safe: bool) -> None:
    """Write a CSV file of problems; ``safe`` is whether ``safe_cell`` is applied."""
    with open(path, "w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "file", "reason", "remedy"])
        for problem in problems:
            cells = problem.where, problem.what, problem.reason, problem.remedy
            writer.writerow(map(safe_cell, cells) if safe else cells)
