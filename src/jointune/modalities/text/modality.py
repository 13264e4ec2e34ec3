"""Text as a modality of training runs and bundles."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jointune.config import Config
from jointune.data.post import Posts
from jointune.data.text_columns import text_columns
from jointune.errors import SettingsError, setting
from jointune.modalities.modality import Loaded, Modality
from jointune.modalities.text.normalise import KINDS, valid_kinds
from jointune.modalities.text.tokens import TextPreprocessor, TextRows
from jointune.utils.files import member
from jointune.utils.json_rules import boolean, check, clear_build_errors, listed, one_of, record, text, whole

PREPROCESSING = record(
    {
        "max_tokens": whole(1, 1_000_000),
        "pad_id": whole(0, 2**31 - 1),
        "inputs": listed(one_of("input_ids", "attention_mask", "token_type_ids"), 1, 3),
        "fixed_length": boolean,
        "normalise": listed(one_of(*KINDS), 0, len(KINDS)),
    },
    {"prompt": text, "lowercase": boolean, "with_image_text": boolean, "pair": listed(text, 2, 2)},
    closed=True,
)

TOKENIZER = "tokenizer.json"


class Text(Modality):
    """See ``Modality``."""

    name = "text"

    def load(self, config: Config) -> Loaded:
        """Load the text encoder; see ``load_text_encoder``."""
        from jointune.encoders.checks import check_pairs
        from jointune.encoders.loading import load_text_encoder

        encoder, preprocessor, description = load_text_encoder(config.text_encoder, config.max_tokens)
        if config.read_image_text:
            check_pairs(encoder, preprocessor, config.text_encoder, "read_image_text")
        kinds = valid_kinds(config.normalise)
        made = replace(preprocessor, normalise=kinds, with_image_text=config.read_image_text)
        return Loaded(made, encoder, description, description.pop("notes"))

    def fit(self, loaded: Loaded, config: Config, training: Posts) -> Loaded:
        """See that the encoder takes two texts where the training posts have two."""
        from jointune.encoders.checks import check_pairs

        if all(post.second_text is None for post in training):
            return loaded
        pair = text_columns(config.text_column)
        if len(pair) < 2:
            raise SettingsError(
                f"the posts have two texts, and {setting('text_column', config.text_column)} names one column",
                "name both, such as text,aspect",
                setting="text_column",
            )
        check_pairs(loaded.encoder, loaded.preprocessor, config.text_encoder, "text_column")
        return replace(loaded, preprocessor=replace(loaded.preprocessor, pair=pair), notes=[])

    def rows(
        self,
        preprocessor: TextPreprocessor,
        posts: Posts,
        store: Any,
        places: Sequence[tuple[int, ...]],
        config: Config,
    ) -> TextRows:
        """Tokenize posts."""
        return TextRows(posts, preprocessor)

    def write(self, folder: Path, preprocessor: TextPreprocessor) -> dict[str, Any]:
        """Write the tokenizer."""
        (folder / TOKENIZER).write_text(preprocessor.tokenizer.to_str(pretty=True), encoding="utf-8")
        return preprocessor.config()

    def read(self, folder: Path, config: Any, whole: str) -> TextPreprocessor:
        """See ``Modality.read``."""
        check(config, PREPROCESSING, folder / "config.json: text_preprocessing", whole)
        with clear_build_errors(folder / TOKENIZER, whole):
            return TextPreprocessor.load(member(folder, TOKENIZER, whole), config)

    def build(self, description: Mapping[str, Any], preprocessor: TextPreprocessor) -> Any:
        """See ``build_text_encoder``."""
        from jointune.encoders.loading import build_text_encoder

        encoder = build_text_encoder(dict(description), preprocessor)
        encoder.use_hidden_layers(description.get("depths", []))
        return encoder


MODALITY = Text()
