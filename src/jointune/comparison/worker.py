"""Run one cell in a process of its own, which has its own memory and whose crash leaves the other cells alone.

Not a process pool: ``multiprocessing`` starts a process by importing the caller's ``__main__`` again, so a script
without a guard would begin the comparison anew in it, and it does not catch what a crashed process printed.

The job comes through standard input, never by a file: if the parent is killed, no texts and images are left on disk.
"""

import os
import pickle
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path

import numpy as np

from jointune.comparison.cells import Cell, CellResult, Cost, Failure, load_result, save_result
from jointune.comparison.methods import Estimator
from jointune.data.post import Posts
from jointune.data.read import label_text
from jointune.errors import InterruptedTraining
from jointune.utils.memory import peak_memory
from jointune.utils.progress import Bar, show_no_time_left

_LAST_LINES = 60
"""Lines of output that are stored of a crashed cell."""


@dataclass(frozen=True)
class Job:
    """A cell to run: its method, the indices of its posts in each part, and the folder for its result."""

    cell: Cell
    make: Callable[[], Estimator]
    posts: Posts
    labels: tuple[str, ...]
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    folder: Path


def run_cell(job: Job) -> CellResult:
    """Train and test a method once; it predicts for posts without labels."""
    train, validation, test = (job.posts.take(part) for part in (job.train, job.validation, job.test))
    estimator = job.make()
    began, cpu_began = time.perf_counter(), _cpu_seconds()
    estimator.fit(train, validation=validation)
    trained, cpu_trained = time.perf_counter(), _cpu_seconds()
    test_scores = _scores(estimator, test, job.labels)
    predicted = time.perf_counter()
    validation_scores = _scores(estimator, validation, job.labels)
    cost = Cost(
        getattr(estimator, "trained_parameters_", None),
        trained - began,
        predicted - trained,
        peak_memory(),
        _peak_gpu_memory(),
        cpu_trained - cpu_began,
    )
    parts = (np.array(job.validation), validation_scores, np.array(job.test), test_scores)
    return CellResult(job.cell, len(train), *parts, cost, getattr(estimator, "log_", []))


def _scores(estimator: Estimator, posts: Posts, labels: tuple[str, ...]) -> np.ndarray:
    """Return answers in the comparison's order of labels; zero for a label without training posts."""
    unlabelled = Posts((replace(post, label=None) for post in posts), posts.name)
    probabilities = getattr(estimator, "answers", estimator.predict_proba)(unlabelled)
    columns = [labels.index(str(label_text(label))) for label in estimator.classes_] if labels else [0]
    if probabilities.shape != (len(posts), len(columns)) or not np.isfinite(probabilities).all():
        raise ValueError(
            f"predict_proba gave {probabilities.shape}, or values that are no numbers, for {len(posts)} posts"
        )
    scores = np.zeros((len(posts), len(labels) or 1), dtype=np.float32)
    scores[:, columns] = probabilities
    return scores


def _cpu_seconds() -> float:
    """Return the CPU time of this process, all its threads, and its children that have ended."""
    return sum(os.times()[:4])


def _peak_gpu_memory() -> int | None:
    torch = sys.modules.get("torch")
    return int(torch.cuda.max_memory_allocated()) if torch and torch.cuda.is_available() else None


def _end_with_parent() -> None:
    """Wait until the parent process is gone, and end: nobody waits for the cell any more."""
    os.read(0, 1)  # not by sys.stdin, whose lock a thread must not hold when the interpreter ends
    os._exit(1)


@dataclass(frozen=True)
class CellRunner:
    """A way to run cells.

    Attributes:
        run: runs jobs, and yields the outcome of each as soon as it is there; the results are stored in its folder.
        at_once: number of cells that run at a time.
    """

    run: Callable[[Iterable[Job], Bar], Iterator[CellResult | Failure]]
    at_once: int = 1


def main() -> None:
    """Run the job that comes through standard input."""
    sys.path.extend(pickle.load(sys.stdin.buffer))  # the parent's, for methods of one's own
    job: Job = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    show_no_time_left()
    save_result(run_cell(job), job.folder)


if __name__ == "__main__":
    main()


def run_apart(job: Job, bar: Bar) -> CellResult | Failure:
    """Run a cell in a new process, and show beside ``bar`` the last line that it prints.

    Raises:
        InterruptedTraining: Ctrl-C; the process has ended.
    """
    import cloudpickle

    lines: deque[str] = deque(maxlen=_LAST_LINES)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "jointune.comparison.worker"],
        stdin=subprocess.PIPE,  # closed by the system if this process is killed, which ends the other
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None, "it is a pipe"
    assert process.stdout is not None, "it is a pipe"
    output = TextIOWrapper(process.stdout, encoding="utf-8", errors="replace")
    try:
        with suppress(BrokenPipeError):  # it ended already, and its output says why
            pickle.dump(sys.path, process.stdin)
            cloudpickle.dump(job, process.stdin)  # takes methods that are defined in a notebook
            process.stdin.flush()
        for line in output:
            lines.append(line.rstrip())
            bar.note(f"{job.cell}: {line.strip()}")
        code = process.wait()
    except KeyboardInterrupt:
        raise InterruptedTraining("the comparison was interrupted; finished cells are kept") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()
        output.close()
    if code == 0 and (result := load_result(job.cell, job.folder)):
        return result
    ending = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    reason = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
    return Failure(job.cell, f"{reason} ({ending})", "\n".join(lines))
