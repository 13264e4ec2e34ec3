"""An output in the making: finished parts in a folder beside it, which in the end become the one file."""

import csv
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jointune.errors import OutputError, setting
from jointune.files import atomic_file, atomic_folder, discard_folder
from jointune.posts.problems import Problem
from jointune.posts.write import Layout, join_parts, part_ending, write_part
from jointune.run_folder import refuse_existing

_RUN = "run.json"
"""What the parts depend on; the file by which to know one of our folders."""

_JOINED = "joined"
"""A folder with the outputs, whole, until each has moved to its place."""

_PROBLEMS = ".problems.jsonl"


def partial_folder(path: Path) -> Path:
    """Where the parts of ``path`` are kept until it is whole."""
    return path.parent / f"{path.name}.partial"


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
            refuse_existing(file, force, source=source)
    refuse_existing(folder, True, _RUN, source)
    if folder.exists() and any(folder.iterdir()) and not resume and not force:
        raise OutputError(
            f"{folder} holds an unfinished run: go on with {setting('resume', True)}, or discard it with "
            f"{setting('force', True)}"
        )


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
        self._path, self._layout = path, layout
        if not resume:
            discard_folder(self.folder)
        self._open(json.loads(json.dumps(run)), on_problems)
        self._finished = list(self._found())

    @property
    def read(self) -> int:
        """How many posts the finished parts were made of."""
        return _span(self._finished[-1])[1] if self._finished else 0

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
        if problems:
            lines = [json.dumps(asdict(problem)) + "\n" for problem in problems]
            with atomic_file(self.folder / f"{name}{_PROBLEMS}") as temporary:
                temporary.write_text("".join(lines), encoding="utf-8")
        # Last: it is this file that says that the part is finished.
        part = self.folder / f"{name}{part_ending(self._layout)}"
        write_part(part, rows, self._layout)
        self._finished.append(part)

    def problems(self) -> Iterator[Problem]:
        """What was wrong with posts of the finished parts, in order."""
        for part in self._finished:
            file = part.with_name(part.stem + _PROBLEMS)
            if file.exists():
                with open(file, encoding="utf-8") as lines:
                    yield from (Problem(**json.loads(line)) for line in lines)

    def join(self, with_skipped: bool) -> None:
        """Make the output of the parts, and of the problems the list of rows that were left out, if there are any.

        Both appear whole, the output last, and the parts are gone. After a kill in between, the same call goes on.

        Raises:
            OutputError: the disk is full or the like.
        """
        joined = self.folder / _JOINED
        if not joined.exists():
            with atomic_folder(joined) as temporary:
                join_parts(self._finished, temporary / self._path.name, self._layout)
                if with_skipped:
                    _list_skipped(self.problems(), temporary / skipped_file(self._path).name)
        for target in (skipped_file(self._path), self._path):
            if (joined / target.name).exists():
                (joined / target.name).replace(target)
        discard_folder(self.folder)

    @property
    def has_problems(self) -> bool:
        """Whether something was wrong with a post: another way to deal with that then makes a difference."""
        return any(self.folder.glob(f"*{_PROBLEMS}"))

    def discard_if_empty(self) -> bool:
        """Whether no part is finished; nothing is then left to resume, or in the way of the next run."""
        if not self._finished:
            discard_folder(self.folder)
        return not self._finished

    def _open(self, run: dict[str, Any], on_problems: Collection[str]) -> None:
        file = self.folder / _RUN
        if not file.exists():
            with atomic_folder(self.folder) as temporary:
                _write_json(temporary / _RUN, run)
            return
        try:
            earlier = json.loads(file.read_text(encoding="utf-8"))
            differing = [name for name, value in run.items() if earlier.get(name) != value]
        except (OSError, ValueError, AttributeError) as reason:
            raise OutputError(f"{file} is damaged: {reason}; start again with {setting('force', True)}") from reason
        if not self.has_problems:
            differing = [name for name in differing if name not in on_problems]
        if differing:
            raise OutputError(
                f"{self.folder} holds a run with other {', '.join(differing)}: "
                f"resume with the same posts, bundle and options, or start again with {setting('force', True)}"
            )
        if earlier != run:
            with atomic_file(file) as temporary:
                _write_json(temporary, run)

    def _found(self) -> Iterator[Path]:
        """The finished parts from the first one on, as long as none is missing."""
        end = 0
        for part in sorted(self.folder.glob(f"[0-9]*{part_ending(self._layout)}")):
            if not part.name.endswith(_PROBLEMS):
                start, after = _span(part)
                if start != end:
                    return
                end = after
                yield part


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _span(part: Path) -> tuple[int, int]:
    start, end = part.stem.split("-")
    return int(start), int(end)


def _list_skipped(problems: Iterator[Problem], path: Path) -> None:
    first = next(problems, None)
    if first is None:
        return
    with open(path, "w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "file", "reason", "remedy"])
        writer.writerow(_cells(first))
        writer.writerows(map(_cells, problems))


def _cells(problem: Problem) -> tuple[str, str, str, str]:
    return problem.where, problem.what, problem.reason, problem.remedy
