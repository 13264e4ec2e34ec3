"""Any architecture that AutoModel loads: a small random checkpoint is saved, loaded, run, and rebuilt."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as t
from PIL import Image

from conftest import make_tokenizer_folder
from jointune.encoders.loading import build_image_encoder, build_text_encoder, load_image_encoder, load_text_encoder
from jointune.errors import EncoderError, SettingsError

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
WORDS = {"vocab_size": 40, "max_position_embeddings": 64, "pad_token_id": 0}
EYES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32}
IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}

TEXT_MODELS = {
    "bert": lambda: t.BertModel(t.BertConfig(**SMALL, **WORDS)),
    "roberta": lambda: t.RobertaModel(t.RobertaConfig(**SMALL, **WORDS)),
    "electra": lambda: t.ElectraModel(t.ElectraConfig(**SMALL, **WORDS, embedding_size=16)),
    "distilbert": lambda: t.DistilBertModel(
        t.DistilBertConfig(vocab_size=40, max_position_embeddings=64, dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    ),
    "modernbert": lambda: t.ModernBertModel(
        t.ModernBertConfig(**SMALL, **WORDS, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3)
    ),
    "t5": lambda: t.T5Model(t.T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)),
    "clip": lambda: t.CLIPModel(
        t.CLIPConfig(text_config=SMALL | WORDS | IDS, vision_config=EYES | {"patch_size": 8}, projection_dim=8)
    ),
    "siglip": lambda: t.SiglipModel(
        t.SiglipConfig(text_config=SMALL | WORDS | IDS, vision_config=EYES | {"patch_size": 8})
    ),
}

IMAGE_MODELS = {
    "vit": (lambda: t.ViTModel(t.ViTConfig(**EYES, patch_size=8), add_pooling_layer=False), t.ViTImageProcessorPil),
    "dinov2": (lambda: t.Dinov2Model(t.Dinov2Config(**EYES, patch_size=8)), t.BitImageProcessorPil),
    "resnet": (
        lambda: t.ResNetModel(t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])),
        t.ConvNextImageProcessorPil,
    ),
    "convnext": (
        lambda: t.ConvNextModel(t.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)),
        t.ConvNextImageProcessorPil,
    ),
    "mobilenet_v2": (
        lambda: t.MobileNetV2Model(t.MobileNetV2Config(depth_multiplier=0.25, image_size=32)),
        t.MobileNetV2ImageProcessorPil,
    ),
    "swin": (
        lambda: t.SwinModel(
            t.SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4)
        ),
        t.ViTImageProcessorPil,
    ),
    "clip": (TEXT_MODELS["clip"], t.CLIPImageProcessorPil),
    "siglip": (TEXT_MODELS["siglip"], t.SiglipImageProcessorPil),
}


def save(model: t.PreTrainedModel, folder: Path) -> str:
    model.eval().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_text_encoder_of_any_family(name, tmp_path):
    make_tokenizer_folder(tmp_path)
    folder = save(TEXT_MODELS[name](), tmp_path)
    encoder, preprocessor, description = load_text_encoder(folder)
    encoder.eval()
    rows = preprocessor.encode(["good lunch today", "so", "the train was not very bad but awful " * 30])
    assert len(rows[2]) == preprocessor.max_tokens
    batch = {key: torch.from_numpy(values) for key, values in preprocessor.collate(rows).items()}
    with torch.no_grad():
        states = encoder(batch)
        alone = encoder({key: torch.from_numpy(values) for key, values in preprocessor.collate(rows[:1]).items()})
    assert states.tokens.shape == (3, batch["input_ids"].shape[1], encoder.dim)
    assert states.pooled.shape == (3, encoder.dim)
    assert states.mask.sum(1).tolist() == [len(row) for row in rows]
    torch.testing.assert_close(states.pooled[:1], alone.pooled, atol=1e-5, rtol=1e-4)  # padding changes nothing

    rebuilt = build_text_encoder(description, preprocessor).eval()
    rebuilt.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(rebuilt(batch).pooled, states.pooled)


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_image_encoder_of_any_family(name, tmp_path):
    make, processor = IMAGE_MODELS[name]
    folder = save(make(), tmp_path)
    size = {"shortest_edge": 32} if "shortest_edge" in dict(processor().size) else {"height": 32, "width": 32}
    crop = {"crop_size": {"height": 32, "width": 32}} if getattr(processor(), "do_center_crop", False) else {}
    processor(size=size, **crop).save_pretrained(tmp_path)
    encoder, preprocessor, description = load_image_encoder(folder)
    encoder.eval()
    assert preprocessor.size == (32, 32)
    picture = Image.effect_mandelbrot((60, 44), (-2, -1.2, 1, 1.2), 60).convert("RGB")
    pixels = preprocessor.crop(preprocessor.prepare(picture))
    with torch.no_grad():
        states = encoder({"pixels": torch.from_numpy(np.stack([pixels, pixels]))})
    assert states.pooled.shape == (2, encoder.dim)
    assert states.tokens.shape[0] == 2
    assert states.tokens.shape[2] == encoder.dim

    rebuilt = build_image_encoder(description, preprocessor).eval()
    rebuilt.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(
            rebuilt(torch.from_numpy(pixels[None])).pooled, states.pooled[:1], atol=1e-5, rtol=1e-4
        )


def test_siglip_text_is_padded_to_its_full_length(tmp_path):
    make_tokenizer_folder(tmp_path)
    _, preprocessor, _ = load_text_encoder(save(TEXT_MODELS["siglip"](), tmp_path))
    assert preprocessor.collate(preprocessor.encode(["good"]))["input_ids"].shape == (1, 64)
    assert preprocessor.inputs == ("input_ids",)


def test_max_tokens_is_bounded_by_the_encoder(tiny_text):
    assert load_text_encoder(tiny_text)[1].max_tokens == 64
    assert load_text_encoder(tiny_text, max_tokens=8)[1].max_tokens == 8
    with pytest.raises(SettingsError, match="4 to 64 tokens"):
        load_text_encoder(tiny_text, max_tokens=65)


def test_roberta_counts_positions_after_its_padding(tmp_path):
    make_tokenizer_folder(tmp_path)
    config = t.RobertaConfig(**SMALL, vocab_size=40, max_position_embeddings=34, pad_token_id=1)
    encoder, preprocessor, _ = load_text_encoder(save(t.RobertaModel(config), tmp_path))
    assert preprocessor.max_tokens == 32
    rows = preprocessor.encode(["good " * 100])
    encoder({key: torch.from_numpy(values) for key, values in preprocessor.collate(rows).items()})


@pytest.mark.parametrize("load", [load_text_encoder, load_image_encoder])
def test_an_encoder_that_is_not_there_is_named(load, tmp_path):
    with pytest.raises(EncoderError, match="nobody/nothing"):
        load("nobody/nothing")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load(str(tmp_path))
    with pytest.raises(EncoderError, match="no such folder"):
        load(str(tmp_path / "nowhere"))


def test_a_built_in_name_of_the_other_modality_is_explained():
    with pytest.raises(EncoderError, match="not an encoder of this modality"):
        load_text_encoder("efficientnet-lite0")


@pytest.mark.parametrize("load", [load_text_encoder, load_image_encoder])
def test_without_the_hub_the_answer_comes_at_once(load, monkeypatch):
    """One question, not the minute of retries of the hub's client."""
    import huggingface_hub

    asked = []

    def unreachable(address, **_):
        asked.append(address)
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    with pytest.raises(EncoderError, match=r"nobody/nothing: no such folder.*Name or service not known") as refusal:
        load("nobody/nothing")
    assert len(asked) == 1
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["no such name!", "what is/this?"])
def test_what_can_be_no_name_of_the_hub_is_refused(name, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(EncoderError, match="no such folder"):
        load_text_encoder(name)


def test_what_was_downloaded_before_loads_without_the_hub(tiny_text, tmp_path, monkeypatch):
    import huggingface_hub
    from transformers.utils import hub

    folder = tmp_path / "models--nobody--cached" / "snapshots" / "0123456789012345678901234567890123456789"
    shutil.copytree(tiny_text, folder)
    (tmp_path / "models--nobody--cached" / "refs").mkdir()
    (tmp_path / "models--nobody--cached" / "refs" / "main").write_text(folder.name)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.file_download.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    found, wanted = load_text_encoder("nobody/cached")[0], load_text_encoder(tiny_text)[0]
    for name, value in wanted.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value)


def test_loading_leaves_the_global_random_state_alone(tiny_text, tiny_image):
    before = torch.get_rng_state()
    load_text_encoder(tiny_text)
    load_image_encoder(tiny_image)
    assert torch.equal(before, torch.get_rng_state())


def test_loading_seeds_no_gpu(tiny_text, tiny_image, monkeypatch):
    """Its state is not given back afterwards, as that of the CPU is."""
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("a GPU was seeded"))
    load_text_encoder(tiny_text)
    load_image_encoder(tiny_image)
