"""A page that shows how well a model does on labelled posts, and on which it fails."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jointune.data.split import identity_groups
from jointune.evaluation.score_table import ScoreTable, title
from jointune.evaluation.significance import Difference
from jointune.inference.evaluate import Evaluation
from jointune.output.pages.drawings import reliability
from jointune.output.pages.figures import MINUS, count, interval, listed, p_value, score, signed, signed_interval
from jointune.output.pages.page_tables import Column, Table, Value, class_table, confusion_table
from jointune.output.pages.post_cards import card, one_of_each, parting, prediction
from jointune.output.pages.render import render
from jointune.utils.files import atomic_file
from jointune.utils.wording import counted, encodable

_MOST_LABELS = 40
"""Labels up to which a confusion matrix is shown."""

_MOST_VALUES = 50
"""Rows of the table by the values of a column."""


@dataclass(frozen=True)
class Rival:
    """Another model on the same posts: its name, its evaluation, and how the scores differ."""

    name: str
    evaluation: Evaluation
    differences: Mapping[str, Difference]


@dataclass(frozen=True)
class _Whisker:
    value: float
    low: float
    high: float


def write_evaluation(
    path: Path,
    name: str,
    evaluation: Evaluation,
    by: Mapping[str, Mapping[str, ScoreTable]],
    rival: Rival | None = None,
) -> None:
    """Write the page: one file, which needs no network.

    What a target has no part in, such as a confusion matrix of numbers, is left out.

    Args:
        path: of the page.
        name: of the model.
        evaluation: what it did.
        by: scores of the posts of each value, by column.
        rival: another model to compare with.

    Raises:
        OutputError: it cannot be written.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    page = render("evaluation.html.j2", _content(name, evaluation, by, rival), autoescape=True)
    with atomic_file(path) as temporary:
        temporary.write_bytes(encodable(page).encode("utf-8"))


def _content(
    name: str, evaluation: Evaluation, by: Mapping[str, Mapping[str, ScoreTable]], rival: Rival | None
) -> dict[str, Any]:
    metrics, target = evaluation.metrics, evaluation.target
    groups = identity_groups(evaluation.posts)
    wrong, hits = _errors_and_hits(evaluation)
    matrix = getattr(metrics, "confusion_matrix", None)
    sections = {
        "scores": "Scores",
        "against": f"Against {rival.name}" if rival else "",
        "by": f"By {listed(list(by))}" if by else "",
        "labels": "Labels" if metrics.by_label() else "",
        "confusion": "Confused labels" if matrix and len(matrix) <= _MOST_LABELS else "",
        "calibration": "Reliability" if hasattr(metrics, "ece") else "",
        "errors": ("The surest errors" if target.abstains else "The largest errors") if wrong else "",
        "hits": "The least sure hits" if hits else "",
    }

    def cards(indices: Sequence[int]) -> list[dict[str, Any]]:
        return [
            card(evaluation.posts[index], index + 1, list(_predictions(name, evaluation, index, rival)))
            for index in one_of_each(indices, groups)
        ]

    return {
        "titles": {key: heading for key, heading in sections.items() if heading},
        "title": f"Evaluation of {name} on {evaluation.posts.name}",
        "summary": f"{metrics} on {counted(metrics.n, 'post')}.",
        "explained": target.scores_explained,
        "notes": evaluation.notes,
        "score_table": _score_table(metrics),
        "label_table": _bars(metrics) if metrics.by_label() else None,
        "confusion_table": confusion_table(name, metrics) if sections["confusion"] else None,
        "class_table": class_table(name, metrics) if metrics.by_label() else None,
        "reliability_panels": [_reliability_panel(name, evaluation)] if sections["calibration"] else [],
        "errors": cards(wrong) if sections["errors"] else [],
        "wrong": len(wrong),
        "hits": cards(hits) if sections["hits"] else [],
        "sure": target.abstains,
        "by_tables": [_by_table(column, values, target.main) for column, values in by.items()],
        "rival": rival.name if rival else "",
        "difference_table": _difference_table(name, rival) if rival else None,
        "parting": cards(_parting(evaluation, rival)) if rival else [],
    }


def _errors_and_hits(evaluation: Evaluation) -> tuple[list[int], list[int]]:
    """Return the indices of wrong posts, the surest first, and of right ones, the least sure first.

    Where answers have no confidence, their loss takes its place.
    """
    target, truth, answers, chosen = evaluation.target, evaluation.truth, evaluation.answers, evaluation.chosen
    right = np.equal(chosen, truth).reshape(len(truth), -1).all(1)
    if target.abstains:
        sureness = target.confidences(answers, chosen)
    else:
        losses = [target.log_loss(truth[i : i + 1], answers[i : i + 1]) for i in range(len(truth))]
        sureness = np.where(right, -np.array(losses), losses)
    order = np.argsort(sureness, kind="stable")
    return [int(i) for i in order[::-1] if not right[i]], [int(i) for i in order if right[i]]


def _predictions(name: str, evaluation: Evaluation, index: int, rival: Rival | None) -> Iterator[Any]:
    both = [(name, evaluation), *([(rival.name, rival.evaluation)] if rival else [])]
    for who, one in both:
        right = bool(np.all(one.chosen[index] == one.truth[index]))
        yield prediction(who, one.target, one.answers[index], right)


def _parting(evaluation: Evaluation, rival: Rival) -> list[int]:
    return parting(np.stack([evaluation.answers, rival.evaluation.answers]).astype(np.float64), evaluation.target)


def _score_table(metrics: ScoreTable) -> Table:
    rows = [
        [title(name), Value(score(getattr(metrics, name)), interval(*getattr(metrics, f"{name}_ci")))]
        for name in metrics.with_intervals
    ]
    plain = [(name, getattr(metrics, name)) for name in metrics.without]
    rows += [[title(name), Value(score(value))] for name, value in plain if value is not None]
    return Table(f"Scores on {counted(metrics.n, 'post')}", [Column("score", "l"), "value (95 % interval)"], rows)


def _bars(metrics: ScoreTable) -> Table:
    rows = [
        [
            Value(label),
            Value(score(row.f1), interval(*row.f1_ci)),
            Value(f"F1 {score(row.f1)}, 95 % interval {interval(*row.f1_ci)}", estimate=_Whisker(row.f1, *row.f1_ci)),
            Value(count(row.support)),
        ]
        for label, row in metrics.by_label().items()
    ]
    columns = [Column("label", "l"), "F1", Column("0 to 1", "l", drawing=True), "posts"]
    return Table("F1 of each label", columns, rows, axis=(0.0, 1.0))


def _by_table(column: str, values: Mapping[str, ScoreTable], main: str) -> Table:
    shown = list(values.items())[:_MOST_VALUES]
    ends = [end for _, metrics in shown for end in getattr(metrics, f"{main}_ci") if np.isfinite(end)] or [0.0, 1.0]
    low, high = min(ends), max(ends)

    def whisker(metrics: ScoreTable) -> Value:
        value, (first, last) = getattr(metrics, main), getattr(metrics, f"{main}_ci")
        drawn = _Whisker(value, max(first, low), min(last, high))
        return Value(f"{title(main)} {score(value)}, 95 % interval {interval(first, last)}", estimate=drawn)

    names = [name for name in shown[0][1].with_intervals if name != main]
    rows = [
        [
            Value(value or "(empty)", tone="" if value else "mute"),
            Value(count(metrics.n)),
            *(Value(score(getattr(metrics, one)), interval(*getattr(metrics, f"{one}_ci"))) for one in (main,)),
            whisker(metrics),
            *(Value(score(getattr(metrics, one)), interval(*getattr(metrics, f"{one}_ci"))) for one in names),
        ]
        for value, metrics in shown
    ]
    columns = [Column(column, "l"), "posts", title(main), Column(interval(low, high), "l", drawing=True)]
    more = len(values) - len(shown)
    notes = [f"{counted(more, 'rarer value')} not shown."] if more else []
    return Table(f"By {column}", [*columns, *map(title, names)], rows, notes, axis=(low, high))


def _difference_table(name: str, rival: Rival) -> Table:
    rows = [
        [
            title(one),
            Value(signed(difference.value), signed_interval(difference.low, difference.high)),
            Value(
                "distinguishable" if difference.distinguishable else "not distinguishable",
                tone="" if difference.distinguishable else "mute",
            ),
            p_value(difference.p_value),
        ]
        for one, difference in rival.differences.items()
    ]
    columns = [Column("score", "l"), f"{name} {MINUS} {rival.name}", Column("the difference is", "l"), "p"]
    return Table("Differences (95 % interval)", columns, rows)


def _reliability_panel(name: str, evaluation: Evaluation) -> tuple[str, str, str]:
    confidence = evaluation.target.confidences(evaluation.answers, evaluation.chosen)
    right, ece = evaluation.chosen == evaluation.truth, evaluation.metrics.ece
    return name, f"ECE {score(ece)}", reliability(confidence, right, name, ece, "reliability")
