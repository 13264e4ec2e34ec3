"""Late fusion put together from finished cells."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jointune.baselines.late import Mixture
from jointune.comparison.cells import Cell, CellResult, Cost, load_result, save_result

WEIGHT = "weight of text"
"""The detail by which to know a cell that was put together."""

TEMPERATURE = "temperature of the average"
"""The detail beside it."""


def parts_of_late(cell: Cell, folder: Path) -> tuple[CellResult, CellResult] | None:
    """Text alone and picture alone of the same run, where both are at hand: nothing is trained twice."""
    text, image = (load_result(Cell(name, cell.fold, cell.seed, cell.budget), folder) for name in ("text", "image"))
    return (text, image) if text and image else None


def late_of(
    cell: Cell, parts: tuple[CellResult, CellResult], truth: np.ndarray, metric: str, folder: Path
) -> CellResult:
    """The cell of late fusion, stored like any other.

    Args:
        cell: which.
        parts: text alone and picture alone of the same run.
        truth: class numbers of all posts, int [posts].
        metric: the validation score that chooses the weight.
        folder: of the cells.
    """
    text, image = parts
    mixture = Mixture.fitted(truth[text.check], text.check_scores, image.check_scores, metric)

    def both(name: str, add: Callable[[Any, Any], Any]) -> Any:
        first, second = getattr(text.cost, name), getattr(image.cost, name)
        return None if first is None or second is None else add(first, second)

    cost = Cost(
        both("trained_parameters", lambda a, b: a + b),
        text.cost.train_seconds + image.cost.train_seconds,
        text.cost.predict_seconds + image.cost.predict_seconds,
        both("peak_memory", max),
        both("peak_gpu_memory", max),
        both("train_cpu_seconds", lambda a, b: a + b),
    )
    result = CellResult(
        cell,
        text.learned,
        text.check,
        mixture(text.check_scores, image.check_scores),
        text.test,
        mixture(text.test_scores, image.test_scores),
        cost,
        [],
        {WEIGHT: mixture.weight, TEMPERATURE: mixture.temperature},
    )
    save_result(result, folder)
    return result
