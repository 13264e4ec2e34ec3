"""Notes on scores that should not be trusted without reserve, one sentence each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jointune.data.fingerprints import Known
from jointune.evaluation.score_table import ScoreTable, title, with_interval
from jointune.utils.wording import counted

_FEW_POSTS = 30
"""With fewer, the 95 % interval of an accuracy may be wider than 36 points, and one post is more than 3 of them."""

_FEW_OF_A_LABEL = 5
"""With fewer, one post is more than 20 points of a label's recall."""

_ENOUGH, _SHARE_LEFT = 10, 1 / 3
"""If at least 10 posts are not of the most frequent answer, a classifier that answers all labels as often as they are
true gives them less than a third of these answers by chance once in a hundred times."""

_NAMED = 5  # labels in a note, at most


def notes_on_few(part: str, counts: Mapping[str, int], labels: Sequence[str], rests: str = "") -> list[str]:
    """Note a part of the posts that is too small, or that lacks a label.

    Args:
        part: the name of the part, such as ``validation``.
        counts: its number of posts by label.
        labels: all labels.
        rests: a sentence on what depends on these posts.
    """
    rests = f"; {rests}" if rests else ""
    numbers = {label: counts.get(label, 0) for label in labels}
    total, notes = sum(numbers.values()), []
    absent = [label for label, number in numbers.items() if not number]
    few = {label: number for label, number in numbers.items() if 0 < number < _FEW_OF_A_LABEL}
    listed = _named([f"{label!r} {number}" for label, number in sorted(numbers.items(), key=lambda pair: pair[1])])
    if total < _FEW_POSTS:
        notes.append(
            f"only {counted(total, f'{part} post')} ({listed}): an accuracy on so few may be off by "
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


def notes_on_few_of_several(
    part: str, counts: Mapping[str, int], posts: int, labels: Sequence[str], rests: str = ""
) -> list[str]:
    """Note a part with few posts or with rare labels, where a post may have several labels; see ``notes_on_few``."""
    rests, notes = f"; {rests}" if rests else "", []
    few = {label: counts.get(label, 0) for label in labels if counts.get(label, 0) < _FEW_OF_A_LABEL}
    if posts < _FEW_POSTS:
        notes.append(f"only {counted(posts, f'{part} post')}: scores on so few say little{rests}")
    elif few:
        rare = _named([f"{label!r} {number}" for label, number in sorted(few.items(), key=lambda pair: pair[1])])
        notes.append(f"some labels have few of the {posts:,} {part} posts or none ({rare}): macro F1 moves with each")
    return notes


def notes_on_few_numbers(part: str, posts: int, rests: str = "") -> list[str]:
    """Note a part with few posts; see ``notes_on_few``."""
    rests = f"; {rests}" if rests else ""
    return [f"only {counted(posts, f'{part} post')}: scores on so few say little{rests}"] * (posts < _FEW_POSTS)


def notes_on_answers(metrics: ScoreTable, part: str = "") -> list[str]:
    """Note a label that gets most of the answers that others should, or a label that gets none.

    Args:
        metrics: the metrics of the answers.
        part: the name of the part, such as ``validation``.
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
    known: np.ndarray,
    truth: np.ndarray,
    answers: np.ndarray,
    score: Callable[[np.ndarray, np.ndarray], ScoreTable],
    part: str = "",
) -> list[str]:
    """Note posts that the model was trained or validated on, with the scores of the others.

    Args:
        known: ``Known`` of each post, int [N].
        truth: encoded labels, [N, ...].
        answers: float [N, C].
        score: the scores of some answers, from their encoded labels and themselves.
        part: the name of the part, such as ``test``.
    """
    if not known.any():
        return []
    counts = []
    for kind, verb in (
        (Known.TRAINING, "learned from"),
        (Known.VALIDATION, "validated on"),
        (Known.A_PART, "similar to such posts, with the same text or the same picture"),
    ):
        if number := int((known == kind).sum()):
            counts.append(f"{number:,} {'was' if number == 1 else 'were'} {verb}")
    new = known == Known.NOTHING
    rest = "none of them is new to the model"
    if new.any():
        scores = score(truth[new], answers[new])
        first, second = scores.with_intervals[:2]
        rest = (
            f"on the {counted(scores.n, 'other')}, {title(first)} is {with_interval(scores, first)} and "
            f"{title(second)} {getattr(scores, second):.3f}" + (f", {lacking}" if (lacking := untested(scores)) else "")
        )
    return [
        f"of the {counted(len(known), f'{part} post'.strip())}, {', '.join(counts)}: scores on them flatter; {rest}"
    ]


def untested(metrics: ScoreTable | Mapping[str, Any]) -> str:
    """Return a phrase that names the labels of no post; empty if there are none."""
    classes = (metrics.to_dict() if isinstance(metrics, ScoreTable) else metrics).get("per_class", {})
    absent = [repr(label) for label, scores in classes.items() if not scores["support"]]
    return f"none of them labelled {_named(absent)}" if absent else ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
