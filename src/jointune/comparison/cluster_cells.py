"""Run the cells of a comparison on a Ray cluster: each is a task, which runs its cell as one machine does."""

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import replace

from jointune.comparison.cells import CellResult, Failure, save_result
from jointune.comparison.worker import CellRunner, Job, run_apart
from jointune.data.post import Posts
from jointune.errors import InterruptedTraining
from jointune.scale.ray_cluster import Cluster, LostTaskError
from jointune.utils.progress import Bar, QuietBar
from jointune.utils.run_folder import scratch_folder


def on_cluster(cluster: Cluster) -> CellRunner:
    """Return what runs cells on a cluster, as many at a time as it has room for."""

    def run(jobs: Iterable[Job], bar: Bar) -> Iterator[CellResult | Failure]:
        import cloudpickle  # takes methods of one's own, whose modules a task finds once it looks where the driver does

        listed = list(jobs)
        if not listed:
            return
        # The posts are sent to each machine once, not with each cell.
        posts, start = cluster.ray.put(listed[0].posts), cluster.task(_run_cell)
        cells = {start(cloudpickle.dumps(replace(job, posts=Posts([], job.posts.name))), posts): job for job in listed}
        try:
            while cells:
                bar.note(f"{min(cluster.room, len(cells)):,} at a time on the cluster")
                reference, fetch = cluster.next_result(cells)
                job = cells.pop(reference)
                try:
                    outcome: CellResult | Failure = fetch()
                except LostTaskError as error:
                    outcome = Failure(job.cell, f"its worker was lost: {error}", str(error))
                if isinstance(outcome, CellResult):
                    save_result(outcome, job.folder)
                yield outcome
        except KeyboardInterrupt:
            raise InterruptedTraining("the comparison was interrupted; finished cells are kept") from None

    return CellRunner(run, cluster.room)


def _run_cell(job: bytes, posts: Posts) -> CellResult | Failure:
    with scratch_folder("cell") as folder:
        return run_apart(replace(pickle.loads(job), posts=posts, folder=folder), QuietBar())
