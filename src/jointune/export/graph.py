"""A model as one ONNX graph: from the inputs of all encoders to calibrated logits."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jointune.errors import OutputError
from jointune.modalities.batch import Arrays, Preprocessors
from jointune.model import Inputs, JointModel
from jointune.utils.extras import require


class Whole(nn.Module):
    """The model with its inputs one by one, as a graph has them.

    Args:
        model: the model.
        names: of each modality's inputs, in order.
    """

    def __init__(self, model: JointModel, names: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, present: Tensor, *arrays: Tensor) -> Tensor:
        """Return logits [B, C] from ``present`` [B, M] and the arrays of all modalities, as in ``Inputs``."""
        values = iter(arrays)
        return self.model(
            Inputs(present, {name: {key: next(values) for key in keys} for name, keys in self.names.items()})
        ).logits


def write_graph(model: JointModel, preprocessors: Preprocessors, path: Path) -> None:
    """Write the graph, its weights in a second file beside it.

    The encoders run on the rows that there are, one at least, and the graph itself spreads them over all posts, as the
    model does: the numbers of posts, texts, images and tokens are free of each other.

    Args:
        model: on the CPU; its encoders' attention becomes the plain kind, with the same results.
        preprocessors: by modality.
        path: such as ``model.onnx``; the weights go to ``model.onnx.data``.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
        OutputError: a part of the model cannot be written as a graph.
    """
    onnx = require("onnx", "export", "export")
    require("onnxscript", "export", "export")
    example = {name: one.collate(one.examples()) for name, one in preprocessors.items()}
    names = {name: tuple(arrays) for name, arrays in example.items()}
    flat = [array for arrays in example.values() for array in arrays.values()]
    shapes = [preprocessors[name].open_axes() for name, arrays in example.items() for _ in arrays]
    rows = {0: torch.export.Dim.DYNAMIC}
    for encoder in (getattr(one, "model", one) for one in model.each_encoder()):
        # torch 2.13 cannot follow its own fused attention where T5 adds positions to it and sizes are open.
        if hasattr(encoder, "set_attn_implementation"):
            encoder.set_attn_implementation("eager")
    try:
        with _quiet():
            program = torch.onnx.export(
                Whole(model, names).eval(),
                (torch.from_numpy(_presence(example)), *map(torch.from_numpy, flat)),
                dynamo=True,
                input_names=["present", *(key for keys in names.values() for key in keys)],
                output_names=["logits"],
                dynamic_shapes={
                    "present": rows,
                    "arrays": tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in shapes),
                },
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as reason:
        raise OutputError(
            f"the model cannot be written as a graph: {_root(reason)} (its encoders are "
            f"{' and '.join(type(getattr(one, 'model', one)).__name__ for one in model.encoders.values())}, "
            f"its fusion is {type(model.fusion).__name__}",
            "what a module does may not depend on the values in its tensors)",
        ) from reason
    assert program is not None, "torch gives a program where it is given no file"
    program.save(path, external_data=True)
    graph = onnx.load(str(path), load_external_data=False)
    _forget_origins(graph)
    onnx.save(graph, str(path))


def _presence(example: Mapping[str, Arrays]) -> np.ndarray:
    """Mark posts with and without each modality; their number differs from all other sizes, and none is 0 or 1."""
    taken = {size for arrays in example.values() for array in arrays.values() for size in array.shape}
    posts = next(size for size in range(7, 10_000) if size not in taken)
    present = np.zeros((posts, len(example)), dtype=bool)
    for column, arrays in enumerate(example.values()):
        count = len(next(iter(arrays.values())))
        present[column : column + count, column] = True
    return present


def _forget_origins(graph: Any) -> None:
    """Leave out where in whose source files each node comes from, and shapes that torch noted but nothing needs."""
    graph.graph.ClearField("value_info")
    for node in graph.graph.node:
        node.ClearField("metadata_props")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on packages that are not there."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _root(reason: BaseException) -> str:
    while reason.__cause__ is not None:
        reason = reason.__cause__
    return str(reason).strip().splitlines()[0] if str(reason).strip() else type(reason).__name__
