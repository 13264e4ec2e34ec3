"""Sounds as a modality of training runs and bundles."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jointune.config import Config
from jointune.data.post import Posts
from jointune.modalities.audio.waveform import AudioPreprocessor, AudioRows
from jointune.modalities.batch import Input
from jointune.modalities.modality import Loaded, Modality
from jointune.utils.json_rules import boolean, check, listed, number, one_of, optional, record, row, text, whole

_MOST_SAMPLES = 10_000_000

PREPROCESSING = record(
    {
        "column": text,
        "rate": whole(1000, 768_000),
        "seconds": number(0, 600, above=True),
        "padded": optional(whole(1, _MOST_SAMPLES)),
        "strides": listed(row(whole(1, 4096), whole(1, 4096)), 0, 100),
    },
    closed=True,
)

_SIZE = whole(0, 4096)
FRONT = record(
    {"kind": one_of("samples", "whisper", "kaldi")},
    {"normalise": boolean, "masked": boolean, "mean": number(), "std": number(0, above=True)}
    | dict.fromkeys(("window", "step", "fft", "bins", "frames"), _SIZE),
    closed=True,
)


class Audio(Modality):
    """See ``Modality``."""

    name = "audio"

    def wanted(self, config: Config) -> bool:
        """Take part where a column of sounds is named."""
        return bool(config.audio_column)

    def reads(self, settings: Mapping[str, Any]) -> list[Input]:
        """Read the column of sounds."""
        column = settings.get("audio_column")
        return [Input(column, "file")] if column else []

    def load(self, config: Config) -> Loaded:
        """Load the audio encoder; see ``load_audio_encoder``."""
        from jointune.encoders.audio_encoder import load_audio_encoder

        column, name = str(config.audio_column), str(config.audio_encoder)
        encoder, preprocessor, description = load_audio_encoder(name, column, config.audio_seconds)
        return Loaded(preprocessor, encoder, description, description.pop("notes"))

    def rows(
        self, preprocessor: AudioPreprocessor, posts: Posts, store: Any, places: Sequence[Any], config: Config
    ) -> AudioRows:
        """Decode sounds."""
        return AudioRows(posts, preprocessor)

    def read(self, folder: Path, config: Any, whole: str) -> AudioPreprocessor:
        """See ``Modality.read``."""
        values = check(config, PREPROCESSING, folder / "config.json: audio_preprocessing", whole)
        return AudioPreprocessor(**values | {"strides": tuple(map(tuple, values["strides"]))})

    def build(self, description: Mapping[str, Any], preprocessor: AudioPreprocessor) -> Any:
        """See ``build_audio_encoder``."""
        from jointune.encoders.audio_encoder import build_audio_encoder

        check(description.get("front"), FRONT, Path("config.json: audio_encoder.front"), "bundle")
        encoder = build_audio_encoder(dict(description), preprocessor)
        encoder.use_hidden_layers(description.get("depths", []))
        return encoder


MODALITY = Audio()
