"""Integrated gradients of a model that torch runs (Sundararajan, Taly and Yan, 2017, arXiv 1703.01365).

They are our own, since Captum wants NumPy below 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jointune.encoders.layers import Substitute, names_in, replace_modules
from jointune.errors import EncoderError, SettingsError, foreign_errors, setting
from jointune.explain.explanation import Attribution
from jointune.inference.predictor import Predictor
from jointune.inference.torch_backend import TorchBackend
from jointune.modalities.batch import collate
from jointune.modalities.parts import Parts
from jointune.model import Inputs, evaluating, to_inputs
from jointune.targets.target import Target

TOLERANCE = 1e-3
"""How far the parts may be from adding up to the difference of the scores; steps are added until they do."""

_PIECES, _MOST_PIECES = 8, 128
"""Of the path, at the beginning and at most; each takes two gradients."""

_AT_ONCE = 4
_MASKS = ("[MASK]", "<mask>")
_STEP = 1e-4  # of logits, for the slope of answers: errors of 1e-8 in float64

_REMEDY = f"explain by {setting('method', 'occlusion')}"


def check_gradients(predictor: Predictor) -> None:
    """Check that a model has gradients.

    Raises:
        SettingsError: torch does not run it.
    """
    if not isinstance(predictor.probabilities, TorchBackend):
        raise SettingsError(
            f"{setting('method', 'gradients')}: an exported model has no gradients",
            "explain the bundle, or explain by occlusion",
            setting="method",
        )


def integrated_gradients(
    predictor: Predictor, row: Mapping[str, Any], parts: Mapping[str, Parts], attributions: Sequence[Attribution]
) -> list[Attribution]:
    """Return attributions in which words and pixels have integrated gradients; other parts stay as they are.

    The path leads from a post whose words are the tokenizer's mask, or padding, and whose image has the mean colour, in
    a straight line of embeddings and pixels. Words and pixels add up to the difference of the scores.

    Args:
        predictor: of a bundle.
        row: of each modality of the post.
        parts: of each modality of the post.
        attributions: by occlusion.

    Raises:
        EncoderError: the text encoder has no embeddings of tokens.
    """
    path = _Path(predictor, row, parts)
    if not path.moved:
        return list(attributions)
    columns = [one.column for one in attributions]
    pieces = path.pieces(np.linspace(0, 1, _PIECES + 1), columns)
    while len(pieces) < _MOST_PIECES and np.abs(sum(piece.missing for piece in pieces)).max() > TOLERANCE:
        # Shorter pieces are needed only where gradients and scores differ, since the score bends there.
        pieces.sort(key=lambda piece: -np.abs(piece.missing).max())
        worst = max(2, len(pieces) // 4)
        halves = [path.pieces(np.linspace(piece.start, piece.end, 3), columns) for piece in pieces[:worst]]
        pieces = [half for both in halves for half in both] + pieces[worst:]
    totals = [
        {name: np.sum([piece.adds[k][name] for piece in pieces], axis=0) for name in path.moved}
        for k in range(len(columns))
    ]
    missing = np.sum([piece.missing for piece in pieces], axis=0)
    base = path.answers(np.array([0.0]))[0]
    return [
        replace(
            one,
            parts={name: parts[name].totals(values[name]) if name in values else one.parts[name] for name in parts},
            heat=values.get("image"),
            base=float(base[one.column]),
            missing=float(rest),
        )
        for one, values, rest in zip(attributions, totals, missing, strict=True)
    ]


@dataclass(frozen=True)
class _Piece:
    """A piece of the path.

    Attributes:
        start: place between 0 and 1.
        end: likewise.
        adds: for each column, by modality, what tokens [L] and pixels [I, H, W] add on it.
        missing: for each column, how much of the difference of the scores that leaves, float [K].
    """

    start: float
    end: float
    adds: list[dict[str, np.ndarray]]
    missing: np.ndarray


class _Path:
    """The straight line from a post without content to a post."""

    def __init__(self, predictor: Predictor, row: Mapping[str, Any], parts: Mapping[str, Parts]) -> None:
        backend = predictor.probabilities
        assert isinstance(backend, TorchBackend), "check_gradients was called"
        model: Any = backend.model
        self._model = model
        self._device, self._target, self._parts = backend.device, predictor.target, parts
        batch = collate([0], {name: [content] for name, content in row.items()}, predictor.preprocessors)
        self._inputs = to_inputs(batch, backend.device)
        colour = predictor.image.mean_colour
        self._colour = torch.tensor(colour, dtype=torch.float32, device=backend.device)
        vocabulary = predictor.text.tokenizer
        masks = [number for name in _MASKS if (number := vocabulary.token_to_id(name)) is not None]
        self._blank = masks[0] if masks else predictor.text.pad_id
        self._names: list[str] = []
        self.moved = [name for name in ("text", "image") if len(parts.get(name, ()))]
        if "text" in self.moved:
            encoder: Any = model.encoders["text"]
            failed = f"the text encoder {type(encoder.model).__name__} has no embeddings of tokens"
            with foreign_errors(failed, _REMEDY):
                self._names = names_in(self._model, encoder.model.get_input_embeddings())

    def answers(self, places: np.ndarray) -> np.ndarray:
        """Return the answers at places between 0 and 1, float64 [S, C]."""
        with torch.no_grad(), evaluating(self._model, self._device):
            return self._target.activate(self._run(places)[0].double().cpu().numpy())

    def pieces(self, edges: np.ndarray, columns: Sequence[int]) -> list["_Piece"]:
        """Integrate from each edge to the next, by Gauss and Legendre's rule of two nodes."""
        scores = self.answers(edges)[:, list(columns)]
        middles, halves = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
        found = []
        for first in range(0, len(middles), _AT_ONCE):
            chosen = slice(first, first + _AT_ONCE)
            found += self._integrated(middles[chosen], halves[chosen], columns)
        pieces = []
        for number, adds in enumerate(found):
            sums = np.array([sum(values.sum() for values in of_column.values()) for of_column in adds])
            missing = scores[number + 1] - scores[number] - sums
            pieces.append(_Piece(edges[number], edges[number + 1], adds, missing))
        return pieces

    def _integrated(
        self, middles: np.ndarray, halves: np.ndarray, columns: Sequence[int]
    ) -> list[list[dict[str, np.ndarray]]]:
        """Return for each piece and each column what tokens [L] and pixels [I, H, W] add, by modality."""
        nodes = np.concatenate([middles - halves / 3**0.5, middles + halves / 3**0.5])
        with torch.enable_grad(), evaluating(self._model, self._device):
            logits, leaves = self._run(nodes)
            exact = logits.detach().double().cpu().numpy()
            adds: list[list[dict[str, np.ndarray]]] = [[{} for _ in columns] for _ in middles]
            for k, column in enumerate(columns):
                slope = torch.as_tensor(_slope(self._target, exact, column)).to(logits)
                gradients = torch.autograd.grad(logits, [leaf for _, leaf, _ in leaves], slope, retain_graph=True)
                for (name, _, difference), gradient in zip(leaves, gradients, strict=True):
                    values = (gradient * difference).sum(-1).double().cpu().numpy()[:, : len(self._parts[name].index)]
                    for piece, half in enumerate(halves):
                        added = half * (values[piece] + values[piece + len(middles)])
                        adds[piece][k][name] = adds[piece][k].get(name, 0) + added
        return adds

    def _run(self, places: np.ndarray) -> tuple[Tensor, list[tuple[str, Tensor, Tensor]]]:
        """Return logits [S, O], and by modality what was between start and end [S, ...] with their difference."""
        share = torch.as_tensor(places, dtype=torch.float32, device=self._device)
        leaves: list[tuple[str, Tensor, Tensor]] = []
        model, inputs = self._model, dict(self._inputs.inputs)
        if "image" in self.moved:
            pixels = inputs["image"]["pixels"].float()
            # The images of the first step come first, as `items` has them.
            moved = _between(self._colour, pixels, share, leaves, "image")
            inputs["image"] = {**inputs["image"], "pixels": moved.flatten(0, 1)}
        count = len(places)
        for name, arrays in inputs.items():
            inputs[name] = {
                key: array if name == "image" else array.expand(count, *array.shape[1:])
                for key, array in arrays.items()
            }
        items = {
            name: torch.cat([own + number * own.shape[1] for number in range(count)])
            for name, own in self._inputs.items.items()
        }
        if self._names:
            index = torch.as_tensor(self._parts["text"].index, device=self._device)
            module = self._model.get_submodule(self._names[0])
            moving = _Moving(module, self._blank, index >= 0, share, leaves)
            model = replace_modules(model, dict.fromkeys(self._names, moving))
        present = self._inputs.present.expand(count, -1)
        logits = model(Inputs(present, inputs, items=items)).logits
        if self._names and all(name != "text" for name, _, _ in leaves):
            raise EncoderError("the text encoder does not read its embeddings of tokens", _REMEDY)
        return logits, leaves


class _Moving(Substitute):
    """Embeds tokens, those of words on the way from the mask to themselves."""

    def __init__(
        self, module: Any, blank: int, moved: Tensor, share: Tensor, leaves: list[tuple[str, Tensor, Tensor]]
    ) -> None:
        super().__init__(module)
        self.blank, self.moved, self.share, self.leaves = blank, moved, share, leaves

    def forward(self, input_ids: Tensor, *others: Any, **named: Any) -> Tensor:
        ids = input_ids[:1]
        blank = ids.clone()
        blank[0, : len(self.moved)] = torch.where(self.moved, self.blank, ids[0, : len(self.moved)])
        with torch.no_grad():
            start, end = (self.module(one, *others, **named)[0] for one in (blank, ids))
        return _between(start, end, self.share, self.leaves, "text")


def _between(start: Tensor, end: Tensor, share: Tensor, leaves: list[tuple[str, Tensor, Tensor]], name: str) -> Tensor:
    """Return the places [S, ...] between two tensors, and enter them where gradients are wanted."""
    difference = (end - start).detach()
    places = start + share.view(-1, *[1] * end.dim()) * difference
    if torch.is_grad_enabled():
        places.requires_grad_()
    leaves.append((name, places, difference))
    return places


def _slope(target: Target, logits: np.ndarray, column: int) -> np.ndarray:
    """Return the derivative of a column of the answers by each logit, float64 [S, O]."""
    slopes = np.zeros_like(logits)
    for output in range(logits.shape[1]):
        shifted = np.zeros_like(logits)
        shifted[:, output] = _STEP
        higher, lower = target.activate(logits + shifted), target.activate(logits - shifted)
        slopes[:, output] = (higher - lower)[:, column] / (2 * _STEP)
    return slopes
