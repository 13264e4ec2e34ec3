"""One cell in a process of its own: what it holds of memory is its own, and if it crashes the others go on.

Run as ``python -m jointune.comparison.worker``. The job comes through standard input, never by a file: texts and
pictures would be left lying about where the process that wrote it is killed.
"""

import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from jointune.comparison.cells import Cell, CellResult, Cost, save_result
from jointune.comparison.methods import Predictor
from jointune.memory import peak_memory
from jointune.posts.post import Posts
from jointune.posts.read import label_text
from jointune.progress import show_no_time_left


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
    make: Callable[[], Predictor]
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


def _scores(predictor: Predictor, posts: Posts, labels: tuple[str, ...]) -> np.ndarray:
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
