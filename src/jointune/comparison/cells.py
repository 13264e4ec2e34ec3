"""The cells of a comparison on disk: one file for each method, fold, seed and budget of training posts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from jointune.comparison.protocol import Budget
from jointune.errors import OutputError, first_line, setting
from jointune.utils.files import atomic_file
from jointune.utils.wording import counted

RESULT, FAILURE = ".npz", ".failed.json"


@dataclass(frozen=True)
class Cell:
    """One entry of the grid.

    Attributes:
        method: its name.
        fold: its number.
        seed: of training, and of the draw of the training posts.
        budget: training posts a label, None for all.
    """

    method: str
    fold: int
    seed: int
    budget: Budget

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{quote(self.method, safe='')}.fold-{self.fold}.seed-{self.seed}.posts-{self.budget or 'all'}"

    def __str__(self) -> str:
        posts = "all training posts" if self.budget is None else f"{counted(self.budget, 'training post')} a label"
        return f"{self.method}, {posts}, fold {self.fold}, seed {self.seed}"


@dataclass(frozen=True)
class Cost:
    """What a cell took.

    Attributes:
        trained_parameters: their number; None where the method does not say.
        train_seconds: wall time of ``fit``.
        predict_seconds: wall time of ``predict_proba`` on the test posts.
        peak_memory: of the process, in bytes; None where the system does not say.
        peak_gpu_memory: of the accelerator, in bytes; None without one.
        train_cpu_seconds: CPU time of ``fit``, which other work on the machine changes little; None in cells of an
            earlier version.
    """

    trained_parameters: int | None
    train_seconds: float
    predict_seconds: float
    peak_memory: int | None
    peak_gpu_memory: int | None = None
    train_cpu_seconds: float | None = None


@dataclass(frozen=True)
class CellResult:
    """A finished cell.

    Attributes:
        cell: which.
        learned: number of training posts.
        check: numbers of the validation posts, int [M].
        check_scores: their probabilities, float32 [M, C], in the comparison's order of labels.
        test: numbers of the test posts, int [N].
        test_scores: their probabilities, float32 [N, C].
        cost: what it took.
        log: the training log, where the method has one.
        details: whatever else is worth knowing, as JSON values.
    """

    cell: Cell
    learned: int
    check: np.ndarray
    check_scores: np.ndarray
    test: np.ndarray
    test_scores: np.ndarray
    cost: Cost
    log: list[dict[str, Any]]
    details: dict[str, Any]

    @property
    def kept_start(self) -> bool | None:
        """Whether the weights from before the first step of training were kept; None where the log does not say."""
        kept = [entry["step"] for entry in self.log if isinstance(entry, dict) and entry.get("kept")]
        # A method that is not trained beyond its start, such as `frozen`, has no choice.
        return kept == [0] and self.log[-1]["step"] > 0 if kept else None


@dataclass(frozen=True)
class Failure:
    """A cell that crashed: why, in a line, and the last it printed."""

    cell: Cell
    reason: str
    trace: str


def save_result(result: CellResult, folder: Path) -> None:
    """Write a cell's file, whole or not at all; a record of an earlier failure goes.

    Raises:
        OutputError: it cannot be written.
    """
    about = {
        "cell": asdict(result.cell),
        "learned": result.learned,
        "cost": asdict(result.cost),
        "log": result.log,
        "details": result.details,
    }
    arrays = {name: getattr(result, name) for name in ("check", "check_scores", "test", "test_scores")}
    with atomic_file(folder / f"{result.cell.name}{RESULT}") as path:
        np.savez_compressed(path, about=np.array(json.dumps(about)), **arrays)
    (folder / f"{result.cell.name}{FAILURE}").unlink(missing_ok=True)


def save_failure(failure: Failure, folder: Path) -> None:
    """Record a crash."""
    with atomic_file(folder / f"{failure.cell.name}{FAILURE}") as path:
        path.write_text(json.dumps(asdict(failure), indent=2) + "\n", encoding="utf-8")


def load_result(cell: Cell, folder: Path) -> CellResult | None:
    """A finished cell, or None where there is none yet.

    Raises:
        OutputError: its file is damaged.
    """
    path = folder / f"{cell.name}{RESULT}"
    return _read(path) if path.exists() else None


def stored_cells(folder: Path) -> list[Path]:
    """The files of all cells of a folder, finished, crashed or cut off while they were written."""
    return [*folder.glob(f"*{RESULT}"), *folder.glob(f"*{FAILURE}")]


def stored_results(folder: Path) -> Iterator[CellResult]:
    """All finished cells of a folder, in the order of their files' names."""
    for path in sorted(folder.glob(f"*{RESULT}")):
        if not path.name.startswith("."):
            yield _read(path)


def stored_failures(folder: Path) -> Iterator[Failure]:
    """All recorded crashes of a folder."""
    for path in sorted(folder.glob(f"*{FAILURE}")):
        if not path.name.startswith("."):
            with _clear_errors(path):
                values = json.loads(path.read_text(encoding="utf-8"))
                failure = Failure(Cell(**values["cell"]), values["reason"], values["trace"])
            yield failure


def _read(path: Path) -> CellResult:
    with _clear_errors(path):
        # NumPy leaves a file open that it cannot read.
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            arrays = {name: file[name] for name in ("check", "check_scores", "test", "test_scores")}
        result = CellResult(
            Cell(**about["cell"]),
            about["learned"],
            cost=Cost(**about["cost"]),
            log=about["log"],
            details=about["details"],
            **arrays,
        )
        if path.name != f"{result.cell.name}{RESULT}":
            raise ValueError(f"it is of another cell: {result.cell}")
        if len(result.check) != len(result.check_scores) or len(result.test) != len(result.test_scores):
            raise ValueError("it lacks posts")
    return result


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as reason:  # whatever is in the file: NumPy, zip and JSON each have errors of their own
        raise OutputError(
            f"{path} is damaged: {first_line(reason)}", f"delete it and go on with {setting('resume', True)}"
        ) from reason
