"""Run the cells of a comparison on a Ray cluster: each is a task, which runs its cell as one machine does."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from jointune.comparison.cells import CellResult, Failure, save_result
from jointune.comparison.worker import CellRunner, Job, run_apart
from jointune.data.post import Posts
from jointune.errors import InterruptedTraining, first_line
from jointune.scale.ray_cluster import Workers, set_up_worker
from jointune.utils.progress import Bar, QuietBar
from jointune.utils.run_folder import scratch_folder


def runner_on_cluster(ray: Any, workers: Workers) -> CellRunner:
    """Return what runs cells on a cluster, as many at a time as it has room for.

    Args:
        ray: the package, connected.
        workers: the resources of each cell.
    """

    def run(jobs: Iterable[Job], bar: Bar) -> Iterator[CellResult | Failure]:
        listed = list(jobs)
        if not listed:
            return
        # The posts are sent to each machine once, not with each cell.
        posts = ray.put(listed[0].posts)
        task = ray.remote(**workers.resources)(_run_task)
        cells = {task.remote(replace(job, posts=Posts([], job.posts.name)), posts, Path.cwd()): job for job in listed}
        bar.note(f"{len(cells):,} cells wait for the cluster")
        try:
            while cells:
                done, _ = ray.wait(list(cells))
                yield _outcome(ray, done[0], cells.pop(done[0]))
        except KeyboardInterrupt:
            raise InterruptedTraining("the comparison was interrupted; finished cells are kept") from None

    room = [
        ray.cluster_resources().get(f"{unit}PU", 0) // each
        for unit, each in (("C", workers.cpus), ("G", workers.gpus))
        if each
    ]
    return CellRunner(run, max(1, int(min(room, default=1))))


def _run_task(job: Job, posts: Posts, cwd: Path) -> CellResult | Failure:
    set_up_worker(cwd)
    with scratch_folder("cell") as folder:
        return run_apart(replace(job, posts=posts, folder=folder), QuietBar())


def _outcome(ray: Any, reference: Any, job: Job) -> CellResult | Failure:
    """Fetch a result and store it; a task that was lost, and lost again when Ray repeated it, is a failure."""
    from ray.exceptions import RayError

    try:
        outcome: CellResult | Failure = ray.get(reference)
    except RayError as error:
        return Failure(job.cell, first_line(error), str(error))
    if isinstance(outcome, CellResult):
        save_result(outcome, job.folder)
    return outcome
