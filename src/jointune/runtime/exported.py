"""An exported model, as one more way to score posts."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jointune.batches.batch import Batch
from jointune.batches.pixels import ImagePreprocessor
from jointune.batches.tokens import TextPreprocessor
from jointune.bundle_schema import LABELS as LABEL_NAMES
from jointune.bundle_schema import check, check_trial, clear_build_errors, read_preprocessing, trial_batch
from jointune.files import EXPORT_MARK, read_json, read_text
from jointune.posts.learned import read_learned
from jointune.runtime.engines import Graph, open_graph
from jointune.runtime.folder import CARD, GRAPH, LABELS, read_description
from jointune.runtime.parts import parts
from jointune.scorer import Scorer

_POSTS = 8
"""That go through the graph at once: 32 took a fifth more time, and 610 MB of memory in place of 350."""


class ExportedModel:
    """The graph of a whole model; may be called from several threads at once.

    Args:
        graph: what ``open_graph`` gave.
        text: how its texts were tokenized.
        image: how its pictures were prepared.
        folder: where it is from, for messages.
    """

    def __init__(
        self, graph: Graph, text: TextPreprocessor, image: ImagePreprocessor, folder: Path = Path(GRAPH)
    ) -> None:
        self._graph, self._folder = graph, folder
        self._stand_ins = _stand_ins(text, image)
        self._fixed_length = text.fixed_length

    def logits(self, batch: Batch) -> np.ndarray:
        """Calibrated logits, float32 [B, C], in the order of the batch."""
        return np.concatenate([self._run(part) for part in parts(batch, _POSTS, self._fixed_length)])

    def _run(self, batch: Batch) -> np.ndarray:
        feeds = self._stand_ins | {"present": batch.present} | (batch.text or {})
        if batch.pixels is not None:
            feeds["pixels"] = batch.pixels
        with clear_build_errors(self._folder, "folder"):
            logits = self._graph.run({name: feeds[name] for name in self._graph.inputs})
            if not np.isfinite(logits).all():
                raise ValueError("it gives numbers that are not finite (nan or inf): its weights are damaged")
        return logits

    def probabilities(self, batches: Iterable[Batch], count: int) -> np.ndarray:
        """Probabilities by the batches' indices, float32 [count, C]; there is at least one batch."""
        rows: np.ndarray | None = None
        for batch in batches:
            scores = softmax(self.logits(batch))
            if rows is None:
                rows = np.zeros((count, scores.shape[1]), dtype=np.float32)
            rows[batch.indices] = scores
        assert rows is not None, "there are batches"
        return rows


def load_exported(folder: Path, engine: str | None = None, threads: int | None = None) -> Scorer:
    """Read what ``jointune export`` wrote.

    Args:
        folder: with ``export.json``.
        engine: what runs the graph; ``onnxruntime`` by default.
        threads: that compute; as many as there are cores for this process by default.

    Raises:
        BundleError: a file is missing or altered, or was written by a newer jointune.
        MissingExtraError: the engine is not installed.
        SettingsError: there is no such engine.
    """
    description = read_description(folder)
    labels = check(read_json(folder / LABELS), LABEL_NAMES, folder / LABELS, "folder")
    text, image = read_preprocessing(folder, description["text_preprocessing"], "folder")
    with clear_build_errors(folder, "folder"):
        if labels != description["about"]["labels"]:
            raise ValueError(f"{LABELS} and {EXPORT_MARK} name other labels")
        model = ExportedModel(open_graph(folder / GRAPH, engine, threads), text, image, folder)
        check_trial(model.logits(trial_batch(text, image)), labels)
    about = description["about"] | {"export": description["export"]}
    return Scorer(
        labels,
        model.probabilities,
        text,
        image,
        description["read_image_text"],
        about,
        read_text(folder / CARD) if os.path.lexists(folder / CARD) else "",
        learned=read_learned(folder, "folder"),
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Logits [B, C] to probabilities, float64 [B, C]: in double, so that no row sums to anything but one."""
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _stand_ins(text: TextPreprocessor, image: ImagePreprocessor) -> dict[str, np.ndarray]:
    """One row for each input that no post of a batch fills.

    The graph's encoders want at least one; ``present`` then says that it is nobody's.
    """
    row = np.zeros((1, text.max_tokens if text.fixed_length else 1), dtype=np.int64)
    return {
        "input_ids": row,
        "attention_mask": np.ones_like(row),
        "token_type_ids": row,
        "pixels": np.zeros((1, *image.size, 3), dtype=np.uint8),
    }
