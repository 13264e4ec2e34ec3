"""Tiny random CLIP and SigLIP checkpoints, complete with tokenizer and preprocessing."""

import pytest
import torch
import transformers as t

from conftest import make_tokenizer_folder

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
TEXT = SMALL | {
    "vocab_size": 40,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
VISION = SMALL | {"image_size": 32, "patch_size": 8}


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("dual") / "tiny-clip"
    make_tokenizer_folder(folder)
    config = t.CLIPConfig(text_config=TEXT, vision_config=VISION | {"hidden_size": 24}, projection_dim=8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        t.CLIPModel(config).save_pretrained(folder)
    square = {"height": 32, "width": 32}
    t.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=square).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_siglip(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("dual") / "tiny-siglip"
    make_tokenizer_folder(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        t.SiglipModel(t.SiglipConfig(text_config=TEXT, vision_config=VISION)).save_pretrained(folder)
    t.SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=["tiny_clip", "tiny_siglip"])
def dual(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param)
