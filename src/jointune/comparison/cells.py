"""The cells of a comparison and their files: one file per method, fold, seed and label budget."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from jointune.errors import OutputError, first_line, setting
from jointune.output.pages.figures import budget_name
from jointune.utils.files import atomic_file

RESULT, FAILURE = ".npz", ".failed.json"

_ARRAYS = {"check": "validation", "check_scores": "validation_scores", "test": "test", "test_scores": "test_scores"}
"""The arrays of a cell's file, and the attributes that hold them."""


@dataclass(frozen=True)
class Cell:
    """One entry of the grid: a method, a fold, a seed of training and of drawing posts, and a label budget.

    The budget is a number of training posts per label; None is all of them.
    """

    method: str
    fold: int
    seed: int
    budget: int | None

    @property
    def name(self) -> str:
        """The name of its file, without a suffix."""
        return f"{quote(self.method, safe='')}.fold-{self.fold}.seed-{self.seed}.posts-{self.budget or 'all'}"

    def __str__(self) -> str:
        return f"{self.method}, {budget_name(self.budget)}, fold {self.fold}, seed {self.seed}"


@dataclass(frozen=True)
class Cost:
    """The cost of a cell.

    Attributes:
        trained_parameters: their number; None if the method does not report it.
        train_seconds: wall time of ``fit``.
        predict_seconds: wall time of ``predict_proba`` on the test posts.
        peak_memory: of the process, in bytes; None if the system does not report it.
        peak_gpu_memory: of the GPU, in bytes; None without one.
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
        cell: its place in the grid.
        train_size: number of training posts.
        validation: indices of the validation posts, int [M].
        validation_scores: their probabilities, float32 [M, C], in the comparison's order of labels.
        test: indices of the test posts, int [N].
        test_scores: their probabilities, float32 [N, C].
        cost: time and memory.
        log: the training log, if the method has one.
        details: further values of the method, as JSON values.
    """

    cell: Cell
    train_size: int
    validation: np.ndarray
    validation_scores: np.ndarray
    test: np.ndarray
    test_scores: np.ndarray
    cost: Cost
    log: list[dict[str, Any]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def kept_start(self) -> bool | None:
        """True if the weights from before the first training step were kept; None if the log does not tell."""
        kept = [entry["step"] for entry in self.log if isinstance(entry, dict) and entry.get("kept")]
        # A method that is not trained beyond its start, such as `frozen`, has no choice.
        return kept == [0] and self.log[-1]["step"] > 0 if kept else None


@dataclass(frozen=True)
class Failure:
    """A cell that crashed: the reason in one line, and the last lines that it printed."""

    cell: Cell
    reason: str
    trace: str


def save_result(result: CellResult, folder: Path) -> None:
    """Write a cell's file atomically, and remove the record of an earlier crash.

    Raises:
        OutputError: the file cannot be written.
    """
    about = {
        "cell": asdict(result.cell),
        "learned": result.train_size,
        "cost": asdict(result.cost),
        "log": result.log,
        "details": result.details,
    }
    arrays = {name: getattr(result, attribute) for name, attribute in _ARRAYS.items()}
    with atomic_file(folder / f"{result.cell.name}{RESULT}") as path:
        np.savez_compressed(path, about=np.array(json.dumps(about)), **arrays)
    (folder / f"{result.cell.name}{FAILURE}").unlink(missing_ok=True)


def save_failure(failure: Failure, folder: Path) -> None:
    """Record a crash."""
    with atomic_file(folder / f"{failure.cell.name}{FAILURE}") as path:
        path.write_text(json.dumps(asdict(failure), indent=2) + "\n", encoding="utf-8")


def load_result(cell: Cell, folder: Path) -> CellResult | None:
    """Load a finished cell; return None if there is none yet.

    Raises:
        OutputError: its file is damaged.
    """
    path = folder / f"{cell.name}{RESULT}"
    return _read(path) if path.exists() else None


def stored_results(folder: Path) -> Iterator[CellResult]:
    """Load all finished cells of a folder, in the order of file names."""
    yield from map(_read, _whole_files(folder, RESULT))


def stored_failures(folder: Path) -> Iterator[Failure]:
    """Load all recorded crashes of a folder."""
    for path in _whole_files(folder, FAILURE):
        with _damage_is_named(path):
            values = json.loads(path.read_text(encoding="utf-8"))
            failure = Failure(Cell(**values["cell"]), values["reason"], values["trace"])
        yield failure


def _whole_files(folder: Path, suffix: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("."))


def _read(path: Path) -> CellResult:
    with _damage_is_named(path):
        # NumPy leaves a file open that it cannot read.
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            arrays = {attribute: file[name] for name, attribute in _ARRAYS.items()}
        rest = {"cost": Cost(**about["cost"]), "log": about["log"], "details": about["details"]}
        result = CellResult(Cell(**about["cell"]), about["learned"], **arrays, **rest)
        if path.name != f"{result.cell.name}{RESULT}":
            raise ValueError(f"it is of another cell: {result.cell}")
        if len(result.validation) != len(result.validation_scores) or len(result.test) != len(result.test_scores):
            raise ValueError("it lacks posts")
    return result


@contextmanager
def _damage_is_named(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as reason:  # NumPy, zip and JSON each have errors of their own
        raise OutputError(
            f"{path} is damaged: {first_line(reason)}", f"delete it and go on with {setting('resume', True)}"
        ) from reason
