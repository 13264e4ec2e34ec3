"""Comparison of exported graphs with torch, on posts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jointune.data.post import Posts
from jointune.errors import OutputError, setting
from jointune.evaluation.score_table import title
from jointune.inference.predictor import Predictor
from jointune.modalities.batch import Batch
from jointune.model import JointModel, to_inputs
from jointune.targets.target import FALLING
from jointune.utils.wording import counted

Logits = Callable[[Batch], np.ndarray]
"""A model, torch's or a graph: from a batch to calibrated logits, float32 [B, C]."""

TOLERANCE = 1e-3
"""Largest difference between a logit of the graph in 32-bit floats and torch's."""

_HIDDEN = 32
"""Posts that are also tried without their text, as many without their images, and as many with those of two."""


@dataclass(frozen=True)
class Agreement:
    """A graph compared with torch in 32-bit floats.

    Attributes:
        posts: number of posts.
        difference: largest difference of a logit, on posts with a hidden text or image too.
        same: share of posts that get the same answer.
        scores: of the graph, with 95 % intervals; none if the posts do not have the model's labels.
    """

    posts: int
    difference: float
    same: float
    scores: dict[str, Any] = field(default_factory=dict)


def compare_with_torch(
    graphs: Mapping[str, Logits], model: JointModel, predictor: Predictor, posts: Posts
) -> dict[str, Agreement]:
    """Compare each graph with the model on the posts, and on some of them with a modality hidden.

    Args:
        graphs: by name.
        model: on the CPU.
        predictor: makes the batches.
        posts: scores count only these.

    Raises:
        PostsError: a post cannot be used.
    """
    tried = Posts([*posts, *partly_hidden(posts)], posts.name)
    logits = logits_on(tried, predictor, {"torch": torch_logits(model), **graphs})
    reference, count = logits.pop("torch"), len(posts)
    target = predictor.target
    truth = target.encode(posts) if target.knows(posts) else None
    answers = target.activate(reference[:count])
    agreements = {}
    for name, values in logits.items():
        probabilities = target.activate(values[:count])
        same = target.same(probabilities, answers)
        scores = {}
        if truth is not None:
            metrics = target.metrics(truth, probabilities).to_dict()
            scores = {score: metrics[score] for name in target.compared[:2] for score in (name, f"{name}_ci")}
        agreements[name] = Agreement(count, float(np.abs(values - reference).max()), float(np.mean(same)), scores)
    return agreements


def torch_logits(model: JointModel) -> Logits:
    """Return a function that runs a model on the CPU in 32-bit floats."""

    def logits(batch: Batch) -> np.ndarray:
        with torch.inference_mode():
            return model(to_inputs(batch, torch.device("cpu"))).logits.numpy()

    return logits


def logits_on(posts: Posts, predictor: Predictor, models: Mapping[str, Logits]) -> dict[str, np.ndarray]:
    """Run all models on the same batches, for which each post is read and decoded once.

    Returns:
        Logits by name, float32 [N, C], in the order of the posts.
    """
    chunks: dict[str, list[np.ndarray]] = {name: [] for name in models}

    def run_all(batches: Iterable[Batch], count: int) -> np.ndarray:
        rows = {name: np.zeros((count, predictor.target.outputs), dtype=np.float32) for name in models}
        for batch in batches:
            for name, logits in models.items():
                rows[name][batch.indices] = logits(batch)
        for name in models:
            chunks[name].append(rows[name])
        return next(iter(rows.values()))

    for _ in replace(predictor, probabilities=run_all).stream(posts, name=posts.name):
        pass
    return {name: np.concatenate(parts) for name, parts in chunks.items()}


def partly_hidden(posts: Posts) -> Posts:
    """Return some posts without their text, without their images, or with the images of two posts.

    A graph computes these differently.
    """
    both = Posts((post for post in posts if post.text is not None and post.image is not None), posts.name)
    step = max(1, len(both) // _HIDDEN)
    texts, images = both[::step][:_HIDDEN], both[step // 2 :: step][:_HIDDEN]
    albums = [replace(one, image=(one.images[0], other.images[0])) for one, other in zip(texts, images, strict=False)]
    return Posts([*texts.without("text"), *images.without("image"), *albums], posts.name)


def refuse_difference(path: Path, agreements: Mapping[str, Agreement], allow_loss: float) -> None:
    """Refuse graphs that differ too much; the arguments are those of ``export``.

    Raises:
        OutputError: ``fp32`` differs by more than ``TOLERANCE``, or ``int8`` loses more than ``allow_loss``.
    """
    precise, rounded = agreements["fp32"], agreements.get("int8")
    if not precise.difference <= TOLERANCE:
        raise OutputError(
            f"{path} was not written: a logit of the graph differs from torch's by {precise.difference:.2g} on "
            f"{counted(precise.posts, 'post')}, more than {TOLERANCE:g}",
            "use the bundle itself, and please report it",
        )
    if rounded is None:
        return
    changed = 100 * (1 - rounded.same)
    score = next((name for name in precise.scores if name not in FALLING), "")
    lost = 100 * (precise.scores.get(score, 0) - rounded.scores.get(score, 0))
    if max(changed, lost) > allow_loss + 1e-9:
        raise OutputError(
            f"{path} was not written: in int8, {changed:.1f} % of {counted(rounded.posts, 'post')} get another answer, "
            f"and {lost:.1f} points of {title(score or 'accuracy')} are lost",
            f"{allow_loss:g} are allowed: export without {setting('int8', True)}, or allow more with "
            f"{setting('allow_loss')}",
        )
