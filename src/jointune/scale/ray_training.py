"""Train in several processes of a Ray cluster, which torch and Accelerate connect as if ``torchrun`` had started them.

By plain actors, not Ray Train: that would bring pandas, pyarrow, pydantic and tensorboardX, and wrap an error that says
what to do into the text of another one. What is needed of it is a group of workers that begins again together.
"""

import logging
import os
import socket
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from jointune.errors import (
    InterruptedTraining,
    JointuneError,
    JointuneWarning,
    SettingsError,
    first_line,
    setting,
    settings_rendered_by,
)
from jointune.scale.ray_cluster import ClusterError, Surroundings, Workers, ray_cluster
from jointune.utils.wording import counted

_STARTS = 4
"""How often a training begins, or goes on from its last state, after a worker was lost."""

_OTHERS_SECONDS = 15.0
"""Time to see whether a worker failed by itself, or because another one was lost."""

Work = Callable[[Any], Any]


class TrainingWorker:
    """An actor that is one process of a training.

    Args:
        rank: its number.
        world: number of processes.
        on_gpu: whether it has a GPU, the only one that it sees.
        surroundings: of the driver.
        render: how messages name a setting.
    """

    def __init__(
        self, rank: int, world: int, on_gpu: bool, surroundings: Surroundings, render: Callable[..., str]
    ) -> None:
        surroundings.take_over()
        os.environ.update({"RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": "0"})
        warnings.simplefilter("ignore")  # as in the command: other packages' warnings are not for its user
        warnings.simplefilter("default", JointuneWarning)
        if not on_gpu:
            os.environ["ACCELERATE_USE_CPU"] = "true"
        self._rendered = ExitStack()
        self._rendered.enter_context(settings_rendered_by(render))

    def free_address(self) -> tuple[str, str]:
        """Return the host and a free port, at which the processes can meet."""
        import ray

        with socket.socket() as free:
            free.bind(("", 0))
            return str(ray.util.get_node_ip_address()), str(free.getsockname()[1])

    def train(self, address: tuple[str, str], work: Work, argument: Any) -> Any:
        """Do the work, together with the other processes."""
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = address
        return work(argument)


def train_on_cluster(
    address: str, workers: Workers, work: Work, argument: Any, shown: bool, render: Callable[..., str]
) -> Any:
    """Do a training's work in several processes, and return what the first one returns.

    If a worker is lost, all begin again, up to ``_STARTS`` times.

    Args:
        address: of the cluster.
        workers: their number is fixed.
        work: goes on from its last state, if there is one; every worker must reach the folders that it names.
        argument: of the work, sent to each machine once.
        shown: whether to show what the workers print.
        render: how messages name a setting.

    Raises:
        ClusterError: no cluster answers at the address, or workers were lost too often.
        InterruptedTraining: Ctrl-C.
        JointuneError: the work raised it.
    """
    if workers.least != workers.most:
        number = f"{workers.least}:{workers.most}"
        raise SettingsError(f"{setting('workers', number)}: a training has a fixed number of them", setting="workers")
    with ray_cluster(address, shown) as ray:
        stored = ray.put(argument)
        for start in range(1, _STARTS + 1):
            try:
                return _train_once(ray, workers, work, stored, render)
            except KeyboardInterrupt:
                raise InterruptedTraining(
                    "training was interrupted; the state of its last validation is saved"
                ) from None
            except _LostWorkerError as lost:
                logging.getLogger(__name__).warning("a worker was lost, and the training goes on: %s", lost)
                if start == _STARTS:
                    what = f"workers were lost {counted(_STARTS, 'time')}: {lost}"
                    raise ClusterError(what, f"see Ray's log, and go on with {setting('resume', True)}") from lost
    raise AssertionError("it returned or raised")


class _LostWorkerError(Exception):
    """A worker died, or its machine did."""


def _train_once(ray: Any, workers: Workers, work: Work, stored: Any, render: Callable[..., str]) -> Any:
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    each = {name: value for name, value in (("CPU", workers.cpus), ("GPU", workers.gpus)) if value}
    group = ray.util.placement_group([each] * workers.most, strategy="PACK")
    actors: list[Any] = []
    try:
        while not ray.wait([group.ready()], timeout=30)[0]:
            logging.getLogger(__name__).warning("%s", workers.shortage_in(ray))
        for rank in range(workers.most):
            place = PlacementGroupSchedulingStrategy(group, rank)
            make = ray.remote(scheduling_strategy=place, **workers.resources)(TrainingWorker)
            actors.append(make.remote(rank, workers.most, workers.gpus > 0, Surroundings(), render))
        try:
            address = ray.get(actors[0].free_address.remote())
        except ray.exceptions.RayError as error:
            raise _LostWorkerError(first_line(error)) from error
        return _results(ray, [actor.train.remote(address, work, stored) for actor in actors])[0]
    finally:
        for actor in actors:
            ray.kill(actor)
        ray.util.remove_placement_group(group)


def _results(ray: Any, references: Sequence[Any]) -> list[Any]:
    """Return the results of all processes, or raise the error of one: that which is not due to another's."""
    results: dict[Any, Any] = {}
    errors: list[Exception] = []
    left = list(references)
    while left:
        done, left = ray.wait(left, timeout=_OTHERS_SECONDS if errors else None)
        if not done:
            break
        try:
            results[done[0]] = ray.get(done[0])
        except ray.exceptions.RayError as error:
            errors.append(error)
    if not errors:
        return [results[reference] for reference in references]
    causes = [one.cause for one in errors if isinstance(one, ray.exceptions.RayTaskError)]
    if len(causes) < len(errors):
        lost = next(one for one in errors if not isinstance(one, ray.exceptions.RayTaskError))
        raise _LostWorkerError(first_line(lost)) from lost
    raise next((cause for cause in causes if isinstance(cause, JointuneError)), causes[0])
