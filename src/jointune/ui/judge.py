"""One post to an answer in plain words."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from jointune.data.labels import UNSURE
from jointune.data.post import Post
from jointune.data.problems import Problem
from jointune.evaluation.calibration import presence
from jointune.inference.predictor import Predictor
from jointune.modalities.batch import Batch

_FEWEST = 30
"""Validation posts on which a stated frequency rests."""

_HELD = {"text+image": "text and picture", "text": "a text alone", "image": "a picture alone"}


@dataclass(frozen=True)
class Verdict:
    """What the page shows of one post.

    Attributes:
        sentences: the answer, how sure it is, and what was missing; or why there is none.
        shares: the probability of each label; empty where there is no answer.
    """

    sentences: list[str]
    shares: dict[str, float] = field(default_factory=dict)


def one_at_a_time(predictor: Predictor) -> Predictor:
    """Share a predictor between threads: while a table is scored, single posts wait for a part of it only."""
    lock = threading.Lock()

    def probabilities(batches: Iterable[Batch], count: int) -> np.ndarray:
        with lock:
            return predictor.probabilities(batches, count)

    return replace(predictor, probabilities=probabilities)


def judge(predictor: Predictor, text: str | None, picture: str | Path | None) -> Verdict:
    """Score one post.

    Args:
        predictor: the model.
        text: None or blank where there is none.
        picture: path of a picture file.

    Raises:
        JointuneError: something is missing that the model needs, such as the OCR.
    """
    post = Post(text=text if text and text.strip() else None, image=Path(picture) if picture else None)
    if post.empty:
        return Verdict(["Type a text, choose a picture, or do both: there is nothing to judge yet."])
    problems: list[Problem] = []
    scored = list(predictor.stream([post], "skip", problems))
    if not scored:
        return Verdict([f"This picture cannot be used: {problems[0].reason}. Choose another one."])
    row = scored[0].probabilities
    shares = {label: float(share) for label, share in zip(predictor.labels, row, strict=True)}
    said = [*_in_words(predictor, row), *_missing(post), *_measured(predictor, post, float(row.max()))]
    return Verdict(said, shares)


def _in_words(predictor: Predictor, row: np.ndarray) -> list[str]:
    best = predictor.labels[int(row.argmax())]
    answer, confidence = predictor.answer(row)
    if answer == UNSURE != best:
        return [
            "The model is unsure.",
            f"Its best guess is {best}, with {confidence:.1%} confidence; it answers from "
            f"{predictor.least_confidence:.1%} on.",
        ]
    return [f"{best}, with {confidence:.0%} confidence."]


def _missing(post: Post) -> list[str]:
    if post.image is None:
        return ["No picture: judged by the text alone."]
    if post.text is None:
        return ["No text: judged by the picture alone."]
    return []


def _measured(predictor: Predictor, post: Post, confidence: float) -> list[str]:
    """How often answers of like confidence were right, where that was measured on enough posts like this one."""
    calibration = predictor.about.get("calibration") or {}
    pattern = presence(name for name in ("text", "image") if getattr(post, name) is not None)
    for low, high, right, posts in calibration.get("by_presence", {}).get(pattern, []):
        if low < confidence <= high and posts >= _FEWEST:
            return [
                f"Of {posts:,} validation posts with {_HELD[pattern]} and a confidence from {low:.0%} to {high:.0%}, "
                f"{right:,} were answered rightly."
            ]
    return []
