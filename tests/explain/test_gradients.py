"""Integrated gradients: they add up, for any encoder and any target, and leave the model as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.planted import planted
from jointune import JointClassifier, Post, Posts, SettingsError
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
    """A model of posts that tell their label by one word, among others, and have the same image."""
    random = np.random.default_rng(0)
    fillers, image = "the a we my today it was is but and".split(), parts[0][0].image  # noqa: SIM905
    posts = []
    for number in range(96):
        words = list(random.choice(fillers, 4, replace=False))
        words.insert(random.integers(5), ("bad", "good")[number % 2])
        posts.append(Post(" ".join(words), image, ("negative", "positive")[number % 2]))
    settings = tiny_settings | {"epochs": 12, "epoch_steps": 6, "encoder_lr": 5e-3}
    return JointClassifier(**settings).fit(Posts(posts[:64]), validation=Posts(posts[64:])), posts[64:]


def test_words_and_pixels_add_up_and_weights_stay(learned):
    model, posts = learned
    before = {name: value.clone() for name, value in model.model_.state_dict().items()}
    one = explained(model, posts[0], label=list(model.classes_))
    assert len(one.attributions) == 2
    check_complete(one)
    assert one.attributions[0].heat.shape == (1, *one.images[0].shape[:2])
    assert all(torch.equal(value, before[name]) for name, value in model.model_.state_dict().items())
    assert all(parameter.grad is None for parameter in model.model_.parameters())
    assert not any(module._forward_hooks for module in model.model_.modules())


@pytest.mark.parametrize("method", ["gradients", "occlusion"])
def test_the_decisive_word_is_on_top(learned, method):
    model, posts = learned
    assert model.evaluate(posts).accuracy > 0.9
    explained_posts = model.explain(posts, method=method)
    tops = [one.parts["text"].names[int(one.attributions[0].parts["text"].argmax())] for one in explained_posts]
    assert np.mean([top in ("good", "bad") for top in tops]) >= 0.95


@pytest.mark.parametrize("missing", ["text", "image"])
def test_posts_of_one_modality(learned, parts, missing):
    check_complete(explained(learned[0], parts[2].without(missing)[0]))


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
