"""What an encoder gives is looked at when it is loaded: it is adapted to, or refused with the reason."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers as t
from safetensors.torch import load_file, save_file
from tokenizers.processors import ByteLevel, RobertaProcessing, TemplateProcessing
from torch import nn

from conftest import make_tokenizer_folder
from jointune import JointClassifier
from jointune.encoders.checks import check_pairs
from jointune.encoders.hidden_states import spread_layers
from jointune.encoders.loading import build_image_encoder, build_text_encoder, load_image_encoder, load_text_encoder
from jointune.errors import EncoderError, JointuneWarning, SettingsError

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
EYES = SMALL | {"image_size": 32, "patch_size": 8}
WORDS = {"vocab_size": 40, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
SIZE = {"height": 32, "width": 32}


def text_folder(folder, config):
    make_tokenizer_folder(folder)
    return save(folder, config)


def image_folder(folder, config):
    t.ViTImageProcessorPil(size=SIZE).save_pretrained(folder)
    return save(folder, config)


def save(folder, config):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        t.AutoModel.from_config(config).save_pretrained(folder)
    return str(folder)


def states(encoder, preprocessor, texts):
    batch = preprocessor.collate(preprocessor.encode(texts))
    with torch.no_grad():
        return encoder.eval()({name: torch.from_numpy(values) for name, values in batch.items()})


def test_an_encoder_that_looks_at_padding_is_given_texts_of_one_length(tmp_path):
    config = t.FNetConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, intermediate_size=32, pad_token_id=0)
    with pytest.warns(JointuneWarning, match="padded to 64 tokens"):
        encoder, preprocessor, description = load_text_encoder(text_folder(tmp_path, config))
    assert preprocessor.fixed_length
    assert len(description["notes"]) == 1
    alone = states(encoder, preprocessor, ["good"]).pooled
    with_long = states(encoder, preprocessor, ["good", "bad lunch " * 9]).pooled[:1]
    torch.testing.assert_close(alone, with_long, atol=1e-4, rtol=0)


def test_an_encoder_that_draws_at_random_is_refused(tmp_path):
    config = t.ReformerConfig(
        vocab_size=40,
        hidden_size=16,
        attention_head_size=8,
        num_attention_heads=2,
        attn_layers=["local", "lsh"],
        axial_pos_shape=[8, 8],
        axial_pos_embds_dim=[8, 8],
        feed_forward_size=32,
        max_position_embeddings=64,
        num_buckets=2,
        lsh_attn_chunk_length=4,
        local_attn_chunk_length=4,
        is_decoder=False,
    )
    with pytest.raises(EncoderError, match="draws at random"):
        load_text_encoder(text_folder(tmp_path, config))


def test_a_masked_autoencoder_sees_all_patches(tmp_path):
    encoder, _, description = load_image_encoder(image_folder(tmp_path, t.ViTMAEConfig(**EYES)))
    pixels = torch.randint(0, 256, (2, 32, 32, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    rebuilt = build_image_encoder(description, load_image_encoder(str(tmp_path))[1])
    rebuilt.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        first, again = encoder.eval()({"pixels": pixels}), rebuilt.eval()({"pixels": pixels[1:]})
    assert first.tokens.shape == (2, 17, 16)
    torch.testing.assert_close(first.pooled[1:], again.pooled)


def test_weights_that_are_no_numbers_are_refused(tiny_text, tmp_path):
    shutil.copytree(tiny_text, tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / "model.safetensors")
    weights["embeddings.LayerNorm.weight"][3] = torch.nan
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match="not finite"):
        load_text_encoder(str(tmp_path))


def test_an_encoder_that_cannot_run_says_why(tiny_text, tmp_path):
    shutil.copytree(tiny_text, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_attention_heads": 3}))
    with pytest.raises(EncoderError, match=r"cannot be loaded: .*16.*3"):
        load_text_encoder(str(tmp_path))


@pytest.mark.parametrize("special", [False, True])
def test_every_token_has_an_embedding(special, tiny_settings, posts_csv, tmp_path):
    """A word that was added to the tokenizer alone is refused; a special token starts from the mean."""
    config = t.BertConfig(**SMALL, vocab_size=29, max_position_embeddings=64)
    folder = text_folder(tmp_path, config)
    vocabulary = t.AutoTokenizer.from_pretrained(folder)
    size = len(vocabulary)
    shutil.rmtree(tmp_path)
    text_folder(tmp_path, t.BertConfig(**SMALL, vocab_size=size, max_position_embeddings=64))
    vocabulary.add_tokens(["zzunseen"], special_tokens=special)
    vocabulary.save_pretrained(folder)
    if not special:
        with pytest.raises(EncoderError, match=rf"{size} token embeddings .*{size + 1} tokens.*'zzunseen'"):
            load_text_encoder(folder)
        return
    classifier = JointClassifier(**tiny_settings | {"text_encoder": folder}).fit(posts_csv, validation=0.2)
    classifier.save(tmp_path / "bundle")
    answers = JointClassifier.load(tmp_path / "bundle").predict_proba([{"text": "good zzunseen day"}])
    torch.testing.assert_close(answers, classifier.predict_proba([{"text": "good zzunseen day"}]))


def test_the_width_is_that_of_the_states(tmp_path):
    """OPT projects its states to the width of its words, which is not what its configuration calls the hidden size."""
    config = t.OPTConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        ffn_dim=32,
        max_position_embeddings=64,
        word_embed_proj_dim=8,
    )
    encoder, preprocessor, description = load_text_encoder(text_folder(tmp_path, config))
    assert encoder.dim == description["dim"] == 8
    assert states(encoder, preprocessor, ["good"]).pooled.shape == (1, 8)


class OddConfig(t.PretrainedConfig):
    model_type = "jointune-test-odd"
    returns: str = "map"


class OddModel(t.PreTrainedModel):
    """Returns its states in one of many ways."""

    config_class = OddConfig

    def __init__(self, config):
        super().__init__(config)
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 8, 8), nn.Conv2d(6, 6, 1))
        self.post_init()

    def _init_weights(self, module):
        nn.init.normal_(module.weight) if hasattr(module, "weight") else None

    def forward(self, pixel_values, **_):
        states = self.layers(pixel_values)
        sequence = states.flatten(2).transpose(1, 2)
        if self.config.returns == "mixing":
            states = states - states.mean(0, keepdim=True)
        return {
            "map": states,
            "mixing": states,
            "channels last": t.modeling_outputs.BaseModelOutput(last_hidden_state=states.permute(0, 2, 3, 1)),
            "tuple": (sequence, None),
            "list": [pixel_values, states],
            "mapping": {"states": sequence},
            "one vector": sequence.mean(1),
            "wider pool": t.modeling_outputs.BaseModelOutputWithPooling(
                last_hidden_state=states, pooler_output=states.mean((2, 3)).repeat(1, 2)
            ),
            "nothing": None,
        }[self.config.returns]


t.AutoConfig.register(OddConfig.model_type, OddConfig, exist_ok=True)
t.AutoModel.register(OddConfig, OddModel, exist_ok=True)


@pytest.mark.parametrize("returns", ["map", "channels last", "tuple", "list", "mapping", "one vector", "wider pool"])
def test_states_are_found_in_whatever_is_returned(returns, tmp_path):
    encoder, preprocessor, description = load_image_encoder(image_folder(tmp_path, OddConfig(returns=returns)))
    assert encoder.dim == 6
    with torch.no_grad():
        pixels = torch.full((2, 32, 32, 3), 7, dtype=torch.uint8)
        found = encoder.eval()({"pixels": pixels})
        wanted = encoder.model.layers((pixels.permute(0, 3, 1, 2) - encoder.mean) / encoder.std)
    torch.testing.assert_close(found.pooled, wanted.mean((2, 3)))
    assert found.tokens.shape == (2, 1 if returns == "one vector" else 16, 6)
    if returns != "one vector":
        torch.testing.assert_close(found.tokens, wanted.flatten(2).transpose(1, 2))
    check_rebuilt(build_image_encoder(description, preprocessor), encoder, {"pixels": pixels})


def check_rebuilt(rebuilt, encoder, inputs):
    rebuilt.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(rebuilt.eval()(inputs).pooled, encoder.eval()(inputs).pooled, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("returns", "reason"), [("mixing", "mixes them"), ("nothing", "without states")])
def test_what_cannot_be_used_is_refused(returns, reason, tmp_path):
    with pytest.raises(EncoderError, match=reason):
        load_image_encoder(image_folder(tmp_path, OddConfig(returns=returns)))


FAMILIES = {
    "xlnet": t.XLNetConfig(vocab_size=40, d_model=16, n_layer=2, n_head=2, d_inner=32),
    "gpt2": t.GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=2, eos_token_id=3),
    "qwen2": t.Qwen2Config(**SMALL, **WORDS, num_key_value_heads=1),
    "nomic": t.AutoConfig.for_model("nomic_bert", **SMALL, **WORDS),
    "big_bird": t.BigBirdConfig(**SMALL, **WORDS, block_size=4),
    "swin": t.SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4),
    "hiera": t.HieraConfig(
        image_size=[32, 32],
        embed_dim=8,
        depths=[1, 1],
        num_heads=[1, 2],
        patch_stride=[4, 4],
        num_query_pool=1,
        masked_unit_size=[4, 4],
    ),
    "segformer": t.SegformerConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 1, 1]),
    "levit": t.LevitConfig(
        image_size=32, hidden_sizes=[16, 16, 16], num_attention_heads=[2, 2, 2], depths=[1, 1, 1], key_dim=[8, 8, 8]
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("error::jointune.errors.JointuneWarning")
def test_families_are_trained_and_rebuilt(family, tmp_path):
    if hasattr(FAMILIES[family], "vocab_size"):
        encoder, preprocessor, description = load_text_encoder(text_folder(tmp_path, FAMILIES[family]))
        batch = preprocessor.collate(preprocessor.encode(["good lunch", "so bad a day"]))
        inputs = {name: torch.from_numpy(values) for name, values in batch.items()}
        rebuilt = build_text_encoder(json.loads(json.dumps(description)), preprocessor)
    else:
        encoder, preprocessor, description = load_image_encoder(image_folder(tmp_path, FAMILIES[family]))
        inputs = {"pixels": torch.randint(0, 256, (2, *preprocessor.size, 3), dtype=torch.uint8)}
        rebuilt = build_image_encoder(json.loads(json.dumps(description)), preprocessor)
    encoder.freeze_lower(1)
    encoder.use_hidden_layers(spread_layers(encoder.model, 2))
    encoder.train()
    weights = [weight for weight in encoder.parameters() if weight.requires_grad]
    before = [weight.clone() for weight in weights]
    encoder(inputs).summary.square().sum().backward()
    torch.optim.SGD(weights, lr=0.1).step()
    assert any(not torch.equal(old, new) for old, new in zip(before, weights, strict=True))
    rebuilt.use_hidden_layers(encoder.hidden_layers)
    check_rebuilt(rebuilt, encoder, inputs)


def test_a_decoder_keeps_no_keys_and_values(tiny_settings, posts_csv, tmp_path):
    """Layers that are computed twice would otherwise add theirs twice."""
    folder = text_folder(tmp_path, FAMILIES["gpt2"])
    settings = tiny_settings | {"text_encoder": folder, "train_layers": None, "epochs": 1}
    trained = {
        twice: JointClassifier(**settings, gradient_checkpointing=twice).fit(posts_csv, validation=0.2)
        for twice in (False, True)
    }
    torch.testing.assert_close(*(one.predict_proba(posts_csv) for one in trained.values()))
    trained[True].save(tmp_path / "bundle")
    model = JointClassifier.load(tmp_path / "bundle").model_.encoders["text"].model
    assert model(torch.ones(1, 3, dtype=torch.long)).past_key_values is None


def test_the_check_leaves_no_trace(tiny_text, tiny_image):
    for encoder in (load_text_encoder(tiny_text)[0], load_image_encoder(tiny_image)[0]):
        assert not any(module.training for module in encoder.model.modules())
        assert all(parameter.grad is None and parameter.requires_grad for parameter in encoder.parameters())


def test_sentencepiece_alone_names_what_converts_it(tmp_path):
    save(tmp_path, t.DebertaV2Config(**SMALL, **WORDS))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "DebertaV2Tokenizer"}')
    (tmp_path / "spm.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    with pytest.raises(EncoderError, match=r"spm\.model.*sentencepiece") as refusal:
        load_text_encoder(str(tmp_path))
    assert "tiktoken" not in str(refusal.value).split("pip install")[1]
    assert Path(tmp_path, "spm.model").exists()


ROBERTA = RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))
SPECIAL = [("[CLS]", 2), ("[SEP]", 3)]
IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
PAIRS = {
    "bert": t.BertConfig(**SMALL, **WORDS),
    "roberta": t.RobertaConfig(**SMALL, **WORDS),
    "t5": t.T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2),
    "clip": t.CLIPConfig(text_config=SMALL | WORDS | IDS, vision_config=EYES, projection_dim=8),
}


@pytest.fixture
def load_pairs(tmp_path):
    """Loads a text encoder of a family, with another post-processor of its tokenizer."""

    def load(family, processor=None, max_tokens=None):
        encoder, text, _ = load_text_encoder(text_folder(tmp_path, PAIRS[family]), max_tokens)
        if processor:
            text.tokenizer.post_processor = processor
        return encoder, text, "mine", "read_image_text"

    return load


@pytest.mark.parametrize(("model", "processor"), [("bert", None), ("roberta", ROBERTA), ("t5", None)])
def test_most_encoders_read_two(load_pairs, model, processor):
    encoder, *others = load_pairs(model, processor)
    encoder.train()
    check_pairs(encoder, *others)
    assert encoder.training


@pytest.mark.parametrize(
    "processor",
    [
        ByteLevel(),
        TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=SPECIAL),
        TemplateProcessing(single="$A [SEP]", pair="$A $B [SEP]", special_tokens=SPECIAL),
    ],
)
def test_a_tokenizer_that_runs_texts_together_is_refused(load_pairs, processor):
    with pytest.raises(EncoderError, match=r"'mine' puts nothing between two texts.*do without read_image_text"):
        check_pairs(*load_pairs("bert", processor))


def test_a_vector_that_ends_with_the_first_text_is_refused(load_pairs):
    with pytest.raises(EncoderError, match="'mine' reads no further than the first"):
        check_pairs(*load_pairs("clip", ROBERTA))


def test_two_texts_need_room(load_pairs):
    with pytest.raises(SettingsError, match="max_tokens=4: with read_image_text the text encoder 'mine' needs 5 or"):
        check_pairs(*load_pairs("bert", max_tokens=4))
    check_pairs(*load_pairs("bert", max_tokens=5))
