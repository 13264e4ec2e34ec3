"""Fields as a modality of training runs and bundles."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jointune.config import Config
from jointune.data.post import Posts
from jointune.modalities.batch import Input
from jointune.modalities.fields.columns import MOST_BINS, MOST_CATEGORIES, FieldsPreprocessor
from jointune.modalities.modality import Loaded, Modality
from jointune.utils.json_rules import check, listed, mapped, number, record, text

PREPROCESSING = record(
    {
        "numbers": mapped(
            record(
                {"mean": number(), "std": number(0, above=True), "edges": listed(number(), 0, MOST_BINS)}, closed=True
            )
        ),
        "categories": mapped(listed(text, 1, MOST_CATEGORIES)),
    },
    closed=True,
)


class Fields(Modality):
    """See ``Modality``."""

    name = "fields"

    def wanted(self, config: Config) -> bool:
        """Take part where columns are named."""
        return bool(config.number_columns or config.category_columns)

    def reads(self, settings: Mapping[str, Any]) -> list[Input]:
        """Read the columns that are named."""
        numbers = [Input(name, "number") for name in settings.get("number_columns") or ()]
        return numbers + [Input(name, "category") for name in settings.get("category_columns") or ()]

    def load(self, config: Config) -> Loaded:
        """Describe the encoder, which training makes and starts at random."""
        return Loaded(description={"name": "embeddings of columns", "licence": "part of jointune"})

    def fit(self, loaded: Loaded, config: Config, training: Posts) -> Loaded:
        """Learn the statistics of the columns from the training posts, and make an encoder for them."""
        from jointune.encoders.fields_encoder import FieldsEncoder

        if loaded.encoder is not None:
            return loaded  # of the model that training starts from
        made = FieldsPreprocessor.fitted(training, config.number_columns, config.category_columns)
        return Loaded(made, FieldsEncoder(made), loaded.description)

    def read(self, folder: Path, config: Any, whole: str) -> FieldsPreprocessor:
        """See ``Modality.read``."""
        return FieldsPreprocessor(**check(config, PREPROCESSING, folder / "config.json: fields_preprocessing", whole))

    def build(self, description: Mapping[str, Any], preprocessor: FieldsPreprocessor) -> Any:
        """Make an encoder for the columns."""
        from jointune.encoders.fields_encoder import FieldsEncoder

        return FieldsEncoder(preprocessor)


MODALITY = Fields()
