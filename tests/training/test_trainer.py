"""What the training loop promises."""

import json
import os
import pickle
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st

from conftest import SumFusion
from jointune import JointClassifier, Posts, SettingsError, read_posts
from jointune.config import SETTINGS
from jointune.evaluation.calibration import at_temperature
from jointune.training.trainer import _schedule


def test_a_seed_gives_the_same_numbers_twice_and_another_seed_others(parts, tiny_settings):
    training, held, test = parts
    first, second, other = (
        JointClassifier(**tiny_settings | {"seed": seed}).fit(training, validation=held).predict_proba(test)
        for seed in (3, 3, 4)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_training_and_predicting_leave_the_global_random_state_alone(parts, tiny_settings):
    import random

    training, held, test = parts
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the state that must not be touched
    random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    JointClassifier(**tiny_settings).fit(training, validation=held).predict(test)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert before[2] == random.getstate()


def test_both_encoders_fusion_and_head_are_trained(parts, tiny_settings):
    from jointune.encoders.loading import load_image_encoder, load_text_encoder

    training, held, _ = parts
    model = JointClassifier(**tiny_settings).fit(training, validation=held).model_
    for modality, load in (("text", load_text_encoder), ("image", load_image_encoder)):
        before = load(tiny_settings[f"{modality}_encoder"])[0].state_dict()
        after = model.encoders[modality].state_dict()
        changed = [not torch.equal(values, before[key]) for key, values in after.items()]
        assert sum(changed) > len(changed) / 2
    assert all(vector.abs().sum() > 0 for vector in model.missing.values())


def test_only_the_upper_layers_are_trained_and_the_rest_is_as_it_was(parts, tiny_settings, four_layers):
    from transformers import AutoModel

    training, held, _ = parts
    settings = tiny_settings | {"text_encoder": four_layers, "train_layers": 0.5}
    classifier = JointClassifier(**settings).fit(training, validation=held)
    before = AutoModel.from_pretrained(four_layers, add_pooling_layer=False).state_dict()
    after = classifier.model_.encoders["text"].model.state_dict()
    moved = {
        key.split(".")[2] for key in before if key.startswith("encoder") and not torch.equal(before[key], after[key])
    }
    assert moved == {"2", "3"}
    assert all(torch.equal(before[key], after[key]) for key in before if key.startswith("embeddings"))
    whole = JointClassifier(**settings | {"train_layers": None}).fit(training, validation=held)
    assert whole.trained_parameters_ > classifier.trained_parameters_


def test_computing_layers_twice_changes_nothing(parts, tiny_settings):
    training, held, test = parts
    plain, twice = (
        JointClassifier(**tiny_settings, gradient_checkpointing=on).fit(training, validation=held).predict_proba(test)
        for on in (False, True)
    )
    np.testing.assert_allclose(plain, twice, atol=1e-4)


def test_compiled_layers_give_the_same(parts, tiny_settings, four_layers):
    """With a compiler that does nothing, since a real one is not everywhere."""
    training, held, test = parts
    settings, calls = tiny_settings | {"text_encoder": four_layers}, []

    def compile_nothing(function, **settings):
        calls.append(settings)
        return lambda *inputs, **named: function(*inputs, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", compile_nothing)
        compiled = JointClassifier(**settings, compile_layers=True).fit(training, validation=held)
    assert calls
    plain = JointClassifier(**settings).fit(training, validation=held)
    np.testing.assert_array_equal(plain.predict_proba(test), compiled.predict_proba(test))
    pickle.dumps(compiled)  # nothing compiled is left in it


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_torch_compiles_the_layers(parts, tiny_settings, four_layers):
    training, held, test = (posts.without("image") for posts in parts)
    # Each way to run a layer is compiled for itself, which takes seconds.
    settings = tiny_settings | {"text_encoder": four_layers, "epochs": 1, "probe": False, "train_layers": None}
    plain, compiled = (
        JointClassifier(**settings, compile_layers=on).fit(training, validation=held).predict_proba(test)
        for on in (False, True)
    )
    np.testing.assert_allclose(plain, compiled, atol=0.05)  # its dropout draws are others


def test_few_posts_lower_the_rates_by_the_root_of_their_share(parts, tiny_settings):
    training, held, _ = parts
    posts = len(training)

    def rate(full_rate_posts):
        settings = tiny_settings | {"full_rate_posts": full_rate_posts, "schedule": "exponential", "warmup": 0}
        return JointClassifier(**settings).fit(training, validation=held).log_[-1]["learning_rate"]

    assert rate(0) == rate(posts) == rate(1)
    assert rate(4 * posts) == pytest.approx(rate(0) / 2)


def test_the_trained_model_is_calibrated_on_the_validation_posts(parts, misled, tiny_settings):
    test = parts[2]
    training, held = misled
    classifier = JointClassifier(**tiny_settings).fit(training, validation=held)
    temperature = float(classifier.model_.temperature)
    assert temperature > 2, "surer than it is right"
    scores = classifier.predict_proba(test)
    classifier.model_.temperature.fill_(1.0)
    np.testing.assert_allclose(at_temperature(classifier.predict_proba(test), temperature), scores, atol=1e-5)


def test_the_best_validated_weights_are_kept_on_request(parts, tiny_settings):
    training, held, _ = parts
    settings = tiny_settings | {"epochs": 5, "head_lr": 0.05, "prefer_last": 0.0}
    classifier = JointClassifier(**settings).fit(training, validation=held)
    best = max(entry["accuracy"] for entry in classifier.log_)
    assert classifier.metrics_.accuracy == pytest.approx(best)
    assert [entry["accuracy"] for entry in classifier.log_ if entry["kept"]] == [best]


@pytest.fixture
def misled(parts):
    """Training posts, and validation posts labelled mostly the other way round: learning makes their scores worse."""
    training, held, _ = parts
    other = {"positive": "negative", "negative": "positive"}
    return training, Posts([*held][:2] + [replace(post, label=other[post.label]) for post in [*held][2:]])


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "log_loss"])
def test_the_last_weights_are_kept_where_none_are_better_by_standard_errors(misled, tiny_settings, metric):
    training, held = misled
    settings = tiny_settings | {"epochs": 4, "probe": False, "average_epochs": 0.0, "patience": 9, "metric": metric}

    def kept(prefer_last):
        classifier = JointClassifier(**settings | {"prefer_last": prefer_last}).fit(training, validation=held)
        temperature = float(classifier.model_.temperature)
        scores = [entry[metric] * (-1 if metric == "log_loss" else 1) for entry in classifier.log_]
        assert scores[-1] < max(scores)
        return at_temperature(classifier.predict_proba(held), 1 / temperature)

    best, last, nearly = kept(0.0), kept(1e6), kept(1e-6)
    assert not np.allclose(best, last)
    assert np.array_equal(best, nearly)


def test_the_best_weights_are_kept_where_training_stopped_before_its_end(misled, tiny_settings):
    training, held = misled
    settings = tiny_settings | {"epochs": 30, "probe": False, "patience": 1, "metric": "log_loss"}
    patient, strict = (
        JointClassifier(**settings | {"prefer_last": prefer_last}).fit(training, validation=held)
        for prefer_last in (1e6, 0.0)
    )
    losses = [entry["log_loss"] for entry in patient.log_]
    assert patient.log_[-1]["epoch"] < 30
    assert losses[-1] > min(losses)
    assert np.array_equal(patient.predict_proba(held), strict.predict_proba(held))


def test_training_stops_when_validation_no_longer_improves(parts, tiny_settings):
    training, held, _ = parts
    patient = JointClassifier(**tiny_settings | {"epochs": 30, "patience": 1, "encoder_lr": 0.0, "head_lr": 0.0})
    patient.fit(training, validation=held)
    assert patient.log_[-1]["epoch"] <= 2


def test_without_patience_training_goes_on_as_long_as_every_validation_is_better(parts, tiny_settings):
    training, held, _ = parts
    settings = tiny_settings | {"epochs": 8, "patience": 0, "metric": "log_loss"}
    losses = [entry["log_loss"] for entry in JointClassifier(**settings).fit(training, validation=held).log_]
    better = [after < before for before, after in pairwise(losses)]
    assert better[0]
    assert all(better[:-1])
    assert not better[-1] or len(better) == 16
    still = settings | {"encoder_lr": 0.0, "head_lr": 0.0}
    assert len(JointClassifier(**still).fit(training, validation=held).log_) == 2


def test_class_weights_move_the_predictions(parts, tiny_settings):
    training, held, _ = parts
    weights = {"positive": 100.0, "negative": 0.01}
    classifier = JointClassifier(**tiny_settings | {"class_weight": weights, "metric": "log_loss", "epochs": 1})
    classifier.fit(training, validation=held)
    assert (classifier.predict(held) == "positive").mean() > 0.9
    balanced = JointClassifier(**tiny_settings | {"class_weight": "balanced"}).fit(training, validation=held)
    assert set(balanced.predict(held)) == {"positive", "negative"}


@given(total=st.integers(1, 5000), warmup=st.floats(0, 1), schedule=st.sampled_from(SETTINGS["schedule"].choices))
def test_the_schedule_rises_then_falls_and_stays_between_0_and_1(total, warmup, schedule):
    recipe = JointClassifier(warmup=warmup, schedule=schedule).validated()
    rates = [_schedule(step, total, max(1, total // 4), recipe) for step in range(total)]
    assert all(0 <= rate <= 1 for rate in rates)
    peak = round(total * warmup) - 1
    assert all(a <= b + 1e-12 for a, b in pairwise(rates[: peak + 1]))
    assert all(a >= b - 1e-12 for a, b in pairwise(rates[max(peak, 0) :]))


@given(final_rate=st.floats(0, 1), total=st.integers(10, 5000))
def test_a_cosine_ends_with_the_final_rate(final_rate, total):
    recipe = JointClassifier(warmup=0.0, final_rate=final_rate).validated()
    assert _schedule(0, total, total, recipe) == pytest.approx(1)
    assert _schedule(total // 2, 2 * (total // 2), total, recipe) == pytest.approx((1 + final_rate) / 2)
    assert _schedule(total, total, total, recipe) == pytest.approx(final_rate)


def test_the_exponential_schedule_is_that_of_the_paper():
    recipe = JointClassifier(warmup=0.0, schedule="exponential").validated()
    assert [round(_schedule(step, 40, 10, recipe), 4) for step in (0, 9, 10, 25, 39)] == [1, 1, 0.9, 0.81, 0.729]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", -1),
        ("epoch_steps", 0),
        ("average_epochs", -1.0),
        ("prefer_last", -0.5),
        ("final_rate", 1.5),
        ("schedule", "linear"),
        ("batch_size", 0),
        ("encoder_lr", -1.0),
        ("head_lr", float("nan")),
        ("warmup", 1.5),
        ("max_grad_norm", 0.0),
        ("metric", "accuracies"),
        ("precision", "fp8"),
        ("fusion", "sum"),
        ("on_bad_image", "ignore"),
        ("track", "notes"),
        ("modality_dropout", 2.0),
        ("class_weight", {"happy": 1.0}),
    ],
)
def test_a_setting_out_of_range_is_named(parts, tiny_settings, setting, value):
    with pytest.raises(SettingsError, match=setting):
        JointClassifier(**tiny_settings | {setting: value}).fit(parts[0], validation=parts[1])


def test_tensorboard_gets_the_log(parts, tiny_settings, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.chdir(tmp_path)
    JointClassifier(**tiny_settings | {"track": "tensorboard"}).fit(parts[0], validation=parts[1])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: set[str] = set()
    for file in tmp_path.rglob("events.out*"):
        accumulator = EventAccumulator(str(file))
        accumulator.Reload()
        found |= set(accumulator.Tags()["scalars"])
    assert {"loss", "accuracy", "macro_f1", "learning_rate"} <= found


def test_bf16_trains_too(parts, tiny_settings):
    training, held, _ = parts
    classifier = JointClassifier(**tiny_settings | {"precision": "bf16"}).fit(training, validation=held)
    assert np.isfinite([entry["loss"] for entry in classifier.log_[1:]]).all()
    assert all(parameter.dtype == torch.float32 for parameter in classifier.model_.parameters())


def test_several_processes_train_together(posts_csv, tiny_settings, tmp_path):
    """Two processes on the CPU give one bundle that has learned, and gradients are averaged between them."""
    import subprocess
    import sys

    out = tmp_path / "bundle"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    launch += ["-m", "jointune", "train"]
    launch += [str(posts_csv), "--split-column", "split", "--out", str(out), "--epochs", "5", "--batch-size", "4"]
    launch += ["--text-encoder", tiny_settings["text_encoder"], "--image-encoder", tiny_settings["image_encoder"]]
    launch += [
        "--encoder-lr",
        "1e-3",
        "--head-lr",
        "1e-2",
        "--precision",
        "fp32",
        "--evaluations-per-epoch",
        "1",
        "--epoch-steps",
        "1",
    ]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(launch, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote") == 1
    steps = json.loads((out / "training_log.jsonl").read_text().splitlines()[-1])["step"]
    assert steps == 5 * 4, "32 posts make 8 batches an epoch, 4 for each process"
    assert JointClassifier.load(out).evaluate(read_posts(posts_csv)).accuracy > 0.9


@pytest.mark.parametrize("class_weight", [None, {"negative": 5.0, "positive": 0.5}])
def test_parts_of_a_batch_add_up_to_it(parts, tiny_settings, tmp_path, class_weight):
    """Where nothing is drawn at random, the gradients of four small parts are those of the whole."""
    shutil.copytree(tiny_settings["text_encoder"], tmp_path / "bert")
    config = json.loads((tmp_path / "bert" / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (tmp_path / "bert" / "config.json").write_text(json.dumps(config))

    training, held, test = (posts.without("image") for posts in parts)
    settings = tiny_settings | {"text_encoder": str(tmp_path / "bert"), "fusion": SumFusion, "modality_dropout": 0.0}
    settings |= {"class_weight": class_weight}
    whole, split = (
        JointClassifier(**settings | {"micro_batch_size": size}).fit(training, validation=held) for size in (8, 2)
    )
    assert split.log_[-1]["loss"] == pytest.approx(whole.log_[-1]["loss"], rel=1e-4)
    np.testing.assert_allclose(split.predict_proba(test), whole.predict_proba(test), atol=1e-3)


def test_an_accelerator_that_is_handed_in_is_the_one_that_trains(parts, tiny_settings):
    prepared, ended = [], []

    class Own(Accelerator):
        def prepare(self, *args, **named):
            prepared.append(args)
            return super().prepare(*args, **named)

        def end_training(self):
            ended.append(True)

    training, held, test = parts
    own = JointClassifier(**tiny_settings).fit(training, validation=held, accelerator=Own(cpu=True))
    assert len(prepared) == 1
    assert prepared[0][0] is own.model_
    assert not ended, "whoever made it may train with it again"
    plain = JointClassifier(**tiny_settings).fit(training, validation=held)
    np.testing.assert_array_equal(own.predict_proba(test), plain.predict_proba(test))
