"""What runs the graph of an exported model: one function for each library that can."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jointune.cores import available_cores
from jointune.errors import BundleError, SettingsError, setting
from jointune.extras import require

ENGINES = ("onnxruntime", "openvino")
"""The first computes in fp32, the second in bf16 where the CPU has it, in a little more than half the time."""


class Graph(NamedTuple):
    """A graph that can be run; by several threads at once.

    Attributes:
        inputs: the names of the arrays that it takes.
        run: those arrays, by name, to calibrated logits, float32 [B, C].
    """

    inputs: frozenset[str]
    run: Callable[[Mapping[str, np.ndarray]], np.ndarray]


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
        raise SettingsError(f"{setting('engine', engine)}: choose one of {', '.join(ENGINES)}")
    make = _openvino if engine == "openvino" else _onnxruntime
    return make(path, threads or available_cores())


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

    def run(feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        logits: np.ndarray = session.run(["logits"], feeds)[0]
        return logits

    return Graph(frozenset(given.name for given in session.get_inputs()), run)


def _openvino(path: Path, threads: int) -> Graph:
    ov = require("openvino", "openvino", "the engine openvino")
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    try:
        core = ov.Core()
        compiled = core.compile_model(core.read_model(path), "CPU", settings)
    except RuntimeError as reason:
        raise _broken(path, f"openvino {ov.__version__}", reason) from reason
    own = threading.local()

    def run(feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        # A copy: the request keeps the array and fills it anew at the next call.
        return np.array(own.request.infer(dict(feeds))["logits"], dtype=np.float32)

    return Graph(frozenset(name for given in compiled.inputs for name in given.get_names()), run)


def _broken(path: Path, engine: str, reason: Exception) -> BundleError:
    return BundleError(f"{path}: {engine} cannot run it: {str(reason).strip().splitlines()[0]}")
