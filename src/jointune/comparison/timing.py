"""How long the rest of a grid will take."""

from collections.abc import Mapping
from statistics import mean

from jointune.comparison.cells import Cell


def time_left(seconds: Mapping[Cell, float], sizes: Mapping[Cell, int]) -> float:
    """Seconds that the cells without a time will take, from the nearest that have one.

    Args:
        seconds: of each finished cell.
        sizes: training posts of each cell of the grid that has finished or is still to be run.
    """
    return sum(_expected(cell, seconds, sizes) for cell in sizes if cell not in seconds)


def _expected(cell: Cell, seconds: Mapping[Cell, float], sizes: Mapping[Cell, int]) -> float:
    """Of the same method and budget; else of the same method, or of any, in proportion to the training posts."""
    alike = [took for c, took in seconds.items() if (c.method, c.budget) == (cell.method, cell.budget)]
    if alike:
        return mean(alike)
    same = [c for c in seconds if c.method == cell.method] or list(seconds)
    # Validation and test posts cost as well, however few there are to learn from.
    return mean(seconds[c] * (sizes[cell] + _FIXED) / (sizes[c] + _FIXED) for c in same)


_FIXED = 300
