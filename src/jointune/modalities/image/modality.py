"""Images as a modality of training runs and bundles."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jointune.config import Config
from jointune.data.post import Posts
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.image.store import ImageRows
from jointune.modalities.modality import Loaded, Modality
from jointune.utils.files import read_json, write_json
from jointune.utils.json_rules import boolean, check, number, one_of, record, row, whole

MOST_IMAGES = 1000
"""Images of a post, or frames of an image, that a bundle may ask for."""

_SIDES = row(whole(1, 4096), whole(1, 4096))
_COLOURS = row(*[number()] * 3)
_RECORD = record(
    dict.fromkeys(("size", "resize"), _SIDES),
    {
        "fit": one_of("crop", "squash"),
        "resample": whole(0, 5),
        "mean": _COLOURS,
        "std": row(*[number(0, above=True)] * 3),
        "bgr": boolean,
        **dict.fromkeys(("max_images", "frames"), whole(1, MOST_IMAGES)),
    },
    closed=True,
)

PREPROCESSOR = "preprocessor_config.json"


def _preprocessing(value: Any) -> str | None:
    if wrong := _RECORD(value):
        return wrong
    fits = all(outer >= inner for outer, inner in zip(value["resize"], value["size"], strict=True))
    return None if fits else ".resize must be no less than size"


class ImageModality(Modality):
    """See ``Modality``."""

    name = "image"

    def load(self, config: Config) -> Loaded:
        """Load the image encoder; see ``load_image_encoder``."""
        from jointune.encoders.loading import load_image_encoder

        encoder, preprocessor, description = load_image_encoder(config.image_encoder)
        made = preprocessor if config.image_margin else preprocessor.without_margin()
        made = replace(made, max_images=config.max_images, frames=config.frames)
        return Loaded(made, encoder, description, description.pop("notes"))

    def rows(
        self,
        preprocessor: ImagePreprocessor,
        posts: Posts,
        store: Any,
        places: Sequence[tuple[int, ...]],
        config: Config,
    ) -> ImageRows:
        """Find the images of posts in the store."""
        return ImageRows(places, preprocessor, store, config.image_copies)

    def write(self, folder: Path, preprocessor: ImagePreprocessor) -> None:
        """Write the preprocessor as one file."""
        write_json(folder / PREPROCESSOR, preprocessor.config())

    def read(self, folder: Path, config: Any, whole: str) -> ImagePreprocessor:
        """See ``Modality.read``."""
        path = folder / PREPROCESSOR
        return ImagePreprocessor.from_config(check(read_json(path, whole), _preprocessing, path, whole))

    def build(self, description: Mapping[str, Any], preprocessor: ImagePreprocessor) -> Any:
        """See ``build_image_encoder``."""
        from jointune.encoders.loading import build_image_encoder

        encoder = build_image_encoder(dict(description), preprocessor)
        encoder.use_hidden_layers(description.get("depths", []))
        return encoder


MODALITY = ImageModality()
