"""An output in the making: finished parts in a folder beside it, which in the end become the one file."""

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
"""What the parts depend on; the file by which to know one of our folders."""

_JOINED = "joined"
"""A folder with the outputs, whole, until each has moved to its place."""

_PROBLEMS = ".problems.jsonl"

_RECORD = ".finished.json"
"""Written last: how many rows a part has, and the SHA-256 of its files."""


def skipped_file(path: Path) -> Path:
    """Where the rows that were left out of ``path`` are listed."""
    return path.parent / f"{path.name}.skipped.csv"


def refuse_outputs(path: Path, with_skipped: bool, resume: bool, force: bool, source: Path | None) -> None:
    """Refuse outputs that exist, and parts of another run, before any work is done.

    Args:
        path: the output.
        with_skipped: whether rows that are left out are listed beside it.
        resume: whether to go on from the parts of an earlier run.
        force: whether outputs may be replaced, and parts discarded.
        source: what the posts are read from.

    Raises:
        OutputError: something is in the way; the message says what, and what to do about it.
    """
    folder = partial_folder(path)
    moving = resume and (folder / _JOINED).exists()  # what has moved to its place already is ours
    for file in (path, skipped_file(path)) if with_skipped else (path,):
        if not moving or (folder / _JOINED / file.name).exists():
            refuse_existing(file, force, source)
    RunFolder(folder, _RUN, resume=resume, force=force, source=source).refuse()


@dataclass(frozen=True)
class _Part:
    """A finished part: up to which post, how many rows, and the SHA-256 of its files, the one with the rows first."""

    end: int
    rows: int
    digests: dict[str, str]


class Parts:
    """The parts of one output, in order.

    Args:
        path: the output.
        layout: how its rows are laid out.
        run: what the rows depend on, by the name that messages give it, as JSON values.
        resume: whether to go on from the parts of an earlier run; they are discarded otherwise.
        on_problems: names in ``run`` of what makes no difference as long as no post has a problem.

    Raises:
        OutputError: the earlier run was another one, or nothing can be written.
    """

    def __init__(
        self, path: Path, layout: Layout, run: Mapping[str, Any], resume: bool, on_problems: Collection[str] = ()
    ) -> None:
        self.folder = partial_folder(path)
        self._run_folder = RunFolder(self.folder, _RUN, resume=resume, force=not resume)
        self._path, self._layout = path, layout
        self._open(run, on_problems)
        self._finished = list(self._found())

    @property
    def read(self) -> int:
        """How many posts the finished parts were made of."""
        return self._finished[-1].end if self._finished else 0

    def add(self, read: int, rows: Iterable[Mapping[str, object]], problems: Sequence[Problem]) -> None:
        """Finish a part.

        Args:
            read: how many posts it was made of.
            rows: what became of them.
            problems: what was wrong with some.

        Raises:
            OutputError: the disk is full or the like, or a value does not fit the format.
        """
        name = f"{self.read:012}-{self.read + read:012}"
        files = [self.folder / f"{name}{part_ending(self._layout)}"]
        count = write_part(files[0], rows, self._layout)
        if problems:
            lines = [json.dumps(asdict(problem)) + "\n" for problem in problems]
            files.append(self.folder / f"{name}{_PROBLEMS}")
            with atomic_file(files[1]) as temporary:
                temporary.write_text("".join(lines), encoding="utf-8")
        part = _Part(self.read + read, count, {file.name: sha256(file) for file in files})
        with atomic_file(self.folder / f"{name}{_RECORD}") as temporary:
            write_json(temporary, asdict(part))
        self._finished.append(part)

    def problems(self) -> Iterator[Problem]:
        """What was wrong with posts of the finished parts, in order."""
        for part in self._finished:
            for name in list(part.digests)[1:]:
                with open(self.folder / name, encoding="utf-8") as lines:
                    yield from (Problem(**json.loads(line)) for line in lines)

    def join(self, total: int, with_skipped: bool) -> None:
        """Make the output of the parts, and of the problems the list of rows that were left out, if there are any.

        Both appear whole, the output last; the parts stay. After a kill in between, the same call goes on.

        Args:
            total: how many posts there are.
            with_skipped: whether posts with a problem are left out and listed.

        Raises:
            OutputError: the disk is full or the like, a part was changed, or posts are missing.
        """
        joined = self.folder / _JOINED
        if not joined.exists() or (joined / self._path.name).exists():
            self._check(total, with_skipped)
            with atomic_folder(joined) as temporary:
                parts = [self.folder / next(iter(part.digests)) for part in self._finished]
                join_parts(parts, temporary / self._path.name, self._layout)
                if with_skipped:
                    _list_skipped(self.problems(), temporary / skipped_file(self._path).name, self._layout.safe)
        for target in (skipped_file(self._path), self._path):
            if (joined / target.name).exists():
                with clear_write_errors(target):
                    (joined / target.name).replace(target)

    def discard(self) -> None:
        """Remove the parts."""
        self._run_folder.discard()

    def _check(self, total: int, with_skipped: bool) -> None:
        for part in self._finished:
            if damaged := self._damaged(part):
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

    def _damaged(self, part: _Part) -> Path | None:
        """The first file of a part that is not as it was written."""
        for name, digest in part.digests.items():
            file = self.folder / name
            if not file.is_file() or sha256(file) != digest:
                return file
        return None

    @property
    def has_problems(self) -> bool:
        """Whether something was wrong with a post: another way to deal with that then makes a difference."""
        return any(self.folder.glob(f"*{_PROBLEMS}"))

    def discard_if_empty(self) -> bool:
        """Whether no part is finished; nothing is then left to resume, or in the way of the next run."""
        if not self._finished:
            self.discard()
        return not self._finished

    def _open(self, run: Mapping[str, Any], on_problems: Collection[str]) -> None:
        same = [name for name in run if self.has_problems or name not in on_problems]
        if self._run_folder.claim(run, same) and self._run_folder.fingerprint() != json.loads(json.dumps(run)):
            self._run_folder.write_fingerprint(run)

    def _found(self) -> Iterator[_Part]:
        """The finished parts from the first one on, as long as none is missing or damaged."""
        end = 0
        for record in sorted(self.folder.glob(f"[0-9]*{_RECORD}")):
            if int(record.name.split("-")[0]) != end:
                return
            try:
                part = _Part(**json.loads(record.read_text(encoding="utf-8")))
                damaged = self._damaged(part)
            except (OSError, ValueError, TypeError, AttributeError):
                damaged = record
            if damaged:
                note = f"{damaged} is missing or was changed after it was written: from post {end + 1:,} on, all are "
                warnings.warn(f"{note}scored again", JointuneWarning, stacklevel=2)
                return
            end = part.end
            yield part


def _list_skipped(problems: Iterator[Problem], path: Path, safe: bool) -> None:
    first = next(problems, None)
    if first is None:
        return
    with open(path, "w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "file", "reason", "remedy"])
        for problem in chain([first], problems):
            cells = problem.where, problem.what, problem.reason, problem.remedy
            writer.writerow(map(safe_cell, cells) if safe else cells)
