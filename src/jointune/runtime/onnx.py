"""An exported model through onnxruntime, as one more way to score posts."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jointune.batches.batch import Batch
from jointune.batches.pixels import ImagePreprocessor
from jointune.batches.tokens import TextPreprocessor
from jointune.errors import BundleError
from jointune.extras import require
from jointune.files import read_json
from jointune.runtime.folder import GRAPH, LABELS, PREPROCESSOR, TOKENIZER, read_description
from jointune.runtime.parts import parts
from jointune.scorer import Scorer

_POSTS = 8
"""That go through the graph at once: 32 took a fifth more time, and 610 MB of memory in place of 350."""


class OnnxModel:
    """The graph of a whole model; may be called from several threads at once.

    Args:
        path: its ``model.onnx``. The weights beside it are mapped into memory: processes share those that onnxruntime
            does not repack for speed, the word embeddings most of all.
        text: how its texts were tokenized.
        image: how its pictures were prepared.
        threads: that compute; as many as there are cores for this process by default.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        BundleError: it cannot run the graph.
    """

    def __init__(
        self, path: Path, text: TextPreprocessor, image: ImagePreprocessor, threads: int | None = None
    ) -> None:
        ort = require("onnxruntime", "serve", "an exported model")
        options = ort.SessionOptions()
        # Left to itself, onnxruntime counts and pins all cores of the machine, whatever this process may use.
        options.intra_op_num_threads = threads or available_cores()
        options.inter_op_num_threads = 1
        # Threads that wait for work would otherwise spin, on the cores that decode pictures.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as reason:  # onnxruntime has an exception for each kind, without a common base
            first = str(reason).strip().splitlines()[0]
            raise BundleError(f"{path}: onnxruntime {ort.__version__} cannot run it: {first}") from reason
        self._takes = {given.name for given in self._session.get_inputs()}
        self._stand_ins = _stand_ins(text, image)
        self._fixed_length = text.fixed_length

    def logits(self, batch: Batch) -> np.ndarray:
        """Calibrated logits, float32 [B, C], in the order of the batch."""
        return np.concatenate([self._run(part) for part in parts(batch, _POSTS, self._fixed_length)])

    def _run(self, batch: Batch) -> np.ndarray:
        feeds = self._stand_ins | {"present": batch.present} | (batch.text or {})
        if batch.pixels is not None:
            feeds["pixels"] = batch.pixels
        (logits,) = self._session.run(["logits"], {name: feeds[name] for name in self._takes})
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


def load_exported(folder: Path, threads: int | None = None) -> Scorer:
    """Read what ``jointune export`` wrote.

    Args:
        folder: with ``export.json``.
        threads: that compute; as many as there are cores for this process by default.

    Raises:
        BundleError: a file is missing or altered, or was written by a newer jointune.
        MissingExtraError: onnxruntime is not installed.
    """
    description = read_description(folder)
    text = TextPreprocessor.load(folder / TOKENIZER, description["text_preprocessing"])
    image = ImagePreprocessor.from_config(read_json(folder / PREPROCESSOR))
    model = OnnxModel(folder / GRAPH, text, image, threads)
    about = description["about"] | {"export": description["export"]}
    card = folder / "README.md"
    return Scorer(
        read_json(folder / LABELS),
        model.probabilities,
        text,
        image,
        description["read_image_text"],
        about,
        card.read_text(encoding="utf-8") if card.is_file() else "",
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Logits [B, C] to probabilities, float64 [B, C]: in double, so that no row sums to anything but one."""
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
