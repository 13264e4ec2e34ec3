"""Pictures as tokens of the text encoder, in any text encoder that takes them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as t

from conftest import make_tokenizer_folder
from jointune import EncoderError, JointClassifier, read_posts
from jointune.encoders.loading import load_image_encoder, load_text_encoder
from jointune.model import Inputs, SingleStreamModel, make_model

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WORDS = {"vocab_size": 40, "max_position_embeddings": 64, "pad_token_id": 0}
SHIFTED = WORDS | {"max_position_embeddings": 66, "pad_token_id": 1}
WITHOUT_TYPES = {"vocab_size": 40, "max_position_embeddings": 64, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
ROTARY = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
VISUAL = WORDS | {"visual_embedding_dim": 24}

TAKES_PICTURES = {
    "bert": lambda: t.BertModel(t.BertConfig(**SMALL, **WORDS)),
    "roberta": lambda: t.RobertaModel(t.RobertaConfig(**SMALL, **SHIFTED, type_vocab_size=1)),
    "mpnet": lambda: t.MPNetModel(t.MPNetConfig(**SMALL, **SHIFTED)),
    "distilbert": lambda: t.DistilBertModel(t.DistilBertConfig(**WITHOUT_TYPES, dim=16)),
    "small electra": lambda: t.ElectraModel(t.ElectraConfig(**SMALL, **WORDS, embedding_size=8)),
    "modernbert": lambda: t.ModernBertModel(t.ModernBertConfig(**SMALL, **WORDS, **ROTARY)),
    "t5": lambda: t.T5Model(t.T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)),
    "visualbert": lambda: t.VisualBertModel(t.VisualBertConfig(**SMALL, **VISUAL)),
    "visualbert that bypasses": lambda: t.VisualBertModel(
        t.VisualBertConfig(**SMALL, **VISUAL, bypass_transformer=True)
    ),
}


def save(make, folder: Path) -> str:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make().save_pretrained(folder)
    return str(folder)


def single_stream(text_folder: str, image_folder: str, probe: bool = False) -> SingleStreamModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        text, image = load_text_encoder(text_folder)[0], load_image_encoder(image_folder)[0]
        model = make_model({"text": text, "image": image}, "single-stream", 3, probe)
        for learned in (*model.missing.values(), model.fusion.segment):
            torch.nn.init.normal_(learned)
    return model


def inputs(lengths: list[int], pictures: list[bool], pad: int = 0) -> Inputs:
    """Post i always has the same text, of the given length, and the same picture; length 0 is a post without text."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 30, (len(lengths), 10), generator=generator)
    pixels = torch.randint(0, 256, (len(lengths), 32, 32, 3), dtype=torch.uint8, generator=generator)
    present = torch.tensor([[length > 0, picture] for length, picture in zip(lengths, pictures, strict=True)])
    longest = max(lengths)
    mask = (torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)).long()[present[:, 0]]
    ids = torch.where(mask.bool(), ids[present[:, 0], :longest], pad)
    text = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    image = {"image": {"pixels": pixels[present[:, 1]]}} if any(pictures) else {}
    return Inputs(present, ({"text": text} if longest else {}) | image)


@pytest.mark.parametrize("name", TAKES_PICTURES)
def test_posts_do_not_influence_each_other(name, tmp_path, tiny_image):
    """Neither the length of the others' texts nor whether they have pictures tells in a post's logits."""
    make_tokenizer_folder(tmp_path)
    model = single_stream(save(TAKES_PICTURES[name], tmp_path), tiny_image).eval()
    with torch.no_grad():
        together = model(inputs([4, 0, 10, 7, 0], [True, True, False, True, False])).logits
        for alone in range(5):
            lengths, pictures = [0] * 5, [False] * 5
            lengths[alone], pictures[alone] = [4, 0, 10, 7, 0][alone], [True, True, False, True, False][alone]
            torch.testing.assert_close(model(inputs(lengths, pictures)).logits[alone], together[alone])
        blind = model(inputs([4, 0, 10, 7, 0], [False] * 5)).logits
    assert not torch.allclose(blind[0], together[0], atol=1e-4)  # the picture does tell


@pytest.mark.parametrize("name", TAKES_PICTURES)
def test_without_a_picture_words_are_read_as_ever(name, tmp_path, tiny_image):
    """Positions and segments are those that the text encoder gives by itself."""
    make_tokenizer_folder(tmp_path)
    encoder = single_stream(save(TAKES_PICTURES[name], tmp_path), tiny_image).encoders["text"].eval()
    tokens = inputs([4, 10], [False, False]).inputs["text"]
    tokens["token_type_ids"][:, 3:] = 1
    with torch.no_grad():
        expected = encoder(tokens)
        picture = torch.randn(2, 7, encoder.image_token_dim, generator=torch.Generator().manual_seed(0))
        states = encoder.forward_with_image(encoder.embed(tokens), picture, torch.zeros(2, 7, dtype=torch.bool))
    torch.testing.assert_close(states.pooled, expected.pooled, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(states.tokens[1], expected.tokens[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", TAKES_PICTURES)
def test_gradients_reach_the_picture_and_the_words(name, tmp_path, tiny_image):
    make_tokenizer_folder(tmp_path)
    model = single_stream(save(TAKES_PICTURES[name], tmp_path), tiny_image).train()
    model(inputs([4, 0, 10], [True, True, False])).logits.sin().sum().backward()
    within = [which for which, one in model.named_parameters() if one.grad is not None and one.grad.any()]
    outside = {which for which, _ in model.named_parameters()} - set(within)
    # No post has several images, which alone use the weights of attention over them.
    assert not [which for which in outside if not which.startswith(("encoders.text.", "attention."))]
    used = {which.removeprefix("encoders.text.model.").split(".")[0] for which in within}
    assert {"embeddings", "encoder"} & used or {"layers", "transformer", "block"} & used
    if name == "visualbert":
        assert "encoders.text.model.embeddings.visual_projection.weight" in within


def test_the_image_tokens_of_roberta_have_the_position_of_padding(tmp_path, tiny_image):
    make_tokenizer_folder(tmp_path)
    model = single_stream(save(TAKES_PICTURES["roberta"], tmp_path), tiny_image)
    words = torch.tensor([[True, True, True]])
    positions = model.encoders["text"]._positions(words, torch.tensor([[True, True]]))
    assert positions.tolist() == [[1, 1, 2, 3, 4]]


def test_a_full_text_and_a_picture_fit(tmp_path, tiny_image):
    """64 positions, 64 words and 17 picture tokens."""
    make_tokenizer_folder(tmp_path)
    model = single_stream(save(TAKES_PICTURES["bert"], tmp_path), tiny_image).eval()
    ids = torch.full((1, 64), 7)
    text = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    image = {"pixels": torch.zeros(1, 32, 32, 3, dtype=torch.uint8)}
    with torch.no_grad():
        both = Inputs(torch.ones(1, 2, dtype=torch.bool), {"text": text, "image": image})
        assert model(both).logits.isfinite().all()


def test_an_encoder_that_takes_words_only_is_named(tmp_path, tiny_image):
    make_tokenizer_folder(tmp_path)
    ids = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    config = t.CLIPConfig(text_config=SMALL | WORDS | ids, vision_config=SMALL | {"image_size": 32, "patch_size": 8})
    folder = save(lambda: t.CLIPModel(config), tmp_path)
    with pytest.raises(EncoderError, match="CLIPTextModel takes words only"):
        single_stream(folder, tiny_image)


def test_a_visualbert_without_a_tokenizer_says_whose_it_needs(tmp_path):
    folder = save(TAKES_PICTURES["visualbert"], tmp_path)
    with pytest.raises(EncoderError, match=r"comes without a tokenizer.*bert-base-uncased"):
        load_text_encoder(folder)


@pytest.mark.parametrize(("name", "probe"), [("bert", True), ("visualbert", False), ("distilbert", False)])
def test_it_learns_and_comes_back_from_its_bundle(name, probe, tmp_path, tiny_settings, posts_csv):
    make_tokenizer_folder(tmp_path / "text")
    folder = save(TAKES_PICTURES[name], tmp_path / "text")
    posts = read_posts(posts_csv)
    settings = tiny_settings | {"text_encoder": folder, "fusion": "single-stream", "probe": probe, "epochs": 8}
    classifier = JointClassifier(**settings).fit(posts, validation=0.2)
    assert classifier.evaluate(posts).accuracy > 0.9
    classifier.save(tmp_path / "bundle")
    loaded = JointClassifier.load(tmp_path / "bundle")
    assert isinstance(loaded.model_, SingleStreamModel)
    np.testing.assert_array_equal(loaded.predict_proba(posts), classifier.predict_proba(posts))
    rows = [{"text": "good happy"}, {"image": posts_csv.parent / "1.png"}]
    alone = np.concatenate([loaded.predict_proba([row]) for row in rows])
    np.testing.assert_allclose(loaded.predict_proba(rows), alone, atol=1e-5)
