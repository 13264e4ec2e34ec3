"""What a tuning found: its trials, the best settings, and whether they are better than the default recipe."""

import csv
import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jointune.config import DEFAULTS, METRICS
from jointune.data.problems import Problem
from jointune.errors import InterruptedTraining
from jointune.evaluation.significance import Difference
from jointune.tuning.study import FEWEST_FOR_IMPORTANCE
from jointune.utils.files import atomic_file
from jointune.utils.markdown import table
from jointune.utils.wording import counted, option

SHOWN = 5
"""Trials in the summary's table, beside the default recipe."""


@dataclass(frozen=True)
class Verdict:
    """The best trial beside the default recipe, on the validation posts.

    Attributes:
        score: the name of what is compared.
        difference: the best trial's score minus the default's.
        p_value: that of the difference, times the number of trials that could have become the best (Bonferroni).
    """

    score: str
    difference: Difference
    p_value: float

    @property
    def distinguishable(self) -> bool:
        """Whether the gain is more than what chance alone would bring the best of so many trials."""
        return self.difference.distinguishable and self.p_value < 0.05


@dataclass(frozen=True)
class Tuned:
    """What ``tune`` found.

    Attributes:
        best: the settings of the best trial, for ``JointClassifier(**tuned.best)``.
        trials: one row a trial, in order; the first is the default recipe. Its number, the searched settings, its
            scores on the validation posts, seconds, and ``error``, None unless it failed.
        best_trial: number of the best one.
        importance: share of the variance between trials that each searched setting explains; empty where there are too
            few trials to tell.
        verdict: whether the best can be told from the default recipe; None where the default is the best.
        metric: what was searched for.
        validation_posts: number of posts that the trials were scored on.
        problems: posts that ``on_bad_image="skip"`` left out.
        ended: why the search ended.
    """

    best: dict[str, Any]
    trials: list[dict[str, Any]]
    best_trial: int
    importance: dict[str, float]
    verdict: Verdict | None
    metric: str
    validation_posts: int
    problems: list[Problem]
    ended: str

    @property
    def options(self) -> list[str]:
        """``best`` as options of ``jointune train``: what was searched, and what else is not the default."""
        return [
            word
            for name, value in self.best.items()
            if name in self.trials[0] or value != DEFAULTS[name]
            for word in _option(name, value)
        ]

    def summary(self) -> str:
        """The best trials in a table, and what can be concluded from them; for people."""
        rows = self.table()
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*table, "", *self.conclusions()])

    def table(self) -> list[list[str]]:
        """The best trials, the best first, and the default recipe; below a row of column names."""
        scores = [self.metric, *(name for name in METRICS if name != self.metric)]
        searched = [name for name in self.trials[0] if name not in ("trial", *METRICS, "seconds", "error")]
        ranked = sorted(
            (row for row in self.trials if not row["error"]),
            key=lambda row: (row["trial"] != self.best_trial, rank(row, self.metric)),
        )
        shown = ranked[:SHOWN] + [row for row in ranked[SHOWN:] if row["trial"] == 0]
        return [
            ["trial", *map(_spelled, scores), *searched, "seconds"],
            *(
                [
                    f"{row['trial']} (default)" if row["trial"] == 0 else str(row["trial"]),
                    *(f"{row[name]:.3f}" for name in scores),
                    *(str(row[name]) for name in searched),
                    f"{row['seconds']:.0f}",
                ]
                for row in shown
            ),
        ]

    def conclusions(self) -> list[str]:
        """What the trials allow to say, one sentence or two each."""
        said = [f"{self.ended[:1].upper()}{self.ended[1:]}."]
        failed = sum(bool(row["error"]) for row in self.trials)
        if failed:
            said.append(f"{counted(failed, 'trial')} failed; trials.csv says why.")
        if self.importance:
            shares = ", ".join(f"{name} {share:.0%}" for name, share in self.importance.items())
            said.append(
                f"What mattered, as the share of the variance between {counted(len(self.trials), 'trial')}: {shares}."
            )
        else:
            said.append(
                f"Which settings mattered cannot be told: it takes {FEWEST_FOR_IMPORTANCE} finished trials that differ."
            )
        return [*said, self._compared(), self._caution()]

    def _compared(self) -> str:
        if self.verdict is None:
            return "No trial beat the default recipe: keep it."
        found = self.verdict.difference
        told = (
            "more than chance alone would bring the best of so many"
            if self.verdict.distinguishable
            else "not distinguishable from chance"
        )
        return (
            f"Trial {self.best_trial} against the default recipe, in {_spelled(self.verdict.score)}: "
            f"{found.value:+.3f} (95 % interval {found.low:+.3f} to {found.high:+.3f}), p = {self.verdict.p_value:.2g} "
            f"after allowing for the number of trials: {told}."
        )

    def _caution(self) -> str:
        accuracy = self.trials[self.best_trial]["accuracy"]
        error = math.sqrt(accuracy * (1 - accuracy) / self.validation_posts)
        return (
            f"One standard error of an accuracy on these {self.validation_posts:,} validation posts is {error:.3f}, "
            "and the best of many scores flatters. Compare the best settings with the default ones on other posts and "
            "with several seeds before you trust them."
        )


class InterruptedTuning(InterruptedTraining):
    """A tuning was stopped by Ctrl-C; ``tuned`` is what it found until then, None where no trial was finished."""

    def __init__(self, message: str, tuned: Tuned | None) -> None:
        super().__init__(message)
        self.tuned = tuned


def rank(row: Mapping[str, Any], metric: str) -> tuple[float, float]:
    """What to sort finished trials by, the best first: the metric, and log loss where it ties."""
    return (row["log_loss"] if metric == "log_loss" else -row[metric], row["log_loss"])


def _spelled(score: str) -> str:
    return score.replace("_f1", " F1").replace("_", " ")


def _option(name: str, value: Any) -> list[str]:
    if name == "class_weight":
        return [option("balanced")] if value == "balanced" else []
    if name == "device" or (value is None and name != "train_layers"):
        return []
    return shlex.split(option(name, value))


def write_report(tuned: Tuned, folder: Path) -> None:
    """Write the three files, each whole or not at all.

    Raises:
        OutputError: they cannot be written.
    """
    with atomic_file(folder / "trials.csv") as path, open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(tuned.trials[0]))
        writer.writeheader()
        writer.writerows(tuned.trials)
    with atomic_file(folder / "best.json") as path:
        path.write_text(json.dumps(tuned.best, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    with atomic_file(folder / "report.md") as path:
        path.write_text("\n".join(_lines(tuned)) + "\n", encoding="utf-8")


def _lines(tuned: Tuned) -> list[str]:
    header, *rows = tuned.table()
    return [
        "# Tuning",
        "",
        f"{counted(len(tuned.trials), 'trial')}, each scored on the same "
        f"{counted(tuned.validation_posts, 'validation post')}; the best of "
        "them:",
        "",
        *table(header, "l" + "r" * (len(header) - 1), rows),
        "",
        *(line for sentence in tuned.conclusions() for line in (sentence, "")),
        "All trials are in `trials.csv`. The best settings are in `best.json`, for `JointClassifier(**settings)`, and, "
        "with your posts and the options that say which columns are what, for",
        "",
        "```bash",
        f"jointune train POSTS {option('out', 'MODEL')} {shlex.join(tuned.options)}",
        "```",
    ]
