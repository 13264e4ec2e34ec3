"""Settings of a wrong type or out of range are refused before anything is loaded."""

import numpy as np
import pytest

from jointune import JointClassifier, SettingsError, compare, tune

POSTS = [{"text": f"{word} {number}", "label": word} for number in range(20) for word in ("good", "bad")]

WRONG = [
    ("epochs", "3", "epochs='3': give a whole number"),
    ("epochs", 2.0, "epochs=2.0: give a whole number"),
    ("epochs", None, "epochs=None: give a whole number"),
    ("epochs", True, "epochs=True: give a whole number"),
    ("epochs", -1, "epochs=-1: it must be at least 0"),
    ("batch_size", [8], "batch_size=[8]: give a whole number"),
    ("micro_batch_size", "8", "micro_batch_size='8': give a whole number or None"),
    ("head_lr", "fast", "head_lr='fast': give a number"),
    ("head_lr", float("nan"), "head_lr=nan: give a number"),
    ("encoder_lr", float("inf"), "encoder_lr=inf: give a number"),
    ("warmup", 2, "warmup=2: it must be between 0 and 1"),
    ("train_layers", "all", "train_layers='all': give a number or None"),
    ("max_tokens", "64", "max_tokens='64': give a whole number or None"),
    ("probe", "no", "probe='no': give True or False"),
    ("augment", None, "augment=None: give True or False"),
    ("text_encoder", None, "text_encoder=None: give a text"),
    ("fusion", 3, "fusion=3: give a text or a function"),
    ("class_weight", "even", "class_weight='even': give 'auto' or 'root' or 'balanced' or a dictionary or None"),
    ("class_weight", [1, 2], "class_weight=[1, 2]: give 'auto' or 'root' or 'balanced' or a dictionary or None"),
    ("normalise", 3, "normalise=3: give texts"),
    ("normalise", ["link"], "normalise=['link']: choose among"),
    ("on_bad_image", "ignore", "on_bad_image='ignore': give 'error' or 'skip' or 'missing'"),
    ("seed", "a", "seed='a': give a whole number"),
    ("seed", -1, "seed=-1: it must be between 0 and"),
    ("device", 0, "device=0: give a text or None"),
    ("text_column", 3, "text_column=3: give a text or None"),
    ("label_column", None, "label_column=None: give a text"),
    ("metric", "f1", "has no such score; choose one of accuracy, macro_f1"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG, ids=[f"{name}={value}" for name, value, _ in WRONG])
def test_a_setting_of_the_wrong_type(name, value, said):
    settings = {"text_encoder": "/nowhere", "image_encoder": "/nowhere", "progress": False, name: value}
    with pytest.raises(SettingsError) as caught:
        JointClassifier(**settings).fit(POSTS)
    assert said in str(caught.value)


@pytest.mark.parametrize("call", [compare, tune])
@pytest.mark.parametrize("wrong", [{"batch_size": "8"}, {"normalise": ["link"]}, {"probe": "no"}], ids=str)
def test_settings_of_many_trainings(call, wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        call(POSTS, text_encoder="/nowhere", image_encoder="/nowhere", **wrong)


def test_numbers_of_numpy_are_numbers(tiny_settings):
    numbers = {"epochs": np.int64(1), "head_lr": np.float32(0.01), "probe": np.bool_(True), "train_layers": 1}
    assert JointClassifier(**tiny_settings | numbers).validated().epochs == 1


@pytest.mark.parametrize("validation", [0, 1, 5, -0.1, float("nan"), np.float32(2)])
def test_a_fraction_that_is_none(validation):
    with pytest.raises(SettingsError, match="a fraction lies between 0 and 1"):
        JointClassifier("/nowhere", "/nowhere").fit(POSTS, validation=validation)


def test_a_fraction_of_numpy(tiny_settings):
    classifier = JointClassifier(**tiny_settings | {"epochs": 0}).fit(POSTS, validation=np.float32(0.25))
    assert sum(classifier.data_["validation"].values()) == 10


def test_arguments_of_methods(tiny_bundle):
    classifier = JointClassifier.load(tiny_bundle)
    for abstain in ("0.8", [0.8], True):
        with pytest.raises(SettingsError, match="abstain="):
            classifier.predict(POSTS, abstain=abstain)
    with pytest.raises(SettingsError, match="sample_weight"):
        classifier.score(POSTS, ["positive"] * 40, sample_weight=[1.0] * 40)
    for device in ("gpu", 1.5):
        with pytest.raises(SettingsError, match="device="):
            JointClassifier.load(tiny_bundle, device=device)


def test_explicit_settings_win_over_a_preset():
    assert JointClassifier.from_preset("fast", seed=3).get_params() == JointClassifier(epochs=0, seed=3).get_params()
    assert JointClassifier.from_preset("fast", epochs=1).epochs == 1
    assert JointClassifier.from_preset("default").get_params() == JointClassifier().get_params()
    with pytest.raises(SettingsError, match="preset='quick': choose one of fast, default, best"):
        JointClassifier.from_preset("quick")
