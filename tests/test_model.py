"""Encoders, fusion and head as one module."""

import pytest
import torch

from jointune.encoders.encoder_output import EncoderOutput
from jointune.encoders.loading import load_image_encoder, load_text_encoder
from jointune.fusion.registry import NAMED, make_fusion
from jointune.model import Inputs, JointModel, make_model


@pytest.fixture(params=list(NAMED))
def model(request, tiny_text, tiny_image) -> JointModel:
    text, image = load_text_encoder(tiny_text)[0], load_image_encoder(tiny_image)[0]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = make_model({"text": text, "image": image}, request.param, 3)
        for vector in made.missing.values():
            torch.nn.init.normal_(vector)
    return made.eval()


def inputs(present: list[list[bool]]) -> Inputs:
    """Make posts; post i always has the same text and the same image, if it has one."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 30, (len(present), 6), generator=generator)
    pixels = torch.randint(0, 256, (len(present), 32, 32, 3), dtype=torch.uint8, generator=generator)
    mask = torch.tensor(present)
    text, image = ids[mask[:, 0]], pixels[mask[:, 1]]
    tokens = {"input_ids": text, "attention_mask": torch.ones_like(text), "token_type_ids": torch.zeros_like(text)}
    having = {"text": tokens} if len(text) else {}
    return Inputs(mask, having | ({"image": {"pixels": image}} if len(image) else {}))


def test_each_post_meets_its_own_text_and_picture(model):
    """Whatever its neighbours lack, a post's logits are those it has alone with them complete."""
    with torch.no_grad():
        whole = model(inputs([[True, True]] * 4)).logits
        mixed = model(inputs([[True, True], [False, True], [True, True], [True, False]])).logits
        other = model(inputs([[True, False], [False, True], [False, False], [True, False]])).logits
    torch.testing.assert_close(mixed[[0, 2]], whole[[0, 2]])
    torch.testing.assert_close(mixed[[1, 3]], other[[1, 3]])
    assert not torch.allclose(mixed[1], whole[1])
    assert not torch.allclose(mixed[3], whole[3])


def test_a_batch_in_which_nobody_has_a_modality(model):
    with torch.no_grad():
        texts = model(inputs([[True, False]] * 2)).logits
        pictures = model(inputs([[False, True]] * 2)).logits
        mixed = model(inputs([[True, False], [False, True]])).logits
    torch.testing.assert_close(mixed[0], texts[0])
    torch.testing.assert_close(mixed[1], pictures[1])


def test_the_vectors_that_replace_missing_modalities_are_learned(model):
    model.train()
    model(inputs([[True, False], [False, True]])).logits.sum().backward()
    assert all(vector.grad.abs().sum() > 0 for vector in model.missing.values())


def test_padding_is_not_attended_to(tiny_text, tiny_image):
    generator = torch.Generator().manual_seed(0)
    fusion = make_fusion("cross-attention", {"text": 16, "image": 16}).eval()
    tokens, other = torch.randn(2, 1, 5, 16, generator=generator)
    image = EncoderOutput(
        torch.randn(1, 4, 16, generator=generator), torch.ones(1, 4, dtype=torch.bool), torch.zeros(1, 16)
    )
    mask = torch.tensor([[True, True, True, False, False]])
    padded = torch.where(mask.unsqueeze(-1), tokens, other)
    present = torch.ones(1, 2, dtype=torch.bool)
    pooled = torch.zeros(1, 16)
    with torch.no_grad():
        first = fusion({"text": EncoderOutput(tokens, mask, pooled), "image": image}, present)
        second = fusion({"text": EncoderOutput(padded, mask, pooled), "image": image}, present)
    torch.testing.assert_close(first, second)


def test_the_papers_architecture_layer_for_layer():
    """arXiv 2210.05790: 32 units each, one transformer layer of 64 with 8 heads, 128 units before the last layer."""
    fusion = make_fusion("paper", {"text": 384, "image": 1280})
    assert [projection[0].out_features for projection in fusion.projections.values()] == [32, 32]
    assert fusion.layer.self_attn.embed_dim == 64
    assert fusion.layer.self_attn.num_heads == 8
    assert fusion.layer.dropout.p == 0.4
    assert fusion.out[1].in_features == 64
    assert fusion.dim == fusion.out[1].out_features == 128


def test_batch_normalisation_keeps_its_statistics(tmp_path):
    import transformers

    network = transformers.ResNetModel(transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1]))
    network.save_pretrained(tmp_path)
    transformers.ConvNextImageProcessorPil(size={"shortest_edge": 32}).save_pretrained(tmp_path)
    encoder = load_image_encoder(str(tmp_path))[0]
    text = torch.nn.Identity()
    text.dim = text.width = 16
    model = make_model({"text": text, "image": encoder}, "concat", 2).train()
    before = {name: values.clone() for name, values in encoder.state_dict().items() if "running" in name}
    model(inputs([[False, True]] * 4))
    assert before
    assert all(torch.equal(encoder.state_dict()[name], values) for name, values in before.items())
