"""The summary of a comparison: scores with intervals, differences, cost, and posts saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from shutil import get_terminal_size
from statistics import mean
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jointune.comparison.protocol import Budget
from jointune.comparison.report.figures import amount, budget_name, p_value, percent, plural
from jointune.evaluation.learning_curve import Curve, Saving, posts_saved
from jointune.evaluation.scores import Metric
from jointune.evaluation.significance import Difference, Estimate, Run, estimates, holm, paired_differences

SCORES: tuple[Metric, ...] = ("accuracy", "macro_f1", "weighted_f1")
COSTS = (
    "trained_parameters",
    "train_seconds",
    "train_cpu_seconds",
    "peak_memory_mib",
    "peak_gpu_memory_mib",
    "ms_per_post",
)


@dataclass(frozen=True)
class Line:
    """One method at one budget.

    Attributes:
        method: its name.
        budget: training posts a label, None for all.
        runs: number of trainings.
        learned: training posts, mean over the runs.
        scores: score to its estimate.
        differences: score to reference minus this method; empty for the reference, and where no run is shared.
        adjusted: score to the p-value of the difference after Holm's adjustment for the methods of this budget.
        cost: mean over the runs; None where it is not known.
        compared: number of methods that were compared with the reference at this budget.
        notes: what to know before the scores are trusted, such as that a training was of no use.
    """

    method: str
    budget: Budget
    runs: int
    learned: float
    scores: dict[str, Estimate]
    differences: dict[str, Difference]
    adjusted: dict[str, float]
    cost: dict[str, float | None]
    compared: int
    notes: tuple[str, ...]

    def verdict(self, score: str) -> str:
        """What the difference from the reference allows to say."""
        if score not in self.differences:
            return ""
        difference = self.differences[score]
        if not difference.distinguishable or self.adjusted[score] >= 0.05:
            return "not distinguishable"
        return "worse" if difference.value > 0 else "better"

    def reason(self, score: str) -> str:
        """Why the verdict is what it is: interval and p-value."""
        if score not in self.differences:
            return ""
        found, adjusted = self.differences[score], self.adjusted[score]
        chance = f"p {p_value(adjusted)}"
        if self.compared > 1:
            chance += f" with {self.compared} comparisons"
            if found.p_value < 0.05 <= adjusted:
                chance += f" ({p_value(found.p_value)} uncorrected)"
        if found.low <= 0 <= found.high:
            return f"the interval holds zero; {chance}"
        joined = ", but" if self.verdict(score) == "not distinguishable" else ";"
        return f"the interval excludes zero{joined} {chance}"


@dataclass(frozen=True)
class Summary:
    """All lines of a comparison.

    Attributes:
        reference: the method that the others are compared with.
        lines: by budget, in the order of the methods.
        saved: for each budget of the reference, the posts that the next-best method needs to match its macro F1.
    """

    reference: str
    lines: list[Line]
    saved: list[Saving]

    @property
    def clock(self) -> str:
        """The cost by which methods' times are compared: CPU seconds, which a busy machine changes little.

        Seconds by the clock where a GPU did the work, or where not all CPU seconds are known.
        """
        known = all(
            line.cost["train_cpu_seconds"] is not None and line.cost["peak_gpu_memory_mib"] is None
            for line in self.lines
        )
        return "train_cpu_seconds" if known else "train_seconds"

    def __str__(self) -> str:
        return self.text(get_terminal_size().columns)

    def text(self, width: int = 80) -> str:
        """The figures of every method and budget, in lines of at most so many characters."""
        written = StringIO()
        console = Console(file=written, width=width, highlight=False, markup=False, emoji=False, color_system=None)
        wide = width >= _WIDE
        for budget in dict.fromkeys(line.budget for line in self.lines):
            lines = [line for line in self.lines if line.budget == budget]
            table = Table(
                box=None,
                padding=(0, 2, 0, 0),
                pad_edge=False,
                title=f"With {budget_name(budget)}",
                title_justify="left",
            )
            table.add_column("method", overflow="fold")
            names = ["accuracy", "macro F1"] if wide else ["macro F1"]
            for name in names:
                table.add_column(name, no_wrap=True)
            if compared := any(line.differences for line in lines):
                table.add_column(
                    Text(f"{self.reference} minus it"), no_wrap=wide, min_width=_DIFFERENCE, overflow="fold"
                )
                table.add_column("it is")
            for name in ("train s", "CPU s"):
                table.add_column(name, justify="right")
            for line in lines:
                scores = [_with_interval(line.scores[name.replace(" ", "_").lower()], wide) for name in names]
                found = line.differences.get("macro_f1")
                differences = [_with_interval(found, wide, "+") if found else "", line.verdict("macro_f1")]
                seconds = [line.cost["train_seconds"], line.cost["train_cpu_seconds"]]
                table.add_row(
                    Text(line.method),
                    *scores,
                    *(differences if compared else []),
                    *("" if value is None else amount(value) for value in seconds),
                )
            console.print(table)
            for line in lines:
                for note in line.notes:
                    console.print(f"note: {note}")
            console.print()
        if self.lines:
            console.print(
                "Ranges are 95 % intervals. The difference is of macro F1. train s: by the clock; CPU s: of all cores "
                "together, which other work on the machine changes little."
            )
        return "\n".join(line.rstrip() for line in written.getvalue().rstrip().splitlines())


_WIDE = 120
"""Characters in a line with which intervals stand beside their scores, and accuracy too."""

_DIFFERENCE = len("+0.000 to +0.000")


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
                    len(compared),
                    (*_kept_start(method, rows), *_one_label(method, rows)),
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
    return posts_saved(mine, curves) if mine and curves and len(mine.budgets) > 1 else []


def _shared(first: Sequence[Run], second: Sequence[Run]) -> bool:
    return bool({(run.fold, run.seed) for run in first} & {(run.fold, run.seed) for run in second})


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def _kept_start(method: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in how many trainings no weights were better than those before the first step."""
    number = sum(row["kept_start"] is True for row in rows)
    return [
        f"{method} kept its starting point, the probe of its frozen encoders, in {number} of "
        f"{plural(len(rows), 'training')}: on the validation posts, no later weights were better"
    ] * bool(number)


def _one_label(method: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in how many trainings nearly all test posts were given one label: 90 % of them, and 10 points too many."""
    found = [row for row in rows if row["most_given_share"] >= max(0.9, row["most_given_true_share"] + 0.1)]
    if not found:
        return []
    worst = max(found, key=lambda row: row["most_given_share"])
    return [
        f"{method} gave nearly all test posts one label in {len(found)} of {plural(len(rows), 'training')}: "
        f"{worst['most_given_label']!r} is {percent(worst['most_given_share'])} of its answers and "
        f"{percent(worst['most_given_true_share'])} of the posts"
    ]


def _with_interval(found: Estimate | Difference, beside: bool, sign: str = "") -> str:
    value, low, high = (f"{number:{sign}.3f}" for number in (found.value, found.low, found.high))
    between = f"{low} to {high}" if sign else f"{low}\N{EN DASH}{high}"
    return f"{value} ({between})" if beside else f"{value}\n{between}"
