"""Encoders, fusion and head as one module."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput, join_items
from jointune.errors import TooLittleMemoryError
from jointune.evaluation.unlike import JOINT, summary_of
from jointune.fusion.fused import Fused
from jointune.fusion.registry import FusionFactory, make_fusion, only_text_and_image
from jointune.fusion.single_stream import SingleStreamFusion
from jointune.modalities.batch import Batch
from jointune.utils.memory import freed_memory_kept

_DTYPES = {np.dtype(np.float32): torch.float32, np.dtype(np.int16): torch.bfloat16}
"""How activations are kept in arrays: NumPy has no bfloat16, so those are kept as their bits."""


class Inputs(NamedTuple):
    """A batch of B posts as tensors, of which Bm have modality m; see ``Batch``.

    Attributes:
        present: which modalities each post has, bool [B, M].
        inputs: by modality, the inputs of its encoder by name, [Im, ...]; no entry where there are none.
        activations: by modality, those of the encoder's frozen layers, [Im, ...], where they are known.
        items: by modality, the places of each post's items, int64 [Bm, K]; no entry where each post has one.
    """

    present: Tensor
    inputs: Mapping[str, Mapping[str, Tensor]]
    activations: Mapping[str, Tensor] = {}
    items: Mapping[str, Tensor] = {}


class Outputs(NamedTuple):
    """The model's outputs for B posts.

    Attributes:
        logits: float [B, C].
        loss: the fusion's own loss, a scalar; None where it has none.
    """

    logits: Tensor
    loss: Tensor | None = None


class LinearProbe(nn.Module):
    """Logits straight from the pooled vectors of all encoders, added to those of fusion and head.

    ``training/probe.py`` finds its weights with frozen encoders, so that fine-tuning starts from there rather than
    from a random head, which would distort the encoders (Kumar et al., 2022, arXiv 2202.10054).

    Args:
        dim: the width of the summaries of all modalities together.
        outputs: the number of logits, C.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.linear = nn.Linear(dim, outputs)

    def forward(self, outputs: Iterable[EncoderOutput]) -> Tensor:
        """Return logits [B, C] from each modality's ``EncoderOutput.summary``."""
        return self.linear((torch.cat([output.summary for output in outputs], dim=-1) - self.mean) / self.scale)


class JointModel(nn.Module):
    """One encoder per modality, a fusion and a linear head, trained end to end.

    The encoders see only the posts that have their modality. A learned vector replaces a missing one, as its only token
    and as its pooled vector. Batch normalisation keeps its pre-trained statistics: a post's logits do not depend on the
    other posts of its batch.

    Args:
        encoders: by modality, in the order of the columns of ``Inputs.present``.
        fusion: of all of them.
        outputs: the number of logits, C.
        probe: whether a linear probe stands beside fusion and head.

    Attributes:
        missing: by modality, the vector that replaces ``EncoderOutput.summary`` of a missing one.
        attention: by modality of which a post may have several items, the ``w`` of ``encoder_output.join_items``.
        temperature: the logits are divided by it, a scalar; 1 until the trained model is calibrated.
        uses_activations: whether ``Inputs.activations`` can replace ``Inputs.inputs``.
    """

    temperature: Tensor
    uses_activations = True

    def __init__(self, encoders: Mapping[str, Any], fusion: Any, outputs: int, probe: bool = False) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.fusion = fusion
        self.head = nn.Linear(fusion.dim, outputs)
        self.probe = LinearProbe(sum(encoder.width for encoder in encoders.values()), outputs) if probe else None
        self.missing = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(encoder.width)) for name, encoder in encoders.items()}
        )
        several = [name for name, encoder in encoders.items() if getattr(encoder, "several", False)]
        self.attention = nn.ParameterDict({name: nn.Parameter(torch.zeros(encoders[name].dim)) for name in several})
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, inputs: Inputs) -> Outputs:
        """Return logits, and the fusion's own loss where it has one."""
        return self.run(inputs)[0]

    def run(self, inputs: Inputs) -> tuple[Outputs, dict[str, Tensor]]:
        """Return what ``forward`` does, and the vectors that it is made from.

        These are ``joint`` [B, J], of the fusion, by its name the pooled vector [B, D] of each modality, which is the
        learned one where a post lacks the modality, and by ``summary_of`` its name that of all depths.
        """
        outputs = {name: self.output_of(name, inputs) for name in self.encoders}
        fused = self.fusion(outputs, inputs.present)
        vectors, loss = fused if isinstance(fused, Fused) else (fused, None)
        logits = self.head(vectors)
        if self.probe is not None:
            logits = logits + self.probe(outputs.values())
        pooled = {name: output.pooled for name, output in outputs.items()}
        summaries = {summary_of(name): output.summary for name, output in outputs.items()}
        return Outputs(logits / self.temperature, loss), {JOINT: vectors, **pooled, **summaries}

    @property
    def vector_names(self) -> tuple[str, ...]:
        """The names of the vectors of ``run``."""
        return (JOINT, *self.encoders, *map(summary_of, self.encoders))

    def each_encoder(self) -> list[Any]:
        """Return the encoders in the order of the modalities."""
        return list(self.encoders.values())

    def output_of(self, modality: str, inputs: Inputs) -> EncoderOutput:
        """Return the output of a modality's encoder for all B posts, with the learned vector where one lacks it."""
        column = list(self.encoders).index(modality)
        encoder: Any = self.encoders[modality]
        return _fill_missing(
            self.encode(modality, inputs), inputs.present[:, column], self.missing[modality], encoder.dim
        )

    def encode(self, modality: str, inputs: Inputs) -> EncoderOutput | None:
        """Return the output of a modality's encoder for the Bm posts that have it; None where none has."""
        encoder: Any = self.encoders[modality]
        arrays = inputs.inputs.get(modality)
        if modality in inputs.activations:
            output = encoder.resume(inputs.activations[modality], arrays)
        elif arrays is None:
            return None
        else:
            output = encoder(arrays)
        items = inputs.items.get(modality)
        return output if items is None else join_items(output, items, self.attention[modality])

    def train(self, mode: bool = True) -> "JointModel":
        """Set training mode for all but batch normalisation and frozen modules."""
        super().train(mode)
        if mode:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm) or _is_frozen(module):
                    module.eval()
        return self


class SingleStreamModel(JointModel):
    """A model whose images enter the layers of the text encoder as tokens; see ``fusion/single_stream.py``.

    With a probe, texts also pass the text encoder alone, since the probe is fitted to those outputs.
    """

    uses_activations = False

    @property
    def vector_names(self) -> tuple[str, ...]:
        """See ``JointModel.vector_names``; texts have a vector of their own only with a probe."""
        return (JOINT, "image", summary_of("image")) if self.probe is None else super().vector_names

    def run(self, inputs: Inputs) -> tuple[Outputs, dict[str, Tensor]]:
        """See ``JointModel.run``; there is no loss."""
        encoder: Any = self.encoders["text"]
        texts = inputs.inputs.get("text")
        words = encoder.embed(texts) if texts is not None else None
        missing = self.fusion.missing_word(self.missing["text"][: encoder.dim])
        words = _fill_missing(words, inputs.present[:, 0], missing, len(missing))
        image = self.output_of("image", inputs)
        joined = encoder.forward_with_image(words, self.fusion.image_tokens(image), image.mask)
        vectors = {JOINT: self.fusion(joined), "image": image.pooled, summary_of("image"): image.summary}
        logits = self.head(vectors[JOINT])
        if self.probe is not None:
            text = self.output_of("text", inputs)
            vectors |= {"text": text.pooled, summary_of("text"): text.summary}
            logits = logits + self.probe((text, image))
        return Outputs(logits / self.temperature), vectors


def make_model(
    encoders: Mapping[str, Any], fusion: str | FusionFactory, outputs: int, probe: bool = False
) -> JointModel:
    """Put a model together.

    Args:
        encoders: by modality.
        fusion: its name, or one's own factory.
        outputs: the number of logits.
        probe: whether a linear probe stands beside fusion and head.

    Raises:
        SettingsError: there is no such fusion, it does not take these modalities, or the factory made none.
        EncoderError: the fusion is single-stream, and the text encoder takes no picture tokens.
    """
    dims = {name: encoder.dim for name, encoder in encoders.items()}
    if fusion in ("single-stream", SingleStreamFusion):
        only_text_and_image("single-stream", dims)
        text = encoders["text"]
        made = SingleStreamFusion(text.dim, encoders["image"].dim, text.word_dim, text.image_token_dim)
        return SingleStreamModel(encoders, made, outputs, probe)
    return JointModel(encoders, make_fusion(fusion, dims), outputs, probe)


def to_inputs(batch: Batch, device: torch.device) -> Inputs:
    """Return a batch as tensors on ``device``."""

    def tensor(array: np.ndarray) -> Tensor:
        made = torch.from_numpy(array)
        return made.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else made.to(device)

    return Inputs(
        tensor(batch.present),
        {name: {key: tensor(array) for key, array in arrays.items()} for name, arrays in batch.inputs.items()},
        {name: tensor(array).view(_DTYPES[array.dtype]) for name, array in batch.activations.items()},
        {name: tensor(array) for name, array in batch.items.items()},
    )


def supports_bf16(device: torch.device) -> bool:
    """Return whether ``device`` computes in bfloat16 natively, so that it is faster there."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def chosen_precision(device: torch.device, precision: str) -> str:
    """Return ``bf16`` or ``fp32``: for ``auto``, what is faster on ``device``."""
    if precision == "auto":
        return "bf16" if supports_bf16(device) else "fp32"
    return precision


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return mixed precision for ``bf16``, nothing for ``fp32``; see ``chosen_precision``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=chosen_precision(device, precision) == "bf16")


@contextmanager
def evaluating(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put the model into evaluation mode, and back into its own at the end.

    A model that is in evaluation mode already is not touched, so that several threads can use it at once.

    Args:
        model: on ``device``.
        device: named where it has too little memory.

    Raises:
        TooLittleMemoryError: the posts given at once are too many for it.
    """
    training = model.training
    if training:
        model.eval()
    try:
        with freed_memory_kept():
            yield
    except torch.OutOfMemoryError as error:
        raise TooLittleMemoryError(
            f"{device} has too little memory to run so many posts at once", "set a lower batch_size"
        ) from error
    finally:
        if training:
            model.train(training)


def _is_frozen(module: nn.Module) -> bool:
    flags = [parameter.requires_grad for parameter in module.parameters()]
    return bool(flags) and not any(flags)


def _fill_missing(output: EncoderOutput | None, present: Tensor, missing: Tensor, dim: int) -> EncoderOutput:
    """Spread the output for the posts that have a modality over all posts, with ``missing`` for the others.

    Args:
        output: for the posts that have it; None where none has.
        present: which posts have it, bool [B].
        missing: replaces ``EncoderOutput.summary``, float [D + E].
        dim: D.
    """
    # Sizes by `shape`, since `len` would fix them where an exported graph is to leave them open.
    posts = present.shape[0]
    token, hidden = missing[:dim], missing[dim:] if missing.shape[0] > dim else None
    if output is None:
        tokens = token.expand(posts, 1, dim)
        mask = tokens.new_ones((posts, 1), dtype=torch.bool)
        return EncoderOutput(
            tokens, mask, token.expand(posts, dim), None if hidden is None else hidden.expand(posts, -1)
        )
    if output.pooled.shape[0] == posts:
        return output
    length, dtype = output.tokens.shape[1], output.tokens.dtype
    place = torch.where(present, present.cumsum(0) - 1, output.pooled.shape[0])
    absent = token.to(dtype).expand(1, length, dim)
    absent_mask = torch.zeros((1, length), dtype=torch.bool, device=missing.device)
    absent_mask[:, 0] = True

    def spread(rows: Tensor, replacement: Tensor) -> Tensor:
        return torch.cat([rows, replacement.to(rows.dtype)])[place]

    return EncoderOutput(
        spread(output.tokens, absent),
        spread(output.mask, absent_mask),
        spread(output.pooled, token[None]),
        None if output.hidden is None or hidden is None else spread(output.hidden, hidden[None]),
    )
