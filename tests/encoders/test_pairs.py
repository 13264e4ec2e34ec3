"""A text encoder that cannot read two texts together is refused, with the reason."""

import pytest
import torch
import transformers as t
from tokenizers.processors import ByteLevel, RobertaProcessing, TemplateProcessing

from conftest import make_tokenizer_folder
from jointune.encoders.checks import check_pairs
from jointune.encoders.loading import load_text_encoder
from jointune.errors import EncoderError, SettingsError

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
WORDS = {"vocab_size": 40, "max_position_embeddings": 64, "pad_token_id": 0}
ROBERTA = RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))
SPECIAL = [("[CLS]", 2), ("[SEP]", 3)]


@pytest.fixture
def load(tmp_path):
    make_tokenizer_folder(tmp_path)

    def loaded(model, processor=None, max_tokens=None):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model().save_pretrained(tmp_path)
        encoder, text, _ = load_text_encoder(str(tmp_path), max_tokens)
        if processor:
            text.tokenizer.post_processor = processor
        return encoder, text, "mine"

    return loaded


def bert():
    return t.BertModel(t.BertConfig(**SMALL, **WORDS))


def roberta():
    return t.RobertaModel(t.RobertaConfig(**SMALL, **WORDS))


def t5():
    return t.T5Model(t.T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2))


def clip():
    ids = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    vision = SMALL | {"image_size": 32, "patch_size": 8}
    return t.CLIPModel(t.CLIPConfig(text_config=SMALL | WORDS | ids, vision_config=vision, projection_dim=8))


@pytest.mark.parametrize(("model", "processor"), [(bert, None), (roberta, ROBERTA), (t5, None)])
def test_most_encoders_read_two(load, model, processor):
    encoder, text, name = load(model, processor)
    encoder.train()
    check_pairs(encoder, text, name)
    assert encoder.training


@pytest.mark.parametrize(
    "processor",
    [
        ByteLevel(),
        TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=SPECIAL),
        TemplateProcessing(single="$A [SEP]", pair="$A $B [SEP]", special_tokens=SPECIAL),
    ],
)
def test_a_tokenizer_that_runs_texts_together_is_refused(load, processor):
    with pytest.raises(EncoderError, match=r"'mine' puts nothing between two texts.*do without read_image_text"):
        check_pairs(*load(bert, processor))


def test_a_vector_that_ends_with_the_first_text_is_refused(load):
    with pytest.raises(EncoderError, match="'mine' reads no further than the first"):
        check_pairs(*load(clip, ROBERTA))


def test_two_texts_need_room(load):
    with pytest.raises(SettingsError, match="max_tokens=4: with read_image_text the text encoder 'mine' needs 5 or"):
        check_pairs(*load(bert, max_tokens=4))
    check_pairs(*load(bert, max_tokens=5))
