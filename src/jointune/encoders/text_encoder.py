"""The text encoder: token ids to states."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from jointune.encoders.encoder import Encoder
from jointune.encoders.encoder_output import EncoderOutput, last_states, masked_mean
from jointune.errors import EncoderError

_EXAMPLE_MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
"""Of two texts: one is padded to the other's length, which no model that pads to blocks takes as it is."""
POOLINGS = ("mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens")
"""The ways in which sentence-transformers pools tokens, by its names."""


def pool(tokens: Tensor, mask: Tensor, how: str) -> Tensor:
    """One vector a text: float [B, L, D] and bool [B, L] to [B, D].

    Args:
        tokens: their states, padding on the right.
        mask: which of them are real; the first is.
        how: one of ``POOLINGS``.
    """
    if how == "cls":
        return tokens[:, 0]
    if how == "max":
        return tokens.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(1)
    if how == "lasttoken":
        last = (mask.long().sum(1) - 1)[:, None, None].expand(-1, 1, tokens.shape[2])
        return tokens.gather(1, last).squeeze(1)
    if how == "weightedmean":
        return masked_mean(tokens, mask * torch.arange(1, mask.shape[1] + 1, device=mask.device))
    mean = masked_mean(tokens, mask)
    return mean * mask.to(tokens.dtype).sum(1, keepdim=True).sqrt() if how == "mean_sqrt_len_tokens" else mean


class TextEncoder(Encoder):
    """Any Hugging Face text model.

    It takes int64 ``input_ids`` and ``attention_mask`` [B, L], and returns states of width ``dim``.

    Args:
        model: the model, or the text tower of a dual encoder.
        inputs: which of ``input_ids``, ``attention_mask`` and ``token_type_ids`` its forward takes.
        dim: the width of its states.
        pooling: what becomes the pooled vector: ``own`` is the model's pooled output, where that was pre-trained as a
            vector of the text (CLIP, SigLIP); otherwise one of ``POOLINGS``. The mean over tokens by default, as in
            Sentence-BERT (arXiv 1908.10084).
    """

    def __init__(self, model: Any, inputs: tuple[str, ...], dim: int, pooling: str = "mean") -> None:
        super().__init__(model, dim)
        self.inputs = inputs
        self.pooling = pooling
        self._arguments = frozenset(inspect.signature(model.forward).parameters)

    def _encode(self, model: Any, inputs: Mapping[str, Tensor]) -> EncoderOutput:
        mask = inputs["attention_mask"].bool()
        output, hidden = self._call(model, mask, {name: inputs[name] for name in self.inputs})
        tokens = last_states(output)
        pooled = output.pooler_output if self.pooling == "own" else pool(tokens, mask, self.pooling)
        return EncoderOutput(tokens, mask, pooled, hidden)

    def _run_example(self, model: Any) -> EncoderOutput:
        words = torch.ones_like(_EXAMPLE_MASK)
        return self._encode(model, {"input_ids": words, "attention_mask": _EXAMPLE_MASK, "token_type_ids": words * 0})

    def _as_cached(self, activations: Tensor) -> Tensor:
        if "attention_mask" not in self.inputs:
            return activations  # the model attends to padding as to any token
        return activations[:, : _EXAMPLE_MASK.shape[1]] * _EXAMPLE_MASK.unsqueeze(-1)

    @property
    def word_dim(self) -> int:
        """The width of its word embeddings: ``dim`` in most models, less in ALBERT and the small ELECTRA."""
        return int(self.model.get_input_embeddings().weight.shape[1])

    @property
    def picture_dim(self) -> int:
        """The width of the picture tokens that ``forward_with_picture`` takes.

        Raises:
            EncoderError: the model takes none.
        """
        if self._is_visual:
            return int(self.model.config.visual_embedding_dim)
        # Where positions are counted inside the model, those of the words would depend on the number of patches.
        own_positions = "position_ids" not in self._arguments and hasattr(self.model.config, "max_position_embeddings")
        if "inputs_embeds" not in self._arguments or own_positions:
            raise EncoderError(
                f"the text encoder {type(self.model).__name__} takes words only, no picture tokens among "
                "them, as the fusion single-stream needs",
                "choose one of BERT's family (BERT, RoBERTa, DistilBERT, MPNet, VisualBERT), or another fusion",
            )
        return self.word_dim

    def embed(self, batch: Mapping[str, Tensor]) -> EncoderOutput:
        """Token ids to word embeddings, D = ``word_dim``; the model adds positions to them."""
        tokens, mask = self.model.get_input_embeddings()(batch["input_ids"]), batch["attention_mask"].bool()
        segments = getattr(getattr(self.model, "embeddings", None), "token_type_embeddings", None)
        if "token_type_ids" in self.inputs and segments is not None:
            # The model will add the first segment's to every word: here is what the second's is more than that.
            tokens = tokens + (segments(batch["token_type_ids"]) - segments.weight[0])
        return EncoderOutput(tokens, mask, masked_mean(tokens, mask))

    def forward_with_picture(self, words: EncoderOutput, picture: Tensor, mask: Tensor) -> EncoderOutput:
        """Words and picture tokens through all layers together.

        Picture tokens have no order: they share one position, that of padding where the model has one, otherwise the
        first. The length of texts is bounded as ever, that of pictures is not. Where the model knows segments, they are
        the second.

        Args:
            words: what ``embed`` gave, [B, L, ``word_dim``].
            picture: picture tokens, float [B, P, ``picture_dim``].
            mask: which of those are real, bool [B, P]; the first is, where any is.

        Returns:
            The states of the words, D = ``dim``, with their mean as the pooled vector.
        """
        if self._is_visual:
            output = self.model(
                inputs_embeds=words.tokens,
                attention_mask=words.mask.long(),
                visual_embeds=picture.to(words.tokens.dtype),
                visual_attention_mask=mask.long(),
                visual_token_type_ids=torch.ones_like(mask, dtype=torch.long),
            )
            tokens = output.last_hidden_state[:, : words.tokens.shape[1]]
            return EncoderOutput(tokens, words.mask, masked_mean(tokens, words.mask))
        # Relative positions (MPNet, T5) count places: the picture comes first and backwards, so that neither the
        # padding of texts nor that of pictures lies between a text and its picture.
        inputs = {
            "inputs_embeds": torch.cat([picture.flip(1).to(words.tokens.dtype), words.tokens], dim=1),
            "attention_mask": torch.cat([mask.flip(1), words.mask], dim=1).long(),
        }
        if "position_ids" in self._arguments:
            inputs["position_ids"] = self._positions(words.mask, mask)
        if "token_type_ids" in self._arguments and getattr(self.model.config, "type_vocab_size", 0) > 1:
            segments = [torch.ones_like(mask), torch.zeros_like(words.mask)]
            inputs["token_type_ids"] = torch.cat(segments, dim=1).long()
        tokens = last_states(self.model(**inputs))[:, mask.shape[1] :]
        return EncoderOutput(tokens, words.mask, masked_mean(tokens, words.mask))

    @property
    def _is_visual(self) -> bool:
        # A VisualBERT that bypasses its layers needs word ids; its layers take any tokens, though, as BERT's do.
        return "visual_embeds" in self._arguments and not self.model.config.bypass_transformer

    def _positions(self, words: Tensor, picture: Tensor) -> Tensor:
        table = getattr(getattr(self.model, "embeddings", None), "position_embeddings", None)
        # RoBERTa's family counts from the padding id on, whose own position is a vector of zeros.
        padding = getattr(table, "padding_idx", None)
        first = 0 if padding is None else padding + 1
        counted = torch.arange(first, first + words.shape[1], device=words.device).expand(words.shape)
        shared = torch.full_like(picture, 0 if padding is None else padding, dtype=torch.long)
        return torch.cat([shared, counted], dim=1)
