"""Integrated gradients: they add up, for any encoder and any target, and leave the model as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.planted import planted
from jointune import JointClassifier, Posts, SettingsError
from jointune.explain.explainer import Explainer
from jointune.explain.gradients import TOLERANCE


def explained(model, post, **arguments):
    (one,) = Explainer(model.predictor(), method="gradients", **arguments).explain([post])
    return one


def check_complete(one):
    for attribution in one.attributions:
        total = sum(attribution.parts[name].sum() for name in ("text", "image") if name in attribution.parts)
        assert abs(attribution.base + total - attribution.score) <= TOLERANCE
        assert abs(attribution.missing) <= TOLERANCE


@pytest.fixture(scope="module")
def learned(tiny_settings, parts):
    """A model whose posts tell their label by a word and by a colour."""
    training, validation, _ = parts
    settings = tiny_settings | {"epochs": 12, "epoch_steps": 4, "prefer_last": 0.0}
    return JointClassifier(**settings).fit(training, validation=validation)


def test_words_and_pixels_add_up_and_weights_stay(learned, parts):
    before = {name: value.clone() for name, value in learned.model_.state_dict().items()}
    one = explained(learned, parts[2][0], label=list(learned.classes_))
    assert len(one.attributions) == 2
    check_complete(one)
    assert one.attributions[0].heat.shape == one.pixels.shape[:2]
    assert all(torch.equal(value, before[name]) for name, value in learned.model_.state_dict().items())
    assert all(parameter.grad is None for parameter in learned.model_.parameters())
    assert not any(module._forward_hooks for module in learned.model_.modules())


def test_the_decisive_words_are_on_top(learned, parts):
    posts = parts[2]
    texts = Posts([replace(post, image=None) for post in posts])
    right = learned.predict(texts) == np.array(posts.labels)
    assert right.mean() > 0.9
    for post in texts:
        for method in ("gradients", "occlusion"):
            (one,) = Explainer(learned.predictor(), method=method).explain([post])
            top = one.parts["text"].names[int(one.attributions[0].parts["text"].argmax())]
            assert top in ("good", "happy", "bad", "awful")


@pytest.mark.parametrize("missing", ["text", "image"])
def test_posts_of_one_modality(learned, parts, missing):
    check_complete(explained(learned, parts[2].without(missing)[0]))


@pytest.mark.parametrize("settings", [{"fusion": "single-stream"}, {"fusion": "cross-attention"}, {"probe": False}])
def test_other_models(tiny_settings, parts, settings):
    model = JointClassifier(**tiny_settings | {"epochs": 1} | settings).fit(parts[0], validation=parts[1])
    check_complete(explained(model, parts[2][1]))


def test_dual_encoders(tiny_settings, parts, dual):
    settings = tiny_settings | {"epochs": 1, "text_encoder": dual, "image_encoder": dual}
    check_complete(explained(JointClassifier(**settings).fit(parts[0], validation=parts[1]), parts[2][1]))


@pytest.mark.parametrize("target", ["multi", "ordered", "number"])
def test_other_targets(tiny_settings, parts, target):
    def labelled(posts):
        labels = {"multi": ["a", "a|b"], "ordered": ["1", "2", "3"], "number": ["0.5", "2", "7", "1.25"]}[target]
        return Posts(replace(post, label=labels[number % len(labels)]) for number, post in enumerate(posts))

    settings = tiny_settings | {"epochs": 1, "target": target}
    model = JointClassifier(**settings).fit(labelled(parts[0]), validation=labelled(parts[1]))
    one = explained(model, parts[2][0])
    check_complete(one)
    np.testing.assert_allclose(sum(one.shares.values.values()), one.answer - one.shares.base, atol=1e-6)
    assert one.sentence
    assert one.to_dict()["answer"]


def test_a_model_without_torch_has_none():
    with pytest.raises(SettingsError, match="no gradients"):
        Explainer(planted(), method="gradients")
