"""The activations of frozen layers are computed once, which changes nothing but the time."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.vit.modeling_vit import ViTPatchEmbeddings

from conftest import make_tokenizer_folder
from helpers.full_disk import files_up_to
from helpers.watched_forward import watched
from jointune import JointClassifier, Posts
from jointune.errors import OutputError
from jointune.modalities.rows import ActivationStore


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


@pytest.fixture
def not_cached(monkeypatch):
    """Turns the cache off, for which there is no setting."""
    return lambda: monkeypatch.setattr("jointune.training.fit.cache_frozen_layers", lambda *_: None)


@pytest.mark.parametrize("augmented", [{"augment": False}, {}, {"image_copies": 3}], ids=str)
@pytest.mark.parametrize("probe", [False, True])
def test_it_changes_nothing_but_the_time(deep, parts, not_cached, augmented, probe):
    training, held, test = parts
    settings = deep | augmented | {"probe": probe, "modality_dropout": 0.4}
    layers = []
    with watched(BertLayer, lambda layer, _: layers.append(layer.training)):
        stored = JointClassifier(**settings).fit(training, validation=held)
    steps = -(-len(training) // settings["batch_size"]) * settings["epochs"]
    assert sum(layers) == 2 * steps, "of four layers, the two frozen ones are not run in a step"
    not_cached()
    anew = JointClassifier(**settings).fit(training, validation=held)
    np.testing.assert_allclose(stored.predict_proba(test), anew.predict_proba(test), atol=1e-4)
    assert stored.metrics_.accuracy == stored.evaluate(held).accuracy


@pytest.mark.parametrize("augmented", [{"augment": False}, {}, {"image_copies": 2}], ids=str)
def test_each_of_several_images_has_its_own_activations(deep, parts, not_cached, augmented):
    training, held, test = (
        Posts(
            replace(post, image=[other.image for other in part[number : number + 1 + number % 3]])
            for number, post in enumerate(part)
        )
        for part in parts
    )
    settings = deep | augmented
    stored = JointClassifier(**settings).fit(training, validation=held)
    not_cached()
    anew = JointClassifier(**settings).fit(training, validation=held)
    np.testing.assert_allclose(stored.predict_proba(test), anew.predict_proba(test), atol=1e-4)


def test_an_encoder_that_attends_to_padding_gets_its_activations_too(deep, parts, not_cached, tmp_path):
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
    not_cached()
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
    assert classifier.model_.encoders["text"].split is None
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

    def count(_, inputs):
        if len(inputs[0]) > 2:  # fewer are examples by which the encoder is examined when it is loaded
            run.append(len(inputs[0]))

    with watched(ViTPatchEmbeddings, count):
        stored = JointClassifier(**settings).fit(training, validation=held)
    assert sum(run) == 2 * len(training) + 2 * len(held), "held-out ones: not mirrored, and once by the final weights"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    run.clear()
    with watched(ViTPatchEmbeddings, count):
        anew = JointClassifier(**settings | {"progress": True}).fit(training, validation=held)
    assert "too little disk for the activations of images" in capsys.readouterr().err
    # The final weights are run on both parts once more.
    whole = (settings["epochs"] + 1) * len(training) + (len(anew.log_) + 1) * len(held)
    assert sum(run) <= whole + 2 * settings["batch_size"], "one batch of each part shows how large states are"
    np.testing.assert_allclose(stored.predict_proba(test), anew.predict_proba(test), atol=1e-4)


def test_a_full_disk_is_one_clear_error():
    store = ActivationStore()
    store.put(0, np.ones(50, dtype=np.float32))
    for size, says in ((300, "the disk is full"), (200, "File too large")):
        with (
            files_up_to(size),
            pytest.raises(OutputError, match=f"no room for the activations of the frozen layers.*{says}"),
        ):
            store.put(1, np.ones(50, dtype=np.float32))
    np.testing.assert_array_equal(store[0], np.ones(50))
