"""The result of a comparison: a tidy table of its cells, and their summary."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from jointune.comparison.cells import CellResult, Failure, stored_failures, stored_results
from jointune.comparison.methods import METHODS
from jointune.comparison.summary import Summary, summarise
from jointune.data.folds import Fold
from jointune.data.post import Posts
from jointune.data.problems import Problem
from jointune.errors import SettingsError
from jointune.evaluation.score_table import ScoreTable
from jointune.evaluation.significance import Run
from jointune.targets.choice import chosen_target
from jointune.targets.target import Target
from jointune.utils.files import COMPARISON_MARK
from jointune.utils.run_folder import RunFolder

MIB = 2**20


@dataclass(frozen=True)
class Comparison:
    """All finished cells of a comparison.

    Attributes:
        about: posts, protocol, settings and versions; the content of ``comparison.json``.
        posts: all posts.
        groups: one number per post, the same for posts that share an image or a text.
        folds: the divisions into training, validation and test posts.
        results: the finished cells.
        failures: the crashed cells.
        problems: of the images that ``on_bad_image`` passed over.
    """

    about: dict[str, Any]
    posts: Posts
    groups: tuple[int, ...]
    folds: tuple[Fold, ...]
    results: list[CellResult]
    failures: list[Failure]
    problems: tuple[Problem, ...] = ()

    @classmethod
    def load(cls, folder: Path, posts: Posts, groups: list[int], folds: list[Fold]) -> "Comparison":
        """Load all cells that are stored in a comparison's folder.

        Raises:
            OutputError: a file is damaged.
        """
        results, failures = list(stored_results(folder / "cells")), list(stored_failures(folder / "cells"))
        return cls(
            RunFolder(folder, COMPARISON_MARK).fingerprint(), posts, tuple(groups), tuple(folds), results, failures
        )

    @cached_property
    def target(self) -> Target:
        """What is asked of the posts, with their labels."""
        return chosen_target(self.about.get("setup", {}).get("settings", {})).fitted(self.posts)

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of all probabilities; none where they are numbers."""
        return self.target.labels

    @cached_property
    def truth(self) -> np.ndarray:
        """The label of every post, encoded by the target, [posts, ...]."""
        return self.target.encode(self.posts)

    @cached_property
    def methods(self) -> list[str]:
        """The methods that have a finished cell, in the order of ``METHODS``, one's own after them."""
        order = {name: number for number, name in enumerate(METHODS)}
        return sorted({result.cell.method for result in self.results}, key=lambda name: (order.get(name, 99), name))

    @cached_property
    def budgets(self) -> list[int | None]:
        """The budgets that have a finished cell, ascending, None (all training posts) last."""
        return sorted({result.cell.budget for result in self.results}, key=lambda budget: (budget is None, budget or 0))

    def of(self, method: str, budget: int | None) -> list[CellResult]:
        """Return the finished cells of a method and a budget, by fold and seed."""
        cells = [result for result in self.results if (result.cell.method, result.cell.budget) == (method, budget)]
        return sorted(cells, key=lambda result: (result.cell.fold, result.cell.seed))

    def predicted(self, result: CellResult) -> np.ndarray:
        """Return the predictions of a cell for its test posts, with what its validation posts choose."""
        tuned = self.target.tuned(self.truth[result.validation], result.validation_scores)
        return tuned.choose(result.test_scores)

    def metrics(self, result: CellResult) -> ScoreTable:
        """Score a cell on its test posts."""
        return self.target.metrics(self.truth[result.test], result.test_scores, chosen=self.predicted(result))

    def alike(self, first: str, second: str, budget: int | None) -> bool:
        """Return True if two methods answer every test post alike in all trainings they share, at least one."""
        answers = {(r.cell.fold, r.cell.seed): self.predicted(r) for r in self.of(first, budget)}
        shared = [r for r in self.of(second, budget) if (r.cell.fold, r.cell.seed) in answers]
        return bool(shared) and all(
            np.array_equal(answers[r.cell.fold, r.cell.seed], self.predicted(r)) for r in shared
        )

    def table(self) -> list[dict[str, Any]]:
        """Return one row per cell: method, fold, seed, budget, scores on the test posts, and cost."""
        return [dict(row) for rows in self._rows.values() for row in rows]

    def summary(self, reference: str | None = None) -> Summary:
        """Return scores with intervals, and the difference of each method from ``reference``.

        Args:
            reference: the method that the others are compared with; ``joint`` by default, or the first.

        Raises:
            SettingsError: no cell of the reference is finished.
        """
        if reference is None:
            reference = "joint" if "joint" in self.methods or not self.methods else self.methods[0]
        elif reference not in self.methods:
            raise SettingsError(f"reference={reference!r}: choose among {', '.join(self.methods)}", setting="reference")
        if reference not in self._summaries:
            runs = {key: [self._run(result) for result in self.of(*key)] for key in self._rows}
            groups = np.array(self.groups)
            self._summaries[reference] = summarise(runs, self._rows, reference, self.target, groups)
        return self._summaries[reference]

    @cached_property
    def _summaries(self) -> dict[str, Summary]:
        return {}

    @cached_property
    def _rows(self) -> dict[tuple[str, int | None], list[dict[str, Any]]]:
        keys = [(method, budget) for method in self.methods for budget in self.budgets]
        return {key: [self._row(result) for result in self.of(*key)] for key in keys}

    def _run(self, result: CellResult) -> Run:
        cell, predicted = result.cell, self.predicted(result)
        return Run(cell.fold, cell.seed, result.test, self.truth[result.test], predicted, result.train_size)

    def _row(self, result: CellResult) -> dict[str, Any]:
        metrics, cost = self.metrics(result), result.cost
        return {
            "method": result.cell.method,
            "fold": result.cell.fold,
            "seed": result.cell.seed,
            "labels_per_class": "all" if result.cell.budget is None else result.cell.budget,
            "training_posts": result.train_size,
            "validation_posts": len(result.validation),
            "test_posts": len(result.test),
            **{name: getattr(metrics, name) for name in (*metrics.with_intervals, *metrics.without) if name != "auroc"},
            "trained_parameters": cost.trained_parameters,
            "train_seconds": cost.train_seconds,
            "train_cpu_seconds": cost.train_cpu_seconds,
            "peak_memory_mib": None if cost.peak_memory is None else cost.peak_memory / MIB,
            "peak_gpu_memory_mib": None if cost.peak_gpu_memory is None else cost.peak_gpu_memory / MIB,
            "ms_per_post": 1000 * cost.predict_seconds / len(result.test),
            "kept_start": result.kept_start,
            **(self._most_given(result) if self.target.each_one_label else {}),
        }

    def _most_given(self, result: CellResult) -> dict[str, Any]:
        predicted = self.predicted(result)
        commonest = int(np.bincount(predicted, minlength=len(self.labels)).argmax())
        return {
            "most_given_label": self.labels[commonest],
            "most_given_share": float((predicted == commonest).mean()),
            "most_given_true_share": float((self.truth[result.test] == commonest).mean()),
        }
