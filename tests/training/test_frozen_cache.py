"""What frozen layers say is computed once, and changes nothing but the time."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conftest import make_tokenizer_folder
from jointune import JointClassifier
from jointune.encoders.frozen_split import FrozenSplit
from jointune.encoders.image_encoder import ImageEncoder
from jointune.errors import OutputError
from jointune.training import frozen_cache


@pytest.fixture(scope="module")
def deep(tmp_path_factory, tiny_settings):
    """Encoders of four layers."""
    from transformers import BertConfig, BertModel, ViTConfig, ViTImageProcessorPil, ViTModel

    text, image = tmp_path_factory.mktemp("deep-text"), tmp_path_factory.mktemp("deep-image")
    small = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
    make_tokenizer_folder(text)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(BertConfig(**small, vocab_size=40), add_pooling_layer=False).save_pretrained(text)
        ViTModel(ViTConfig(**small, image_size=32, patch_size=8), add_pooling_layer=False).save_pretrained(image)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(image)
    named = {"text_encoder": str(text), "image_encoder": str(image)}
    return tiny_settings | named | {"train_layers": 0.5, "epochs": 2, "precision": "fp32"}


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("probe", [False, True])
def test_it_changes_nothing_but_the_time(deep, parts, monkeypatch, augment, probe):
    training, held, test = parts
    settings = deep | {"augment": augment, "probe": probe, "modality_dropout": 0.4}
    calls = []
    upper = FrozenSplit.upper
    monkeypatch.setattr(FrozenSplit, "upper", lambda split, model, a: calls.append(len(a)) or upper(split, model, a))
    stored = JointClassifier(**settings).fit(training, validation=held)
    assert sum(calls) > len(training)
    monkeypatch.setattr("jointune.classifier.run_frozen_layers", lambda *_, **__: None)
    anew = JointClassifier(**settings).fit(training, validation=held)
    np.testing.assert_allclose(stored.predict_proba(test), anew.predict_proba(test), atol=1e-4)
    assert stored.metrics_.accuracy == stored.evaluate(held).accuracy


def test_an_encoder_that_looks_at_padding_gets_the_states_of_it_too(deep, parts, monkeypatch, tmp_path):
    from transformers import SiglipConfig, SiglipModel

    small = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
    make_tokenizer_folder(tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        words = small | {"vocab_size": 40, "max_position_embeddings": 24}
        eyes = small | {"image_size": 32, "patch_size": 8}
        SiglipModel(SiglipConfig(text_config=words, vision_config=eyes)).save_pretrained(tmp_path)
    training, held, test = (posts.without("image") for posts in parts)
    settings = deep | {"text_encoder": str(tmp_path), "epochs": 1, "encoder_lr": 1e-2}
    stored = JointClassifier(**settings).fit(training, validation=held)
    monkeypatch.setattr("jointune.classifier.run_frozen_layers", lambda *_, **__: None)
    anew = JointClassifier(**settings).fit(training, validation=held)
    np.testing.assert_allclose(stored.predict_proba(test), anew.predict_proba(test), atol=1e-4)


def test_an_encoder_that_pads_to_its_window_is_computed_whole(deep, parts, tmp_path):
    from transformers import LongformerConfig, LongformerModel

    small = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
    make_tokenizer_folder(tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LongformerConfig(**small, vocab_size=40, attention_window=8, max_position_embeddings=64)
        LongformerModel(config, add_pooling_layer=False).save_pretrained(tmp_path)
    training, held, _ = (posts.without("image") for posts in parts)
    classifier = JointClassifier(**deep | {"text_encoder": str(tmp_path)}).fit(training, validation=held)
    assert classifier.model_.text_encoder.split is None
    texts = [{"text": "sun"}, {"text": "we had lunch and my train is so very late today"}]
    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])
    np.testing.assert_allclose(classifier.predict_proba(texts), alone, atol=1e-5)


def test_a_seed_gives_the_same_numbers_twice_in_bf16_too(deep, parts):
    training, held, test = parts
    settings = deep | {"precision": "bf16", "augment": False}
    first, second = (JointClassifier(**settings).fit(training, validation=held).predict_proba(test) for _ in range(2))
    assert np.array_equal(first, second)


def test_posts_without_a_text_or_without_a_picture(deep, parts):
    training, held, test = parts
    settings = deep | {"augment": False}
    for hidden in ("text", "image"):
        scores = (
            JointClassifier(**settings)
            .fit(training.without(hidden), validation=held.without(hidden))
            .predict_proba(test)
        )
        assert np.isfinite(scores).all()


def test_pictures_are_run_twice_in_all_and_only_where_there_is_room(deep, parts, monkeypatch, capsys):
    training, held, test = parts
    settings = deep | {"probe": False}
    run = []
    activations = ImageEncoder.activations
    monkeypatch.setattr(ImageEncoder, "activations", lambda self, px: run.append(len(px)) or activations(self, px))
    stored = JointClassifier(**settings).fit(training, validation=held)
    assert sum(run) == 2 * len(training) + len(held), "held-out pictures are not mirrored"
    run.clear()
    monkeypatch.setattr(frozen_cache.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    anew = JointClassifier(**settings | {"progress": True}).fit(training, validation=held)
    assert "too little disk for what frozen layers say of pictures" in capsys.readouterr().err
    assert sum(run) <= 2 * settings["batch_size"], "one batch of each part shows how large states are"
    np.testing.assert_allclose(stored.predict_proba(test), anew.predict_proba(test), atol=1e-4)


def test_a_full_disk_is_told(deep, parts, monkeypatch):
    training, held, _ = parts

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frozen_cache.os, "pwrite", full)
    with pytest.raises(OutputError, match=r"no room for the states of the frozen layers.*No space left"):
        JointClassifier(**deep).fit(training, validation=held)
