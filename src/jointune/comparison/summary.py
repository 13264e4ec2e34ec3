"""Summarise a comparison: scores with intervals, differences, cost, and posts saved."""

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

from jointune.evaluation.learning_curve import Curve, Saving, posts_saved
from jointune.evaluation.score_table import title
from jointune.evaluation.significance import Difference, Estimate, estimates, holm, paired_differences
from jointune.evaluation.variance import Run
from jointune.output.pages.figures import amount, budget_name, p_value, percent
from jointune.targets.target import FALLING, Target
from jointune.utils.wording import counted

COSTS = (
    "trained_parameters",
    "train_seconds",
    "train_cpu_seconds",
    "peak_memory_mib",
    "peak_gpu_memory_mib",
    "ms_per_post",
)

_WIDE = 120
"""Characters per line with which intervals stand beside their scores, and accuracy too."""


@dataclass(frozen=True)
class Line:
    """One method at one label budget.

    Attributes:
        method: its name.
        budget: training posts per label, None for all.
        runs: number of trainings.
        train_size: training posts, mean over the runs.
        scores: the estimate of each score.
        differences: reference minus this method, for each score; empty for the reference, and if no run is shared.
        adjusted: the p-value of each difference after Holm's adjustment for the methods of this budget.
        cost: mean over the runs; None if it is not known.
        compared: number of methods that were compared with the reference at this budget.
        notes: what to know before the scores are trusted, such as that a training was of no use.
        main: the name of the score by which methods are sorted.
    """

    method: str
    budget: int | None
    runs: int
    train_size: float
    scores: dict[str, Estimate]
    differences: dict[str, Difference]
    adjusted: dict[str, float]
    cost: dict[str, float | None]
    compared: int
    notes: tuple[str, ...]
    main: str = "macro_f1"

    @property
    def score(self) -> Estimate:
        """The estimate of the main score."""
        return self.scores[self.main]

    @property
    def difference(self) -> Difference | None:
        """The difference of the main score; None if not compared."""
        return self.differences.get(self.main)

    def verdict(self, score: str) -> str:
        """Return ``better`` or ``worse`` than the reference, ``not distinguishable``, or nothing if not compared."""
        if score not in self.differences:
            return ""
        difference = self.differences[score]
        if not difference.distinguishable or self.adjusted[score] >= 0.05:
            return "not distinguishable"
        return "worse" if (difference.value > 0) != (score in FALLING) else "better"

    def reason(self, score: str) -> str:
        """Return the reason of the verdict: interval and p-value."""
        if score not in self.differences:
            return ""
        difference, adjusted = self.differences[score], self.adjusted[score]
        chance = f"p {p_value(adjusted)}"
        if self.compared > 1:
            chance += f" with {self.compared} comparisons"
            if difference.p_value < 0.05 <= adjusted:
                chance += f" ({p_value(difference.p_value)} uncorrected)"
        if difference.low <= 0 <= difference.high:
            return f"the interval holds zero; {chance}"
        joined = ", but" if self.verdict(score) == "not distinguishable" else ";"
        return f"the interval excludes zero{joined} {chance}"


@dataclass(frozen=True)
class Summary:
    """All lines of a comparison.

    Attributes:
        reference: the method that the others are compared with.
        lines: by budget, in the order of the methods.
        saved: for each budget of the reference, the posts that the next-best method needs to match its main score.
        target: what is asked of the posts.
    """

    reference: str
    lines: list[Line]
    saved: list[Saving]
    target: Target

    @property
    def main(self) -> str:
        """The name of the main score, for people."""
        return title(self.target.main)

    @property
    def clock(self) -> str:
        """The cost by which training times are compared: CPU seconds, which a busy machine changes little.

        It is wall time if a GPU did the work, or if not all CPU seconds are known.
        """
        costs = [line.cost for line in self.lines]
        known = all(c["train_cpu_seconds"] is not None and c["peak_gpu_memory_mib"] is None for c in costs)
        return "train_cpu_seconds" if known else "train_seconds"

    def at(self, budget: int | None) -> list[Line]:
        """Return the lines of a budget."""
        return [line for line in self.lines if line.budget == budget]

    def __str__(self) -> str:
        return self.text(get_terminal_size().columns)

    def text(self, width: int = 80) -> str:
        """Return the figures of every method and budget, for a terminal of ``width`` characters."""
        written = StringIO()
        console = Console(file=written, width=width, highlight=False, markup=False, emoji=False, color_system=None)
        for budget in dict.fromkeys(line.budget for line in self.lines):
            console.print(self._terminal_table(budget, width >= _WIDE))
            for line in self.at(budget):
                for note in line.notes:
                    console.print(f"note: {note}")
            console.print()
        if self.lines:
            console.print(
                f"Ranges are 95 % intervals. The difference is of {self.main}. train s: by the clock; CPU s: of all "
                "cores together, which other work on the machine changes little."
            )
        return "\n".join(line.rstrip() for line in written.getvalue().rstrip().splitlines())

    def _terminal_table(self, budget: int | None, wide: bool) -> Table:
        heading = f"With {budget_name(budget)}"
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, title=heading, title_justify="left")
        table.add_column("method", overflow="fold")
        main = self.target.main
        beside = next(name for name in self.target.compared if name != main)
        metrics = {name: title(name) for name in ((beside, main) if wide else (main,))}
        for name in metrics.values():
            table.add_column(name, no_wrap=True)
        if compared := any(line.differences for line in self.at(budget)):
            narrowest = len("+0.000 to +0.000")
            table.add_column(Text(f"{self.reference} minus it"), no_wrap=wide, min_width=narrowest, overflow="fold")
            table.add_column("it is")
        for name in ("train s", "CPU s"):
            table.add_column(name, justify="right")
        for line in self.at(budget):
            cells = [_with_interval(line.scores[metric], wide) for metric in metrics]
            if compared:
                difference = line.difference
                cells += [_with_interval(difference, wide, "+") if difference else "", line.verdict(main)]
            seconds = [line.cost["train_seconds"], line.cost["train_cpu_seconds"]]
            table.add_row(Text(line.method), *cells, *("" if value is None else amount(value) for value in seconds))
        return table


def summarise(
    runs: Mapping[tuple[str, int | None], Sequence[Run]],
    rows: Mapping[tuple[str, int | None], Sequence[Mapping[str, Any]]],
    reference: str,
    target: Target,
    groups: np.ndarray,
) -> Summary:
    """Summarise runs.

    Args:
        runs: of each method and budget.
        rows: of the tidy table, one per run.
        reference: the method that the others are compared with.
        target: what is asked of the posts.
        groups: int [posts], see ``identity_groups``.
    """
    lines, names = [], target.compared
    for budget in dict.fromkeys(budget for _, budget in runs):
        by_method = {method: of_method for (method, other), of_method in runs.items() if other == budget and of_method}
        own = by_method.get(reference, [])
        others = {name: one for name, one in by_method.items() if name != reference and _share_a_run(own, one)}
        measures = {score: target.measure(score) for score in names}
        labels = len(target.labels)
        scores = {score: estimates(by_method, measures[score], labels, groups) for score in names}
        differences = {score: paired_differences(own, others, measures[score], labels, groups) for score in names}
        adjusted = {
            score: dict(zip(others, holm([one.p_value for one in differences[score].values()]), strict=True))
            for score in names
        }
        for method, of_method in by_method.items():
            rows_of_method, compared = rows[method, budget], names if method in others else ()
            lines.append(
                Line(
                    method,
                    budget,
                    len(of_method),
                    mean(run.learned for run in of_method),
                    {score: scores[score][method] for score in names},
                    {score: differences[score][method] for score in compared},
                    {score: adjusted[score][method] for score in compared},
                    {name: _mean([row[name] for row in rows_of_method]) for name in COSTS},
                    len(others),
                    (*_kept_start(method, rows_of_method), *_one_label(method, rows_of_method)),
                    target.main,
                )
            )
    return Summary(reference, lines, _saved(lines, reference), target)


def _saved(lines: list[Line], reference: str) -> list[Saving]:
    by_method: dict[str, list[Line]] = {}
    for line in lines:
        curve = by_method.setdefault(line.method, [])
        # A budget beyond what the labels have is that of all posts again, which is a point of the curve already.
        if not curve or line.train_size > curve[-1].train_size:
            curve.append(line)
    curves = {
        method: Curve([line.train_size for line in curve], [line.score.value for line in curve])
        for method, curve in by_method.items()
    }
    own = curves.pop(reference, None)
    return posts_saved(own, curves) if own and curves and len(own.budgets) > 1 else []


def _share_a_run(first: Sequence[Run], second: Sequence[Run]) -> bool:
    return bool({(run.fold, run.seed) for run in first} & {(run.fold, run.seed) for run in second})


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def _kept_start(method: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Count the trainings in which no weights were better than those before the first step."""
    number = sum(row["kept_start"] is True for row in rows)
    return [
        f"{method} kept its starting point, the probe of its frozen encoders, in {number} of "
        f"{counted(len(rows), 'training')}: on the validation posts, no later weights were better"
    ] * bool(number)


def _one_label(method: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Count the trainings that gave nearly all test posts one label: 90 % of them, and 10 points too many."""
    rows_of_one = [
        row
        for row in rows
        if "most_given_share" in row and row["most_given_share"] >= max(0.9, row["most_given_true_share"] + 0.1)
    ]
    if not rows_of_one:
        return []
    worst = max(rows_of_one, key=lambda row: row["most_given_share"])
    return [
        f"{method} gave nearly all test posts one label in {len(rows_of_one)} of {counted(len(rows), 'training')}: "
        f"{worst['most_given_label']!r} is {percent(worst['most_given_share'])} of its answers and "
        f"{percent(worst['most_given_true_share'])} of the posts"
    ]


def _with_interval(estimate: Estimate | Difference, beside: bool, sign: str = "") -> str:
    value, low, high = (f"{number:{sign}.3f}" for number in (estimate.value, estimate.low, estimate.high))
    between = f"{low} to {high}" if sign else f"{low}\N{EN DASH}{high}"
    return f"{value} ({between})" if beside else f"{value}\n{between}"
