"""A model as one ONNX graph: from tokens and pixels to calibrated logits, in 32-bit floats or 8-bit integers."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jointune.errors import OutputError, first_line
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.text.tokens import TextPreprocessor
from jointune.model import Inputs, JointModel
from jointune.utils.extras import require

_BLOCK = 32
"""Neighbouring weights, and neighbouring inputs, that share a scale in 8-bit integers.

With one scale for all inputs of a layer, as in `quantize_dynamic`, one outlier costs precision everywhere: of 450
tweets 2.4 % got another label, against 0.2 % with blocks.
"""


class FlatModel(nn.Module):
    """The model with separate inputs, as a graph has them; ``names`` are those of the text inputs, in order."""

    def __init__(self, model: JointModel, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, present: Tensor, pixels: Tensor, *text: Tensor) -> Tensor:
        """Return logits [B, C] of ``present`` [B, 2], ``pixels`` [Bi, H, W, 3] and text inputs [Bt, L]."""
        return self.model(Inputs(present, dict(zip(self.names, text, strict=True)), pixels)).logits


def write_graph(model: JointModel, text: TextPreprocessor, image: ImagePreprocessor, path: Path) -> None:
    """Write the graph, with its weights in a second file beside it.

    The encoders run on the rows that are present, at least one, and the graph scatters them to all posts, as the model
    does. The numbers of posts, texts, images and tokens are independent.

    Args:
        model: on the CPU; the attention of its encoders becomes the plain kind, with the same results.
        text: its text preprocessing.
        image: its image preprocessing.
        path: such as ``model.onnx``; the weights go to ``model.onnx.data``.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
        OutputError: a part of the model cannot be written as a graph.
    """
    onnx = require("onnx", "export", "export")
    require("onnxscript", "export", "export")
    # All sizes differ, so that none is taken for another, and none is 0 or 1.
    tokens = text.pad(text.encode(["a", "a b", "a b c d e"]))
    present = np.zeros((tokens["input_ids"].shape[1] + 4, 2), dtype=bool)
    present[:3, 0] = present[2:4, 1] = True
    pixels = np.zeros((2, *image.size, 3), dtype=np.uint8)
    names = tuple(tokens)
    rows = {0: torch.export.Dim.DYNAMIC}
    length = {} if text.fixed_length else {1: torch.export.Dim.DYNAMIC}
    for encoder in (model.text_encoder.model, model.image_encoder.model):
        # torch 2.13 cannot follow its own fused attention where T5 adds positions to it and sizes are open.
        if hasattr(encoder, "set_attn_implementation"):
            encoder.set_attn_implementation("eager")
    try:
        with _log_level("torch.onnx", logging.ERROR):  # it remarks on optional packages
            program = torch.onnx.export(
                FlatModel(model, names).eval(),
                tuple(map(torch.from_numpy, (present, pixels, *tokens.values()))),
                dynamo=True,
                input_names=["present", "pixels", *names],
                output_names=["logits"],
                dynamic_shapes={"present": rows, "pixels": rows, "text": tuple(rows | length for _ in names)},
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as reason:
        cause: BaseException = reason
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise OutputError(
            f"the model cannot be written as a graph: {first_line(cause)} (its encoders are "
            f"{type(model.text_encoder.model).__name__} and {type(model.image_encoder.model).__name__}, its fusion is "
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
