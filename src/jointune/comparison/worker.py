"""One cell in a process of its own: what it holds of memory is its own, and if it crashes the others go on.

Run as ``python -m jointune.comparison.worker``. The job comes through standard input, never by a file: texts and
pictures would be left lying about where the process that wrote it is killed.
"""

import os
import pickle
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
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


@dataclass(frozen=True)
class Job:
    """All that a cell needs.

    Attributes:
        cell: which.
        make: the untrained method.
        posts: all posts.
        labels: of the whole comparison, in order.
        learn: numbers of the training posts.
        check: numbers of the validation posts.
        test: numbers of the test posts.
        folder: where the result goes.
    """

    cell: Cell
    make: Callable[[], Estimator]
    posts: Posts
    labels: tuple[str, ...]
    learn: tuple[int, ...]
    check: tuple[int, ...]
    test: tuple[int, ...]
    folder: Path


def run_cell(job: Job) -> CellResult:
    """Train and test a method once. What it predicts for, it is shown without labels."""
    learn, check, test = (job.posts.take(part) for part in (job.learn, job.check, job.test))
    predictor = job.make()
    began, busy = time.perf_counter(), _cpu_seconds()
    predictor.fit(learn, validation=check)
    trained, cpu_seconds = time.perf_counter(), _cpu_seconds() - busy
    test_scores = _scores(predictor, test, job.labels)
    predicted = time.perf_counter()
    check_scores = _scores(predictor, check, job.labels)
    cost = Cost(
        getattr(predictor, "trained_parameters_", None),
        trained - began,
        predicted - trained,
        peak_memory(),
        _peak_gpu_memory(),
        cpu_seconds,
    )
    return CellResult(
        job.cell,
        len(learn),
        np.array(job.check),
        check_scores,
        np.array(job.test),
        test_scores,
        cost,
        getattr(predictor, "log_", []),
        {},
    )


def _scores(predictor: Estimator, posts: Posts, labels: tuple[str, ...]) -> np.ndarray:
    """Probabilities in the comparison's order of labels; zero for one that the training posts did not have."""
    unlabelled = Posts((replace(post, label=None) for post in posts), posts.name)
    found = predictor.predict_proba(unlabelled)
    columns = [labels.index(str(label_text(label))) for label in predictor.classes_]
    if found.shape != (len(posts), len(columns)) or not np.isfinite(found).all():
        raise ValueError(f"predict_proba gave {found.shape}, or values that are no numbers, for {len(posts)} posts")
    scores = np.zeros((len(posts), len(labels)), dtype=np.float32)
    scores[:, columns] = found
    return scores


def _cpu_seconds() -> float:
    """CPU time of this process, all its threads, and its children that have ended."""
    return sum(os.times()[:4])


def _peak_gpu_memory() -> int | None:
    if "torch" not in sys.modules:
        return None
    import torch

    return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else None


def _end_with_parent() -> None:
    """Wait until the process that began this one is gone: the cell would go on for nobody."""
    os.read(0, 1)  # not by sys.stdin, whose lock a thread must not hold when the interpreter ends
    os._exit(1)


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
    """Run a cell in a new process, showing the last line that it prints.

    Args:
        job: the cell.
        bar: where the line is shown.

    Raises:
        InterruptedTraining: Ctrl-C.
    """
    import cloudpickle

    last: deque[str] = deque(maxlen=60)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "jointune.comparison.worker"],
        stdin=subprocess.PIPE,  # closed by the system where this process is killed, by which the other knows
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None, "it is a pipe"
    assert process.stdout is not None, "it is a pipe"
    lines = TextIOWrapper(process.stdout, encoding="utf-8", errors="replace")
    try:
        with suppress(BrokenPipeError):  # it ended already; what it printed says why
            pickle.dump(sys.path, process.stdin)
            cloudpickle.dump(job, process.stdin)  # it takes a method that is defined in a notebook
            process.stdin.flush()
        for line in lines:
            last.append(line.rstrip())
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
        lines.close()
    result = load_result(job.cell, job.folder) if code == 0 else None
    if result:
        return result
    ended = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    reason = next((line for line in reversed(last) if line.strip()), "it printed nothing")
    return Failure(job.cell, f"{reason} ({ended})", "\n".join(last))
