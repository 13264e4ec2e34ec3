"""The average of the weights."""

import numpy as np
import pytest
import torch
from torch import nn

from jointune import JointClassifier, read_posts
from jointune.training.averaging import WeightAverage


def walk(average_steps: float, steps: int, value: float = 1.0) -> tuple[nn.Linear, WeightAverage]:
    """Weights that are 0 at first and ``value`` after every step."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = WeightAverage(model, average_steps, 10_000)
    for step in range(1, steps + 1):
        nn.init.constant_(model.weight, value)
        average.update(step)
    return model, average


def test_old_weights_are_forgotten_over_the_steps_asked_for():
    _, average = walk(10, 200)
    assert average.averages[0].item() == pytest.approx(1, abs=1e-6)
    _, slow = walk(1000, 20)
    assert 0.5 < slow.averages[0].item() < 1.0


def test_none_is_the_last_weights():
    model, average = walk(0, 3, 0.123)
    assert average.averages[0].item() == model.weight.item()


def test_it_is_applied_for_a_while_only():
    model, average = walk(100, 3)
    averaged = average.averages[0].item()
    assert averaged != 1.0
    with average.applied():
        assert model.weight.item() == averaged
    assert (model.weight.item(), average.averages[0].item()) == (1.0, averaged)


def test_frozen_weights_are_left_alone():
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    assert len(WeightAverage(model, 10, 10).averages) == 1


def test_training_keeps_the_average(tiny_settings, posts_csv):
    posts = read_posts(posts_csv, split_column="split")
    learn, held, test = (posts.in_split(part) for part in ("train", "validation", "test"))
    settings = tiny_settings | {"epochs": 3, "metric": "log_loss"}
    plain = JointClassifier(**settings | {"average_epochs": 0.0}).fit(learn, validation=held)
    averaged = JointClassifier(**settings | {"average_epochs": 2.0}).fit(learn, validation=held)
    assert plain.log_[1]["loss"] == averaged.log_[1]["loss"], "training itself is the same"
    assert not np.array_equal(plain.predict_proba(test), averaged.predict_proba(test))
    before = torch.random.get_rng_state()
    again = JointClassifier(**settings | {"average_epochs": 2.0}).fit(learn, validation=held)
    np.testing.assert_array_equal(again.predict_proba(test), averaged.predict_proba(test))
    assert torch.equal(before, torch.random.get_rng_state())


def test_several_runs_count_alike_and_start_alike():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 5.0)
    average = WeightAverage(model, 0, run_steps=1, runs=3)
    optimizer = torch.optim.AdamW(model.parameters())
    for step, end, mean in ((1, 1.0, 1.0), (2, 2.0, 1.5), (3, 9.0, 4.0)):
        assert model.weight.item() == 5.0
        nn.init.constant_(model.weight, end)
        average.update(step)
        assert average.averages[0].item() == pytest.approx(mean)
        average.begin_run(step, optimizer)
    assert model.weight.item() == 9.0, "none follows the last"


def test_training_several_times_repeats_the_first_run_and_averages(parts, tiny_settings):
    learn, held, test = parts
    settings = tiny_settings | {"epochs": 2, "patience": 0, "prefer_last": 100.0}
    one, three = (
        JointClassifier(**settings | {"patience": 9, "average_runs": runs}).fit(learn, validation=held)
        for runs in (1, 3)
    )
    first = [entry["loss"] for entry in three.log_[: len(one.log_)]]
    assert first == [entry["loss"] for entry in one.log_], "the first run is the one run"
    others = [entry["loss"] for entry in three.log_[len(one.log_) :]]
    assert others[:4] != first[1:] != others[4:] != others[:4], "each has an order of its own"
    ends = {entry["epoch"]: entry["averaged_runs"] for entry in three.log_ if "averaged_runs" in entry}
    assert ends == {2: 1, 4: 2, 6: 3}
    assert three.log_[-1]["kept"]
    assert not np.array_equal(one.predict_proba(test), three.predict_proba(test))
    assert "Training chose the average of 3 runs, after 6 epochs" in three.predictor().card
    impatient = JointClassifier(**settings | {"average_runs": 3}).fit(learn, validation=held)
    np.testing.assert_array_equal(impatient.predict_proba(test), three.predict_proba(test))


def test_the_probe_alone_has_no_runs(parts, tiny_settings):
    learn, held, test = parts
    one, several = (
        JointClassifier(**tiny_settings | {"epochs": 0, "average_runs": runs}).fit(learn, validation=held)
        for runs in (1, 3)
    )
    np.testing.assert_array_equal(one.predict_proba(test), several.predict_proba(test))
    assert "Training chose the linear probe alone" in several.predictor().card
