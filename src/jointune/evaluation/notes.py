"""What to know before scores are trusted, one sentence each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jointune.data.fingerprints import Known
from jointune.evaluation.metrics import Metrics, compute_metrics

_FEW_POSTS = 30
"""With fewer, the 95 % interval of an accuracy may be wider than 36 points, and one post makes more than 3."""

_FEW_OF_A_LABEL = 5
"""With fewer, one post makes more than 20 points of a label's recall."""

_SHARE_LEFT = 1 / 3
"""Of the answers that labels ought to get. Where they ought to get ``_ENOUGH`` at least, a classifier that answers them
as often as they are true falls below it by chance once in a hundred times."""

_ENOUGH = 10

_NAMED = 5
"""Labels, at most."""


def notes_on_few(part: str, counts: Mapping[str, int], labels: Sequence[str], rests: str = "") -> list[str]:
    """What a part that is too small, or lacks a label, leaves open.

    Args:
        part: what its posts are called, such as ``validation``.
        counts: numbers of its posts by label.
        labels: all of them.
        rests: what depends on these posts, in words.
    """
    rests = f"; {rests}" if rests else ""
    numbers = {label: counts.get(label, 0) for label in labels}
    total, notes = sum(numbers.values()), []
    absent = [label for label, number in numbers.items() if not number]
    few = {label: number for label, number in numbers.items() if 0 < number < _FEW_OF_A_LABEL}
    listed = _named([f"{label!r} {number}" for label, number in sorted(numbers.items(), key=lambda pair: pair[1])])
    if total < _FEW_POSTS:
        notes.append(
            f"only {_count(total, f'{part} post')} ({listed}): an accuracy on so few may be off by "
            f"{98 / max(1, total) ** 0.5:.0f} points{rests}"
        )
    elif few:
        rare = _named([f"{label!r} {number}" for label, number in few.items()])
        notes.append(
            f"some labels have few of the {total:,} {part} posts ({rare}): each post makes "
            f"{100 / max(few.values()):.0f} points or more of its label's recall, and macro F1 moves with it{rests}"
        )
    if absent:
        notes.append(
            f"no {part} post is labelled {_named(list(map(repr, absent)))}: scores on them, macro F1 among them, "
            f"say nothing of {'it' if len(absent) == 1 else 'these'}"
        )
    return notes


def notes_on_answers(metrics: Metrics, part: str = "") -> list[str]:
    """Whether one label gets the answers that others should, or a label none.

    Args:
        metrics: of the posts that were answered.
        part: what they are called, such as ``validation``.
    """
    confusion = np.array(metrics.confusion_matrix)
    answers, truth, posts = confusion.sum(0), confusion.sum(1), f"{part} posts".strip()
    most = int(answers.argmax())
    wanted, got = metrics.n - truth[most], metrics.n - answers[most]
    remedy = "training with balanced class weights, or with macro F1 as the metric, may help"
    if wanted >= _ENOUGH and got < wanted * _SHARE_LEFT:
        return [
            f"one label, {metrics.labels[most]!r}, gets {answers[most]:,} of the {metrics.n:,} answers on {posts} "
            f"({_percent(answers[most] / metrics.n)}); its share of these posts is "
            f"{_percent(truth[most] / metrics.n)}: {remedy}"
        ]
    never = [k for k, label in enumerate(metrics.labels) if truth[k] >= _ENOUGH and not answers[k]]
    if not never:
        return []
    named = _named([f"{metrics.labels[k]!r} (the label of {truth[k]:,})" for k in never])
    return [f"never answered on the {metrics.n:,} {posts}: {named}; {remedy}"]


def notes_on_known(
    known: np.ndarray, truth: np.ndarray, probabilities: np.ndarray, labels: Sequence[str], part: str = ""
) -> list[str]:
    """How many posts the model was trained or validated on, and how it does on the others.

    Args:
        known: ``Known`` of each post, int [N].
        truth: class numbers, int [N].
        probabilities: float [N, C].
        labels: C label names.
        part: what the posts are called, such as ``test``.
    """
    if not known.any():
        return []
    found = []
    for what, said in (
        (Known.TRAINING, "learned from"),
        (Known.VALIDATION, "validated on"),
        (Known.A_PART, "similar to such posts, with the same text or the same picture"),
    ):
        if number := int((known == what).sum()):
            found.append(f"{number:,} {'was' if number == 1 else 'were'} {said}")
    new = known == Known.NOTHING
    rest = "none of them is new to the model"
    if new.any():
        scores = compute_metrics(truth[new], probabilities[new], labels)
        low, high = scores.accuracy_ci
        rest = (
            f"on the {_count(scores.n, 'other')}, accuracy is {scores.accuracy:.3f} ({low:.3f} to {high:.3f}) and "
            f"macro F1 {scores.macro_f1:.3f}" + (f", {lacking}" if (lacking := untested(scores)) else "")
        )
    return [f"of the {_count(len(known), f'{part} post'.strip())}, {', '.join(found)}: scores on them flatter; {rest}"]


def untested(metrics: Metrics | Mapping[str, Any]) -> str:
    """A phrase that names the labels which none of the posts has; empty where there are none."""
    classes = (metrics.to_dict() if isinstance(metrics, Metrics) else metrics)["per_class"]
    absent = [repr(label) for label, scores in classes.items() if not scores["support"]]
    return f"none of them labelled {_named(absent)}" if absent else ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
