"""The result of a tuning: its trials, the best settings, their test against the default recipe, and the report."""

import csv
import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jointune.config import DEFAULTS
from jointune.data.problems import Problem
from jointune.errors import InterruptedTraining
from jointune.evaluation.significance import Difference
from jointune.output.writers import safe_cell
from jointune.targets.choice import TARGETS
from jointune.targets.target import rank as better
from jointune.tuning.study import FEWEST_FOR_IMPORTANCE
from jointune.utils.files import atomic_file
from jointune.utils.markdown import literal, table
from jointune.utils.wording import counted, option

_SHOWN = 5
"""Trials in the summary's table, beside the default recipe."""


@dataclass(frozen=True)
class Tuned:
    """The result of ``tune``.

    Attributes:
        best: the settings of the best trial, for ``JointClassifier(**tuned.best)``.
        trials: one row for each trial, in order, the default recipe first: its number, the searched settings, its
            scores on the validation posts, seconds, and ``error``, None unless it failed.
        best_trial: number of the best trial.
        importance: share of the variance between trials that each searched setting explains; empty if there are too
            few trials to tell.
        gain: the best trial's score minus the default recipe's, on the validation posts; its p-value is multiplied by
            the number of trials that could have become the best (Bonferroni). None if the default recipe is the best.
        metric: score that was optimised.
        validation_posts: number of posts that the trials were scored on.
        problems: posts that ``on_bad_image="skip"`` left out.
        ended: reason why the search ended.
    """

    best: dict[str, Any]
    trials: list[dict[str, Any]]
    best_trial: int
    importance: dict[str, float]
    gain: Difference | None
    metric: str
    validation_posts: int
    problems: list[Problem]
    ended: str

    @property
    def options(self) -> list[str]:
        """``best`` as options of ``jointune train``: searched settings, and others that differ from their default."""
        return [
            word
            for name, value in self.best.items()
            if name in self.trials[0] or value != DEFAULTS[name]
            for word in _option(name, value)
        ]

    def summary(self) -> str:
        """Return a table of the best trials and the conclusions, as text for people."""
        rows = self.table()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, "", *self.conclusions()])

    def table(self) -> list[list[str]]:
        """Return a header, the best trials in order, and the default recipe, as rows of cells."""
        names = TARGETS[self.best.get("target", "single")].metric_names
        scores = [self.metric, *(name for name in names if name != self.metric)]
        searched = [name for name in self.trials[0] if name not in ("trial", *names, "seconds", "error")]
        ranked = sorted((row for row in self.trials if not row["error"]), key=lambda row: rank(row, self.metric))
        shown = ranked[:_SHOWN] + [row for row in ranked[_SHOWN:] if row["trial"] == 0]
        return [
            ["trial", *map(_score_name, scores), *searched, "seconds"],
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
        """Return what follows from the trials, one sentence or two each."""
        sentences = [f"{self.ended[:1].upper()}{self.ended[1:]}."]
        if failed := sum(bool(row["error"]) for row in self.trials):
            sentences.append(f"{counted(failed, 'trial')} failed; trials.csv says why.")
        if self.importance:
            shares = ", ".join(f"{name} {share:.0%}" for name, share in self.importance.items())
            number = counted(len(self.trials), "trial")
            sentences.append(f"What mattered, as the share of the variance between {number}: {shares}.")
        else:
            sentences.append(
                f"Which settings mattered cannot be told: it takes {FEWEST_FOR_IMPORTANCE} finished trials that differ."
            )
        return [*sentences, self._comparison(), self._caution()]

    def _comparison(self) -> str:
        gain = self.gain
        if gain is None:
            return "No trial beat the default recipe: keep it."
        kind = TARGETS[self.best.get("target", "single")]
        score = _score_name(self.metric if self.metric in kind.compared else kind.compared[0])
        conclusion = (
            "more than chance alone would bring the best of so many"
            if gain.distinguishable
            else "not distinguishable from chance"
        )
        return (
            f"Trial {self.best_trial} against the default recipe, in {score}: {gain.value:+.3f} (95 % interval "
            f"{gain.low:+.3f} to {gain.high:+.3f}), p = {gain.p_value:.2g} after allowing for the number of trials: "
            f"{conclusion}."
        )

    def _caution(self) -> str:
        accuracy, posts = (
            self.trials[self.best_trial].get("accuracy"),
            counted(self.validation_posts, "validation post"),
        )
        error = "" if accuracy is None else f"{math.sqrt(accuracy * (1 - accuracy) / self.validation_posts):.3f}"
        start = f"On these {posts},"
        if error:
            start = f"One standard error of an accuracy on these {posts} is {error}, and"
        return (
            f"{start} the best of many scores flatters. Compare the best settings with the default ones on other posts "
            "and with several seeds before you trust them."
        )


class InterruptedTuning(InterruptedTraining):
    """Ctrl-C stopped a tuning; ``tuned`` is the result of its finished trials, None if there are none."""

    def __init__(self, message: str, tuned: Tuned | None) -> None:
        super().__init__(message)
        self.tuned = tuned


def rank(row: Mapping[str, Any], metric: str) -> tuple[float, float, int]:
    """Return a key that sorts trials, the best first: by metric, by log loss or squared error, and by number."""
    tie = row["log_loss"] if "log_loss" in row else row["rmse"]
    return (-better(metric, row[metric]), tie, row["trial"])


def _score_name(score: str) -> str:
    return score.replace("_f1", " F1").replace("_", " ")


def _option(name: str, value: Any) -> list[str]:
    if name == "class_weight" and value is None:
        value = "none"
    if name == "device" or isinstance(value, dict) or (value is None and name != "train_layers"):
        return []
    return shlex.split(option(name, value))


def write_report(tuned: Tuned, folder: Path) -> None:
    """Write ``trials.csv``, ``best.json`` and ``report.md``, each whole or not at all.

    Raises:
        OutputError: a file cannot be written.
    """
    with atomic_file(folder / "trials.csv") as path, open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(tuned.trials[0]))
        writer.writeheader()
        for row in tuned.trials:
            writer.writerow(
                {name: safe_cell(value) if isinstance(value, str) else value for name, value in row.items()}
            )
    with atomic_file(folder / "best.json") as path:
        path.write_text(json.dumps(tuned.best, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    with atomic_file(folder / "report.md") as path:
        path.write_text(_report(tuned), encoding="utf-8")


def _report(tuned: Tuned) -> str:
    header, *rows = tuned.table()
    trials, posts = counted(len(tuned.trials), "trial"), counted(tuned.validation_posts, "validation post")
    lines = [
        "# Tuning",
        "",
        f"{trials}, each scored on the same {posts}; the best of them:",
        "",
        *table(header, "l" + "r" * (len(header) - 1), [[literal(cell) for cell in row] for row in rows]),
        "",
        *(line for sentence in tuned.conclusions() for line in (sentence, "")),
        "All trials are in `trials.csv`. The best settings are in `best.json`, for `JointClassifier(**settings)`, and, "
        "with your posts and the options that say which columns are what, for",
        "",
        "```bash",
        f"jointune train POSTS {option('out', 'MODEL')} {shlex.join(tuned.options)}",
        "```",
    ]
    return "\n".join(lines) + "\n"
