"""A model as one ONNX graph: from all encoders' inputs to calibrated logits, in 32-bit floats or 8-bit integers."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jointune.errors import OutputError, first_line
from jointune.inference.onnx_backend import vector_output
from jointune.modalities.batch import ITEMS, Preprocessors, item_places
from jointune.model import Inputs, JointModel
from jointune.utils.extras import require

_BLOCK = 32
"""Neighbouring weights, and neighbouring inputs, that share a scale in 8-bit integers.

With one scale for all inputs of a layer, as in `quantize_dynamic`, one outlier costs precision everywhere: of 450
tweets 2.4 % got another label, against 0.2 % with blocks.
"""


class FlatModel(nn.Module):
    """The model with separate inputs, as a graph has them.

    Args:
        model: the model.
        names: of each modality's inputs, in order.
        several: the modalities of which a post may have several items.
    """

    def __init__(self, model: JointModel, names: Mapping[str, Sequence[str]], several: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names, self.several = model, names, several

    def forward(self, present: Tensor, *arrays: Tensor) -> tuple[Tensor, ...]:
        """Return logits [B, C] and all vectors, from ``present`` [B, M], all arrays and the items, as in ``Inputs``."""
        values = iter(arrays)
        inputs = {name: {key: next(values) for key in keys} for name, keys in self.names.items()}
        items = dict(zip(self.several, values, strict=True))
        outputs, vectors = self.model.run(Inputs(present, inputs, items=items))
        return (outputs.logits, *(vectors[name] for name in self.model.vector_names))


def write_graph(model: JointModel, preprocessors: Preprocessors, path: Path) -> None:
    """Write the graph, with its weights in a second file beside it.

    The encoders run on the rows that are present, at least one, and the graph scatters them to all posts, as the model
    does. The numbers of posts, texts, images, images of a post and tokens are independent.

    Args:
        model: on the CPU; the attention of its encoders becomes the plain kind, with the same results.
        preprocessors: by modality.
        path: such as ``model.onnx``; the weights go to ``model.onnx.data``.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
        OutputError: a part of the model cannot be written as a graph.
    """
    onnx = require("onnx", "export", "export")
    require("onnxscript", "export", "export")
    examples = {name: one.collate(one.examples()) for name, one in preprocessors.items()}
    items = {name: item_places(list(map(len, one.examples()))) for name, one in preprocessors.items() if one.several}
    names = {name: tuple(arrays) for name, arrays in examples.items()}
    rows = {0: torch.export.Dim.DYNAMIC}
    shapes = [
        dict.fromkeys(preprocessors[name].open_axes(), torch.export.Dim.DYNAMIC)
        for name, arrays in examples.items()
        for _ in arrays
    ]
    shapes += [dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC) for _ in items]
    encoders = [getattr(encoder, "model", encoder) for encoder in model.each_encoder()]
    for encoder in encoders:
        # torch 2.13 cannot follow its own fused attention where T5 adds positions to it and sizes are open.
        if hasattr(encoder, "set_attn_implementation"):
            encoder.set_attn_implementation("eager")
    try:
        with _log_level("torch.onnx", logging.ERROR):  # it remarks on optional packages
            posts = {name: len(one.examples()) for name, one in preprocessors.items()}
            arrays = [array for arrays in examples.values() for array in arrays.values()] + list(items.values())
            program = torch.onnx.export(
                FlatModel(model, names, tuple(items)).eval(),
                tuple(map(torch.from_numpy, [_presence(posts, arrays), *arrays])),
                dynamo=True,
                input_names=[
                    "present",
                    *(key for keys in names.values() for key in keys),
                    *(f"{name}{ITEMS}" for name in items),
                ],
                output_names=["logits", *map(vector_output, model.vector_names)],
                dynamic_shapes={"present": rows, "arrays": tuple(shapes)},
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as reason:
        cause: BaseException = reason
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise OutputError(
            f"the model cannot be written as a graph: {first_line(cause)} (its encoders are "
            f"{' and '.join(type(encoder).__name__ for encoder in encoders)}, its fusion is "
            f"{type(model.fusion).__name__})",
            "what a module does may not depend on the values in its tensors",
        ) from reason
    assert program is not None, "torch returns a program if it gets no file"
    program.save(path, external_data=True)
    graph = onnx.load(str(path), load_external_data=False)
    # Drop the source file that each node comes from, and shapes that torch noted but nothing needs.
    graph.graph.ClearField("value_info")
    for node in graph.graph.node:
        node.ClearField("metadata_props")
    onnx.save(graph, str(path))


def _presence(having: Mapping[str, int], arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Mark posts with and without each modality; their number differs from all other sizes, and none is 0 or 1."""
    sizes = {size for array in arrays for size in array.shape}
    posts = next(size for size in range(7, 10_000) if size not in sizes)
    present = np.zeros((posts, len(having)), dtype=bool)
    for column, count in enumerate(having.values()):
        present[column : column + count, column] = True
    return present


def quantize(source: Path, target: Path) -> None:
    """Write a graph with its feed-forward layers in 8-bit integers, by blocks.

    Inputs are rounded while the graph runs, so no posts are needed for calibration. The projections of attention stay
    in 32-bit floats: they are a third of the arithmetic, and rounding them too changed 1.3 % of the answers. So do
    convolutions: in 8-bit integers, calibrated on posts, they changed 9 %, and onnxruntime took hardly less time.

    Args:
        source: a graph in 32-bit floats, its weights beside it.
        target: the new graph; its weights go beside it, as ``NAME.data``.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    onnx = require("onnx", "export", "export")
    quantization = require("onnxruntime.quantization.matmul_nbits_quantizer", "export", "export in int8")
    model = onnx.load(str(source))
    graph = model.graph
    # Weights of feed-forward layers widen or narrow; those of attention's projections are square.
    square = {weight.name for weight in graph.initializer if len(weight.dims) == 2 and len(set(weight.dims)) == 1}
    attention = [node.name for node in graph.node if node.op_type == "MatMul" and not square.isdisjoint(node.input)]
    with _log_level(quantization.__name__, logging.WARNING):
        quantizer = quantization.MatMulNBitsQuantizer(
            model,
            bits=8,
            block_size=_BLOCK,
            is_symmetric=True,
            accuracy_level=4,  # the inputs are 8-bit integers too
            nodes_to_exclude=attention,
        )
        quantizer.process()
    onnx.save(quantizer.model.model, str(target), save_as_external_data=True, location=f"{target.name}.data")


@contextmanager
def _log_level(name: str, level: int) -> Iterator[None]:
    """Set the level of a logger, and restore it when the block ends."""
    logger: Any = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
