"""A model as one ONNX graph: from tokens and pixels to calibrated logits."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jointune.errors import OutputError
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.text.tokens import TextPreprocessor
from jointune.model import Inputs, JointModel
from jointune.utils.extras import require


class Whole(nn.Module):
    """The model with its inputs one by one, as a graph has them.

    Args:
        model: the model.
        names: of the text inputs, in order.
    """

    def __init__(self, model: JointModel, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, present: Tensor, pixels: Tensor, *text: Tensor) -> Tensor:
        """``present`` [B, 2], ``pixels`` [Bi, H, W, 3] and text inputs [Bt, L] as in ``Inputs``, to logits [B, C]."""
        return self.model(Inputs(present, dict(zip(self.names, text, strict=True)), pixels)).logits


def write_graph(model: JointModel, text: TextPreprocessor, image: ImagePreprocessor, path: Path) -> None:
    """Write the graph, its weights in a second file beside it.

    The encoders run on the rows that there are, one at least, and the graph itself spreads them over all posts, as the
    model does: the numbers of posts, texts, pictures and tokens are free of each other.

    Args:
        model: on the CPU; its encoders' attention becomes the plain kind, with the same results.
        text: its text preprocessing.
        image: its image preprocessing.
        path: such as ``model.onnx``; the weights go to ``model.onnx.data``.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
        OutputError: a part of the model cannot be written as a graph.
    """
    onnx = require("onnx", "export", "export")
    require("onnxscript", "export", "export")
    arguments, names = _example(text, image)
    length = {} if text.fixed_length else {1: torch.export.Dim.DYNAMIC}
    rows = {0: torch.export.Dim.DYNAMIC}
    for encoder in (model.text_encoder.model, model.image_encoder.model):
        # torch 2.13 cannot follow its own fused attention where T5 adds positions to it and sizes are open.
        if hasattr(encoder, "set_attn_implementation"):
            encoder.set_attn_implementation("eager")
    try:
        with _quiet():
            program = torch.onnx.export(
                Whole(model, names).eval(),
                arguments,
                dynamo=True,
                input_names=["present", "pixels", *names],
                output_names=["logits"],
                dynamic_shapes={"present": rows, "pixels": rows, "text": tuple(rows | length for _ in names)},
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as reason:
        raise OutputError(
            f"the model cannot be written as a graph: {_root(reason)} (its encoders are "
            f"{type(model.text_encoder.model).__name__} and {type(model.image_encoder.model).__name__}, "
            f"its fusion is {type(model.fusion).__name__}",
            "what a module does may not depend on the values in its tensors)",
        ) from reason
    assert program is not None, "torch gives a program where it is given no file"
    program.save(path, external_data=True)
    graph = onnx.load(str(path), load_external_data=False)
    _forget_origins(graph)
    onnx.save(graph, str(path))


def _example(text: TextPreprocessor, image: ImagePreprocessor) -> tuple[tuple[Tensor, ...], tuple[str, ...]]:
    """Inputs to follow the model with. All sizes differ, so that none is taken for another, and none is 0 or 1."""
    rows = text.pad(text.encode(["a", "a b", "a b c d e"]))
    posts = rows["input_ids"].shape[1] + 4
    present = np.zeros((posts, 2), dtype=bool)
    present[:3, 0] = present[2:4, 1] = True
    pixels = np.zeros((2, *image.size, 3), dtype=np.uint8)
    return tuple(map(torch.from_numpy, (present, pixels, *rows.values()))), tuple(rows)


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
