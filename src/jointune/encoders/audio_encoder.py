"""Audio encoders of transformers: samples to states, for Wav2Vec2, HuBERT and their like, Whisper's encoder and AST."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoFeatureExtractor
from transformers.audio_utils import mel_filter_bank

from jointune.encoders.checks import is_steady
from jointune.encoders.encoder import Encoder
from jointune.encoders.encoder_output import EncoderOutput, last_states, masked_mean
from jointune.encoders.frozen_split import FrozenSplit, first_trained
from jointune.encoders.layers import Substitute, layers_of, names_in, replace_modules
from jointune.encoders.loading import loading_errors, noted, running_errors, source_of
from jointune.encoders.weights import build_tower, describe, load_tower
from jointune.errors import EncoderError, SettingsError, setting
from jointune.modalities.audio.waveform import DEFAULT_SECONDS, AudioPreprocessor


class Samples(nn.Module):
    """Samples as they are, or, if wanted, with mean 0 and variance 1 over each sound."""

    def __init__(self, normalise: bool) -> None:
        super().__init__()
        self.normalise = normalise

    def forward(self, waveform: Tensor, mask: Tensor) -> Tensor:
        """Return float [B, T]; padding is 0."""
        if not self.normalise:
            return waveform
        real = mask.to(waveform.dtype)
        count = real.sum(1, keepdim=True).clamp(min=1)
        centred = (waveform - waveform.sum(1, keepdim=True) / count) * real
        return centred / (centred.square().sum(1, keepdim=True) / count + 1e-7).sqrt()


class LogMel(nn.Module):
    """Log-mel spectrograms, as Whisper's and AST's feature extractors compute them.

    Windows, transform and, for AST, each frame's offset and emphasis are one convolution, so that an exported graph
    holds it all.

    Args:
        kind: ``whisper`` or ``kaldi``.
        window: samples of a frame.
        step: samples between two.
        fft: samples that a frame is padded to.
        bins: mel bins.
        frames: that AST takes.
        mean: of its spectrograms.
        std: likewise.
    """

    kernel: Tensor
    filters: Tensor

    def __init__(
        self,
        kind: str,
        window: int,
        step: int,
        fft: int,
        bins: int,
        frames: int = 0,
        mean: float = 0.0,
        std: float = 1.0,
    ) -> None:
        super().__init__()
        self.kind, self.window, self.step, self.frames, self.mean, self.std = kind, window, step, frames, mean, std
        self.register_buffer("kernel", torch.zeros(2 * (fft // 2 + 1), 1, window))
        self.register_buffer("filters", torch.zeros(fft // 2 + 1, bins))

    def fill(self, filters: np.ndarray, fft: int) -> None:
        """Compute the convolution, and take over mel filters, float [K, M]."""
        place = np.arange(self.window)
        wave = 2 * np.pi * np.arange(fft // 2 + 1)[:, None] * place / fft
        parts = np.concatenate([np.cos(wave), -np.sin(wave)])
        if self.kind == "whisper":
            parts *= 0.5 - 0.5 * np.cos(2 * np.pi * place / self.window)
        else:
            parts *= 0.5 - 0.5 * np.cos(2 * np.pi * place / (self.window - 1))
            emphasis = np.eye(self.window) - 0.97 * np.eye(self.window, k=-1)
            emphasis[0, 0] = 0.03
            parts = parts @ emphasis @ (np.eye(self.window) - 1 / self.window)
        self.kernel.copy_(torch.from_numpy(parts)[:, None])
        self.filters.copy_(torch.from_numpy(filters))

    def forward(self, waveform: Tensor, mask: Tensor) -> Tensor:
        """Return float [B, M, F] for Whisper, [B, F, M] for AST."""
        if torch.is_autocast_enabled(waveform.device.type):
            with torch.autocast(waveform.device.type, enabled=False):
                return self._spectrogram(waveform, mask)
        return self._spectrogram(waveform, mask)

    def blank(self, waveform: Tensor) -> Tensor:
        """Return zeros of the shape of the spectrograms."""
        bins = self.filters.shape[1]
        frames = (bins, waveform.shape[1] // self.step) if self.kind == "whisper" else (self.frames, bins)
        return waveform.new_zeros((len(waveform), *frames))

    def _spectrogram(self, waveform: Tensor, mask: Tensor) -> Tensor:
        samples = waveform.unsqueeze(1)
        if self.kind == "whisper":
            samples = nn.functional.pad(samples, (self.window // 2, self.window // 2), mode="reflect")
        power = nn.functional.conv1d(samples, self.kernel, stride=self.step).square()
        half = self.kernel.shape[0] // 2
        mel = self.filters.T @ (power[:, :half] + power[:, half:])
        if self.kind == "whisper":
            logs = mel.clamp(min=1e-10).log10()[..., :-1]
            return (torch.maximum(logs, logs.amax((1, 2), keepdim=True) - 8.0) + 4.0) / 4.0
        logs = mel[..., : self.frames].clamp(min=1.192092955078125e-07).log()
        own = (mask.sum(1, keepdim=True) - self.window) // self.step + 1
        real = torch.arange(logs.shape[2], device=own.device) < own
        return ((logs * real.unsqueeze(1) - self.mean) / (2 * self.std)).transpose(1, 2)


class AudioEncoder(Encoder):
    """An audio model of transformers.

    It takes ``waveform``, float [B, T], and ``waveform_mask``, bool [B, T], and returns states of width ``dim``.

    Args:
        model: the model, or the encoder of Whisper.
        preprocessor: tells how many states a sound has.
        front: turns samples into what the model takes.
        masked: whether the model is told what is padding.
        dim: the width of its states.
    """

    def __init__(self, model: Any, preprocessor: AudioPreprocessor, front: nn.Module, masked: bool, dim: int) -> None:
        super().__init__(model, dim)
        self.front, self.masked = front, masked
        self._preprocessor = preprocessor

    def freeze_lower(self, keep: float) -> None:
        """See ``Encoder.freeze_lower``."""
        super().freeze_lower(keep)
        self.split = self.split or self._split_at_layers()

    def resume(self, activations: Tensor, inputs: Any) -> EncoderOutput:
        """See ``Encoder.resume``; what comes before the layers is not computed."""
        assert self.split is not None, "some layers are frozen"
        return self._resume(self.split, activations, inputs)

    def _resume(self, split: FrozenSplit, activations: Tensor, inputs: Mapping[str, Tensor]) -> EncoderOutput:
        upper = split.upper(self.model, activations)
        features: Any = inputs["waveform"]
        if hasattr(self.model, "feature_extractor"):
            channels = self.model.config.conv_dim[-1]
            blank = _Blank(self.model.feature_extractor, channels, activations.shape[1])
            upper = replace_modules(upper, {"feature_extractor": blank})
        elif isinstance(self.front, LogMel):
            features = self.front.blank(features)
        return self._run(upper, features, inputs["waveform_mask"])

    def _split_at_layers(self) -> FrozenSplit | None:
        """Return a split whose lowest layer returns the activations; None where that gives other states."""
        layers = layers_of(self.model)
        number = first_trained(layers)
        if number <= 0:
            return None
        first, *below = ([*names_in(self.model, layer)] for layer in (layers[number], *layers[:number]))
        example = self._example()
        mode = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                whole = self._encode(self.model, example).pooled
                for in_tuple in (False, True):
                    split = FrozenSplit(tuple(first), tuple(name for names in below for name in names), in_tuple)
                    try:
                        activations = split.activations(self.model, lambda model: self._encode(model, example))
                        if torch.equal(self._resume(split, activations, example).pooled, whole):
                            return split
                    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
                        continue  # layers of this kind return their states otherwise
            return None
        finally:
            self.model.train(mode)

    def _encode(self, model: Any, inputs: Mapping[str, Tensor]) -> EncoderOutput:
        return self._run(model, self.front(inputs["waveform"], inputs["waveform_mask"]), inputs["waveform_mask"])

    def _run(self, model: Any, features: Tensor, mask: Tensor) -> EncoderOutput:
        name = "input_features" if getattr(self.front, "kind", "") == "whisper" else "input_values"
        arguments = {name: features} | ({"attention_mask": mask.long()} if self.masked else {})
        real = None
        if self._preprocessor.strides:
            own = self._preprocessor.states(mask.sum(1, keepdim=True)).clamp(min=1)
            real = torch.arange(self._preprocessor.states(mask.shape[1]), device=mask.device) < own
        output, hidden = self._call(model, real, arguments)
        tokens = last_states(output)
        if real is not None:
            return EncoderOutput(tokens, real, masked_mean(tokens, real), hidden)
        return EncoderOutput(tokens, tokens.new_ones(tokens.shape[:2], dtype=torch.bool), output.pooler_output, hidden)

    def _example(self) -> dict[str, Tensor]:
        arrays = self._preprocessor.collate(self._preprocessor.examples()[:2])
        device = next(self.model.parameters()).device
        return {name: torch.from_numpy(values).to(device) for name, values in arrays.items()}

    def _run_example(self, model: Any) -> EncoderOutput:
        return self._encode(model, self._example())


class _Blank(Substitute):
    """Takes the place of the convolutions before the layers, whose result is not used."""

    def __init__(self, module: nn.Module, channels: int, length: int) -> None:
        super().__init__(module)
        self.size = (channels, length)

    def forward(self, samples: Tensor) -> Tensor:
        return samples.new_zeros((len(samples), *self.size))


def load_audio_encoder(
    name: str, column: str, seconds: float | None = None
) -> tuple[AudioEncoder, AudioPreprocessor, dict[str, Any]]:
    """Load an audio encoder with its preprocessing, and try it on a small input; see ``load_text_encoder``.

    Args:
        name: a local folder, or a Hugging Face id.
        column: of the sounds.
        seconds: of a sound that are read; by default 10, or what the encoder takes if that is less.

    Raises:
        EncoderError: as for a text encoder; or its feature extractor is of another kind.
        SettingsError: the encoder takes fewer ``seconds``.
    """
    source = source_of(name, {})
    with loading_errors(name, "audio"):
        model, notes = load_tower(source, "audio")
        extractor = AutoFeatureExtractor.from_pretrained(source.path, trust_remote_code=False, **source.options)
    model.config.apply_spec_augment = False  # its masks are drawn from NumPy's global state
    model.config.layerdrop = 0.0
    for part in model.modules():
        if hasattr(part, "layerdrop"):
            part.layerdrop = 0.0
    with loading_errors(name, "audio"):
        front, filters, limit, padded, strides = _front_of(name, extractor, model)
        if seconds is not None and limit is not None and seconds > limit:
            raise SettingsError(
                f"{setting('audio_seconds', seconds)}: the audio encoder {name!r} takes {limit:g} at most",
                setting="audio_seconds",
            )
        length = seconds or min(DEFAULT_SECONDS, limit or DEFAULT_SECONDS)
        preprocessor = AudioPreprocessor(column, int(extractor.sampling_rate), float(length), padded, strides)
    description = {"name": name, "licence": source.licence, "config": describe(model, name), "front": front}
    with running_errors(name, "audio"):
        encoder = _assemble(model, preprocessor, front, filters)
        if not _is_steady(encoder, name):
            preprocessor = replace(preprocessor, padded=round(length * preprocessor.rate))
            encoder = _assemble(model, preprocessor, front | {"masked": False}, filters)
            description["front"] = front | {"masked": False}
            if padded or not _is_steady(encoder, name):
                raise EncoderError(
                    f"the audio encoder {name!r} gives a sound other states when others are in its batch"
                )
    return encoder, preprocessor, description | {"dim": encoder.dim} | noted(notes)


def build_audio_encoder(description: dict[str, Any], preprocessor: AudioPreprocessor) -> AudioEncoder:
    """Rebuild the encoder that ``load_audio_encoder`` described, with random weights."""
    model = build_tower(description["config"], "audio")
    return _assemble(model, preprocessor, description["front"], None, description["dim"])


def _front_of(
    name: str, extractor: Any, model: Any
) -> tuple[dict[str, Any], np.ndarray | None, float | None, int | None, tuple[tuple[int, int], ...]]:
    """Return the description of the front, its filters, the most seconds, the padded length and the strides."""
    kind, rate, config = type(extractor).__name__, int(extractor.sampling_rate), model.config
    if kind == "WhisperFeatureExtractor":
        length, window = int(extractor.n_samples), int(extractor.n_fft)
        length = min(length, 2 * int(config.max_source_positions) * int(extractor.hop_length))
        step, bins = int(extractor.hop_length), int(extractor.feature_size)
        front = {"kind": "whisper", "window": window, "step": step, "fft": window, "bins": bins}
        return front, np.asarray(extractor.mel_filters), length / rate, length, ((1, 2 * step),)
    if kind == "ASTFeatureExtractor":
        frames, bins = int(config.max_length), int(config.num_mel_bins)
        front = {"kind": "kaldi", "window": 400, "step": 160, "fft": 512, "bins": bins, "frames": frames}
        front |= {"mean": extractor.mean, "std": extractor.std} if extractor.do_normalize else {"std": 0.5}
        filters = mel_filter_bank(257, bins, 20, rate // 2, rate, None, "kaldi", True)
        length = 400 + 160 * (frames - 1)
        return front, filters, length / rate, length, ()
    if kind == "Wav2Vec2FeatureExtractor" and hasattr(model, "feature_extractor") and hasattr(config, "conv_kernel"):
        strides = tuple(zip(map(int, config.conv_kernel), map(int, config.conv_stride), strict=True))
        masked = bool(extractor.return_attention_mask)
        return (
            {"kind": "samples", "normalise": bool(extractor.do_normalize), "masked": masked},
            None,
            None,
            None,
            strides,
        )
    raise EncoderError(
        f"the audio encoder {name!r} is a {type(model).__name__} with a {kind}, which jointune does not know",
        "choose one of the family of Wav2Vec2 or HuBERT, a Whisper, or an AST",
    )


def _assemble(
    model: Any,
    preprocessor: AudioPreprocessor,
    front: Mapping[str, Any],
    filters: np.ndarray | None,
    dim: int | None = None,
) -> AudioEncoder:
    masked = front.get("masked", False)
    own = {key: value for key, value in front.items() if key not in ("masked", "normalise")}
    made = Samples(front["normalise"]) if front["kind"] == "samples" else LogMel(**own)
    if filters is not None and isinstance(made, LogMel):
        made.fill(filters, front["fft"])
    encoder = AudioEncoder(model, preprocessor, made, masked, dim or 0)
    if dim is None:
        with torch.no_grad():
            encoder.dim = encoder._run_example(model).tokens.shape[-1]
    return encoder


def _is_steady(encoder: AudioEncoder, name: str) -> bool:
    """Return whether a sound has the same states alone and beside a longer one."""
    short, _, long = encoder._preprocessor.examples()

    def run(*sounds: np.ndarray) -> EncoderOutput:
        arrays = encoder._preprocessor.collate(sounds)
        return encoder({key: torch.from_numpy(values) for key, values in arrays.items()})

    return is_steady(f"the audio encoder {name!r}", "sound", encoder, lambda: run(short), lambda: run(short, long))
