"""Whether a graph says what torch says, measured on posts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from jointune.data.post import Posts
from jointune.evaluation.metrics import Interval
from jointune.inference.predictor import Predictor
from jointune.modalities.batch import Batch
from jointune.targets.single_label import SingleLabel

Logits = Callable[[Batch], np.ndarray]
"""A batch to calibrated logits, float32 [B, C]: torch's model, or a graph."""


_HIDDEN = 32
"""Posts that are tried without their text as well, and posts without their picture."""


@dataclass(frozen=True)
class Agreement:
    """What a model says of posts, beside what torch says in 32-bit floats.

    Attributes:
        posts: their number.
        difference: the largest between two logits, also where a text or a picture is hidden.
        same: share of posts that get the same label.
        accuracy: of the labels; None where the posts have none that the model knows.
        macro_f1: likewise.
        accuracy_ci: the 95 % interval of the accuracy.
        macro_f1_ci: that of the macro F1.
    """

    posts: int
    difference: float
    same: float
    accuracy: float | None
    macro_f1: float | None
    accuracy_ci: Interval | None = None
    macro_f1_ci: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def logits_on(posts: Posts, predictor: Predictor, models: Mapping[str, Logits]) -> dict[str, np.ndarray]:
    """What each model says of the very same batches: name to logits, float32 [N, C], in the order of the posts.

    Args:
        posts: read and decoded once for all models.
        predictor: makes the batches.
        models: by name.

    Raises:
        PostsError: a post cannot be used.
    """
    said: dict[str, list[np.ndarray]] = {name: [] for name in models}

    def ask_all(batches: Iterable[Batch], count: int) -> np.ndarray:
        rows = {name: np.zeros((count, len(predictor.labels)), dtype=np.float32) for name in models}
        for batch in batches:
            for name, logits in models.items():
                rows[name][batch.indices] = logits(batch)
        for name in models:
            said[name].append(rows[name])
        return next(iter(rows.values()))

    for _ in replace(predictor, probabilities=ask_all).stream(posts, name=posts.name):
        pass
    return {name: np.concatenate(parts) for name, parts in said.items()}


def partly_hidden(posts: Posts) -> Posts:
    """Some of the posts without their text and some without their picture: a graph has a way of its own for each."""
    both = Posts((post for post in posts if post.text is not None and post.image is not None), posts.name)
    step = max(1, len(both) // _HIDDEN)
    texts, pictures = both[::step][:_HIDDEN], both[step // 2 :: step][:_HIDDEN]
    return Posts([*texts.without("text"), *pictures.without("image")], posts.name)


def agreement(logits: np.ndarray, reference: np.ndarray, posts: Posts, target: SingleLabel) -> Agreement:
    """Compare logits with torch's, and with the posts' labels where they are the model's own.

    Args:
        logits: of the posts, and behind them of any others, float32 [N, C].
        reference: what torch says of the same.
        posts: those that count for labels and scores; for the difference all do.
        target: of the model.
    """
    difference = float(np.abs(logits - reference).max())
    logits, reference = logits[: len(posts)], reference[: len(posts)]
    answers = [[target.answer(row)[0] for row in target.activate(one)] for one in (logits, reference)]
    same = float(np.mean([one == other for one, other in zip(*answers, strict=True)]))
    if {post.label for post in posts} <= set(target.labels):
        scores = target.metrics(target.encode(posts), target.activate(logits))
        return Agreement(
            len(posts), difference, same, scores.accuracy, scores.macro_f1, scores.accuracy_ci, scores.macro_f1_ci
        )
    return Agreement(len(posts), difference, same, None, None)
