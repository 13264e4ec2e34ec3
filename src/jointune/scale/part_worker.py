"""Score parts on the workers of a Ray cluster."""

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from jointune import __version__
from jointune.errors import JointuneWarning, settings_rendered_by
from jointune.inference.predictor import Predictor
from jointune.output.predicted_table import PredictOptions
from jointune.scale.input_parts import InputPart
from jointune.scale.part_predictor import PartPredictor
from jointune.scale.ray_cluster import ClusterError, Surroundings, Workers
from jointune.scale.scored_folder import FinishedPart, ScoredFolder
from jointune.scale.worker_pool import WorkerPool
from jointune.utils.run_folder import scratch_folder

R = TypeVar("R")


class PartWorker:
    """An actor that holds a predictor and scores parts; two at a time, whose model runs in turn.

    Args:
        options: what is predicted.
        folder: of the output.
        bundle: content of the bundle's files by their names.
        version: of jointune that the driver runs.
        surroundings: of the driver.
        render: how messages name a setting.
    """

    def __init__(
        self,
        options: PredictOptions,
        folder: ScoredFolder,
        bundle: dict[str, bytes],
        version: str,
        surroundings: Surroundings,
        render: Callable[..., str],
    ) -> None:
        self._options, self._folder, self._bundle, self._version = options, folder, bundle, version
        surroundings.take_over()
        self._rendered = ExitStack()
        self._rendered.enter_context(settings_rendered_by(render))

    def ready(self) -> None:
        """Load the predictor; the bundle need not lie where a worker can read it."""
        if __version__ != self._version:
            raise ClusterError(
                f"the cluster's workers run jointune {__version__}, and this is {self._version}",
                "install one of them everywhere",
            )
        with scratch_folder("bundle") as copy:
            for name, content in self._bundle.items():
                (copy / name).write_bytes(content)
            options = replace(self._options, bundle=str(copy))
            self._parts = PartPredictor(options, self._folder, _in_turn(options.load()))

    def work(self, part: InputPart) -> FinishedPart:
        """Score a part; see ``PartPredictor.ensure``."""
        return self._parts.ensure(part)


def _in_turn(predictor: Predictor) -> Predictor:
    """Return a predictor whose model runs for one thread at a time: two would take the cores from each other."""
    lock = Lock()

    def guarded(run: Callable[..., R]) -> Callable[..., R]:
        def call(*arguments: Any) -> R:
            with lock:
                return run(*arguments)

        return call

    vectors = predictor.vectors and guarded(predictor.vectors)
    return replace(predictor, probabilities=guarded(predictor.probabilities), vectors=vectors)


def predict_on_cluster(
    ray: Any,
    parts: Sequence[InputPart],
    options: PredictOptions,
    folder: ScoredFolder,
    bundle: Path,
    workers: Workers,
    render: Callable[..., str],
) -> Generator[FinishedPart, None, None]:
    """Score parts on the workers of a cluster, and yield each one that is finished. Close it before the connection.

    Args:
        ray: the package, connected.
        parts: of the input.
        options: what is predicted.
        folder: of the output, which every worker must reach.
        bundle: its folder on this machine.
        workers: their number.
        render: how messages name a setting.
    """
    content = {file.name: file.read_bytes() for file in sorted(bundle.iterdir()) if file.is_file()}
    # Once for each machine, in the memory that its workers share.
    arguments = (options, folder, ray.put(content), __version__, Surroundings(), render)
    actor = ray.remote(max_concurrency=2, **workers.resources)(PartWorker)

    def warn(note: str) -> None:
        warnings.warn(note, JointuneWarning, stacklevel=2)

    pool: WorkerPool[InputPart, FinishedPart] = WorkerPool(ray, lambda: actor.remote(*arguments), workers, 2, warn)
    yield from pool.results(parts)
