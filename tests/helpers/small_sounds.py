"""Sounds, and random audio encoders of two layers, made without a network."""

import math
import wave
from pathlib import Path

import numpy as np
import torch
import transformers as t

RATE = 16_000
_LAYERS = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
_CONVOLUTIONS = {"conv_dim": (8, 8), "conv_stride": (10, 8), "conv_kernel": (20, 16)}
_WAVES = _LAYERS | _CONVOLUTIONS | {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
ENCODERS = ("wav2vec2", "hubert", "whisper", "ast")


def tone(pitch: float, seconds: float = 0.3, rate: int = RATE) -> np.ndarray:
    """A sine, int16 [T]."""
    place = np.arange(round(seconds * rate)) / rate
    return (8000 * np.sin(2 * math.pi * pitch * place)).astype(np.int16)


def write_wave(path: Path, samples: np.ndarray, rate: int = RATE, channels: int = 1) -> Path:
    """A WAV file of int16 [T], the same in all channels."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(samples, channels).astype("<i2").tobytes())
    return path


def make_audio_encoder(kind: str, folder: Path) -> str:
    """A folder with a random model and its feature extractor."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "whisper":
            config = t.WhisperConfig(
                d_model=16,
                encoder_layers=3,
                decoder_layers=1,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=32,
                decoder_ffn_dim=32,
                num_mel_bins=8,
                max_source_positions=50,
                vocab_size=20,
                max_target_positions=8,
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=2,
                decoder_start_token_id=1,
            )
            model, extractor = t.WhisperModel(config), t.WhisperFeatureExtractor(feature_size=8, chunk_length=1)
        elif kind == "ast":
            config = t.ASTConfig(**_LAYERS, max_length=64, num_mel_bins=16, patch_size=8)
            config.frequency_stride = config.time_stride = 8
            model, extractor = t.ASTModel(config), t.ASTFeatureExtractor(num_mel_bins=16, max_length=64)
        else:
            # HuBERT as its base model is: normalised over time in the first convolution, and blind to masks.
            norm, masked = ("group", False) if kind == "hubert" else ("layer", True)
            made = {"wav2vec2": t.Wav2Vec2Config, "hubert": t.HubertConfig}[kind]
            config = made(**_WAVES, feat_extract_norm=norm, num_feat_extract_layers=2)
            model = {"wav2vec2": t.Wav2Vec2Model, "hubert": t.HubertModel}[kind](config)
            extractor = t.Wav2Vec2FeatureExtractor(return_attention_mask=masked, do_normalize=True)
        model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return str(folder)
