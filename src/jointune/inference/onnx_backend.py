"""A trained model as a graph that onnxruntime or OpenVINO runs; nothing here imports torch."""

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jointune.data.fingerprints import read_learned
from jointune.errors import BundleError, SettingsError, setting
from jointune.evaluation.conformal import read_conformity
from jointune.evaluation.unlike import JOINT, SUMMARY, UNLIKE, read_training_vectors, summary_of
from jointune.inference.predictor import Predictor
from jointune.inference.scored import LOGITS, check_vector
from jointune.modalities.batch import ITEMS, Batch, Preprocessors, in_order, split_batch
from jointune.modalities.image.modality import PREPROCESSOR
from jointune.modalities.text.modality import TOKENIZER
from jointune.persistence.manifest import EXPORT, check_trial, read_preprocessors, read_target, trial_batch
from jointune.persistence.manifest import LABELS as LABEL_NAMES
from jointune.targets.target import Target
from jointune.utils.extras import require
from jointune.utils.files import EXPORT_MARK, check_format, check_manifest, read_json, read_text
from jointune.utils.json_rules import check, clear_build_errors, record, whole
from jointune.utils.threads import computing_threads

FORMAT = 3
"""Raised when an older jointune could no longer read the folder."""

GRAPH, WEIGHTS = "model.onnx", "model.onnx.data"
CARD = "README.md"
LABELS = "labels.json"

VERIFIED = (EXPORT_MARK, GRAPH, WEIGHTS, LABELS, TOKENIZER, PREPROCESSOR)
"""The files that decide probabilities; the manifest has the SHA-256 of each."""


def read_description(folder: Path) -> dict[str, Any]:
    """Read ``export.json``, once no file of the folder was found altered.

    Raises:
        BundleError: a file is missing or altered, or was written by a newer jointune.
    """
    check_manifest(folder, VERIFIED, "folder", "the export", UNLIKE)
    description: dict[str, Any] = read_json(folder / EXPORT_MARK)
    check(description, record({"format": whole(0, 10**9)}), folder / EXPORT_MARK, "folder")
    check_format(folder, description, FORMAT)
    check(description, EXPORT, folder / EXPORT_MARK, "folder")
    if isinstance(description.get("text_preprocessing"), dict):
        description["text_preprocessing"].setdefault("with_image_text", description["read_image_text"])
    return description


ENGINES = ("onnxruntime", "openvino")
"""The first computes in fp32, the second in bf16 where the CPU has it, in a little more than half the time."""


class Graph(NamedTuple):
    """A graph that can be run; by several threads at once.

    Attributes:
        inputs: the names of the arrays that it takes.
        outputs: the names of what it gives: ``logits``, calibrated, float32 [B, C], and vectors.
        run: those arrays, by name, and the names of outputs, to these.
    """

    inputs: frozenset[str]
    outputs: frozenset[str]
    run: Callable[[Mapping[str, np.ndarray], Sequence[str]], list[np.ndarray]]


def vector_output(of: str) -> str:
    """Return the name of the output that holds the logits, or vectors; see ``Vectors``."""
    return of if of in (LOGITS, JOINT) or of.endswith(SUMMARY) else f"{of}_vector"


def open_graph(path: Path, engine: str | None = None, threads: int | None = None) -> Graph:
    """Load ``model.onnx``, with the weights beside it.

    Args:
        path: the file.
        engine: what runs it; ``onnxruntime`` by default.
        threads: that compute; as many as there are cores for this process by default.

    Raises:
        MissingExtraError: the engine is not installed.
        SettingsError: there is no such engine.
        BundleError: it cannot run the graph.
    """
    if engine not in (None, *ENGINES):
        raise SettingsError(f"{setting('engine', engine)}: choose one of {', '.join(ENGINES)}", setting="engine")
    make = _openvino if engine == "openvino" else _onnxruntime
    return make(path, threads or computing_threads())


def _onnxruntime(path: Path, threads: int) -> Graph:
    # It maps the weights into memory: processes share those that it does not repack for speed, the word embeddings
    # most of all.
    ort = require("onnxruntime", "serve", "an exported model")
    options = ort.SessionOptions()
    # Left to itself, onnxruntime counts and pins all cores of the machine, whatever this process may use.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait for work would otherwise spin, on the cores that decode pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as reason:  # onnxruntime has an exception for each kind, without a common base
        raise _broken(path, f"onnxruntime {ort.__version__}", reason) from reason

    def run(feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        found: list[np.ndarray] = session.run(list(wanted), feeds)
        return found

    inputs, outputs = (frozenset(one.name for one in of) for of in (session.get_inputs(), session.get_outputs()))
    return Graph(inputs, outputs, run)


def _openvino(path: Path, threads: int) -> Graph:
    ov = require("openvino", "openvino", "the engine openvino")
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    try:
        core = ov.Core()
        compiled = core.compile_model(core.read_model(path), "CPU", settings)
    except RuntimeError as reason:
        raise _broken(path, f"openvino {ov.__version__}", reason) from reason
    own = threading.local()

    def run(feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        found = own.request.infer(dict(feeds))
        # Copies: the request keeps the arrays and fills them anew at the next call.
        return [np.array(found[name], dtype=np.float32) for name in wanted]

    ends = (compiled.inputs, compiled.outputs)
    inputs, outputs = (frozenset(name for one in of for name in one.get_names()) for of in ends)
    return Graph(inputs, outputs, run)


def _broken(path: Path, engine: str, reason: Exception) -> BundleError:
    return BundleError(f"{path}: {engine} cannot run it: {str(reason).strip().splitlines()[0]}")


_POSTS = 8
"""That go through the graph at once: 32 took a fifth more time, and 610 MB of memory in place of 350."""


class ExportedModel:
    """The graph of a whole model; may be called from several threads at once.

    Args:
        path: of the graph.
        target: activates the logits.
        preprocessors: by modality.
        engine: see ``open_graph``.
        threads: likewise.
    """

    def __init__(
        self,
        path: Path,
        target: Target,
        preprocessors: Preprocessors,
        engine: str | None = None,
        threads: int | None = None,
    ) -> None:
        self._arguments = (path, target, preprocessors, engine, threads)
        self._graph, self._target, self._preprocessors = open_graph(path, engine, threads), target, preprocessors
        # The graph's encoders want one row at least; `present` then says that no post has it.
        self._blank = {
            name: np.zeros_like(array[:1])
            for one in preprocessors.values()
            for name, array in one.collate(one.examples()[:1]).items()
        }
        self._several = [name for name in preprocessors if f"{name}{ITEMS}" in self._graph.inputs]

    @property
    def takes_several(self) -> bool:
        """Whether a post may have several images; those that earlier versions exported take one."""
        return bool(self._several)

    def __reduce__(self) -> tuple[Any, ...]:  # the session of a graph cannot be pickled
        return type(self), self._arguments

    def logits(self, batch: Batch) -> np.ndarray:
        """Calibrated logits, float32 [B, C], in the order of the batch."""
        return self._outputs(batch, ["logits"])[0]

    def _outputs(self, batch: Batch, names: Sequence[str]) -> list[np.ndarray]:
        parts = [self._run(part, names) for part in split_batch(batch, _POSTS, self._preprocessors)]
        return [np.concatenate(of_parts) for of_parts in zip(*parts, strict=True)]

    def _run(self, batch: Batch, names: Sequence[str]) -> list[np.ndarray]:
        feeds = self._blank | {"present": batch.present}
        for arrays in batch.inputs.values():
            feeds |= arrays
        for name in self._several:
            having = int(batch.present[:, list(self._preprocessors).index(name)].sum())
            feeds[f"{name}{ITEMS}"] = batch.items.get(name, np.arange(max(having, 1))[:, None])
        with clear_build_errors(self._arguments[0].parent, "folder"):
            found = self._graph.run({name: feeds[name] for name in self._graph.inputs}, names)
            if not all(np.isfinite(rows).all() for rows in found):
                raise ValueError("it gives numbers that are not finite (nan or inf): its weights are damaged")
        return found

    def __call__(self, batches: Iterable[Batch], count: int) -> np.ndarray:
        """Return probabilities by the batches' indices, float32 [count, C]; there is at least one batch."""
        found = ((batch, {"answers": self._target.activate(self.logits(batch))}) for batch in batches)
        return in_order(found, count)["answers"]

    def vectors(self, batches: Iterable[Batch], count: int, names: Collection[str]) -> dict[str, np.ndarray]:
        """Return vectors of each post by the batches' indices; see ``TorchBackend.vectors``.

        Raises:
            BundleError: the graph has no vectors.
            SettingsError: it has no such vector.
        """
        if JOINT not in self._graph.outputs:
            raise BundleError(
                f"{self._arguments[0].parent} holds no vectors: it was exported by an earlier jointune",
                "export the bundle again",
            )
        known = (LOGITS, JOINT, *self._preprocessors, *map(summary_of, self._preprocessors))
        for name in names:
            check_vector(name, [one for one in known if vector_output(one) in self._graph.outputs])
        outputs = [vector_output(name) for name in names]
        found = ((batch, dict(zip(names, self._outputs(batch, outputs), strict=True))) for batch in batches)
        return in_order(found, count)


def load_exported(folder: Path, engine: str | None = None, threads: int | None = None) -> Predictor:
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
    preprocessors = read_preprocessors(folder, description, "folder")
    with clear_build_errors(folder, "folder"):
        target = read_target(description["about"]["settings"], labels, description.get("target"))
        if labels != description["about"]["labels"]:
            raise ValueError(f"{LABELS} and {EXPORT_MARK} name other labels")
        model = ExportedModel(folder / GRAPH, target, preprocessors, engine, threads)
        if not model.takes_several:
            preprocessors["image"] = replace(preprocessors["image"], max_images=1)  # type: ignore[type-var]
        check_trial(model.logits(trial_batch(preprocessors)), target)
    about = description["about"] | {"export": description["export"]}
    return Predictor(
        target,
        model,
        preprocessors,
        about,
        read_text(folder / CARD) if os.path.lexists(folder / CARD) else "",
        learned=read_learned(folder, "folder"),
        conformity=read_conformity(folder, "folder"),
        training_vectors=read_training_vectors(folder, "folder"),
        vectors=model.vectors,
    )
