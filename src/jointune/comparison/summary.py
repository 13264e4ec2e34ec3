"""The summary of a comparison: scores with intervals, differences, cost, and labels saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np

from jointune.comparison.protocol import Budget
from jointune.evaluation.curve import Curve, Saving, labels_saved
from jointune.evaluation.intervals import Metric
from jointune.evaluation.paired import Difference, Estimate, estimates, holm, paired_differences
from jointune.evaluation.spread import Run

SCORES: tuple[Metric, ...] = ("accuracy", "macro_f1", "weighted_f1")
COSTS = ("trained_parameters", "train_seconds", "peak_memory_mib", "peak_gpu_memory_mib", "ms_per_post")


@dataclass(frozen=True)
class Line:
    """One method at one label budget.

    Attributes:
        method: its name.
        budget: training posts a label, None for all.
        runs: number of trainings.
        learned: training posts, mean over the runs.
        scores: score to its estimate.
        differences: score to reference minus this method; empty for the reference, and where no run is shared.
        adjusted: score to the p-value of the difference after Holm's adjustment for the methods of this budget.
        cost: mean over the runs; None where it is not known.
    """

    method: str
    budget: Budget
    runs: int
    learned: float
    scores: dict[str, Estimate]
    differences: dict[str, Difference]
    adjusted: dict[str, float]
    cost: dict[str, float | None]

    def verdict(self, score: str) -> str:
        """What the difference from the reference allows to say."""
        if score not in self.differences:
            return ""
        difference = self.differences[score]
        if not difference.distinguishable or self.adjusted[score] >= 0.05:
            return "not distinguishable"
        return "worse" if difference.value > 0 else "better"


@dataclass(frozen=True)
class Summary:
    """All lines of a comparison.

    Attributes:
        reference: the method that the others are compared with.
        lines: by budget, in the order of the methods.
        saved: for each budget of the reference, the labels that the next-best method needs to match its macro F1.
    """

    reference: str
    lines: list[Line]
    saved: list[Saving]

    def __str__(self) -> str:
        rows = [
            ("method", "labels a class", "accuracy", "macro F1", f"{self.reference} minus it (macro F1)", "", "train s")
        ]
        for line in self.lines:
            difference = line.differences.get("macro_f1")
            rows.append(
                (
                    line.method,
                    "all" if line.budget is None else str(line.budget),
                    _with_interval(line.scores["accuracy"]),
                    _with_interval(line.scores["macro_f1"]),
                    f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})" if difference else "",
                    line.verdict("macro_f1"),
                    f"{line.cost['train_seconds']:.0f}",
                )
            )
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )


def summarise(
    runs: Mapping[tuple[str, Budget], Sequence[Run]],
    costs: Mapping[tuple[str, Budget], Sequence[Mapping[str, Any]]],
    reference: str,
    labels: int,
    groups: np.ndarray,
) -> Summary:
    """Put a summary together.

    Args:
        runs: those of each method and budget.
        costs: the rows of the tidy table, likewise.
        reference: the method that the others are compared with.
        labels: number of classes.
        groups: int [posts], see ``identity_groups``.
    """
    lines = []
    for budget in dict.fromkeys(budget for _, budget in runs):
        here = {method: found for (method, b), found in runs.items() if b == budget and found}
        differences: dict[str, dict[str, Difference]] = {method: {} for method in here}
        adjusted: dict[str, dict[str, float]] = {method: {} for method in here}
        for score in SCORES:
            others = {
                method: found
                for method, found in here.items()
                if method != reference and _shared(here.get(reference, []), found)
            }
            compared = paired_differences(here.get(reference, []), others, score, labels, groups)
            values = holm([difference.p_value for difference in compared.values()])
            for (method, difference), value in zip(compared.items(), values, strict=True):
                differences[method][score] = difference
                adjusted[method][score] = value
        scored = {score: estimates(here, score, labels, groups) for score in SCORES}
        for method, found in here.items():
            rows = costs[method, budget]
            lines.append(
                Line(
                    method,
                    budget,
                    len(found),
                    mean(run.learned for run in found),
                    {score: scored[score][method] for score in SCORES},
                    differences[method],
                    adjusted[method],
                    {name: _mean([row[name] for row in rows]) for name in COSTS},
                )
            )
    return Summary(reference, lines, _saved(lines, reference))


def _saved(lines: list[Line], reference: str) -> list[Saving]:
    by_method: dict[str, list[Line]] = {}
    for line in lines:
        found = by_method.setdefault(line.method, [])
        # A budget beyond what the labels have is that of all posts again, which is a point of the curve already.
        if not found or line.learned > found[-1].learned:
            found.append(line)
    curves = {
        method: Curve([line.learned for line in found], [line.scores["macro_f1"].value for line in found])
        for method, found in by_method.items()
    }
    mine = curves.pop(reference, None)
    return labels_saved(mine, curves) if mine and curves and len(mine.budgets) > 1 else []


def _shared(first: Sequence[Run], second: Sequence[Run]) -> bool:
    return bool({(run.fold, run.seed) for run in first} & {(run.fold, run.seed) for run in second})


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def _with_interval(found: Estimate) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
