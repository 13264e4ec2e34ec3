"""Steps in parts that fit into memory."""

import numpy as np
import pytest
import torch

from jointune import JointClassifier
from jointune.encoders.text_encoder import TextEncoder
from jointune.errors import TooLittleMemoryError
from jointune.model import JointModel


@pytest.fixture
def small_memory(monkeypatch):
    """The most posts that a training step has memory for; with the sizes that were tried."""

    def limit(most):
        tried, forward = [], JointModel.forward

        def forward_of_few(model, inputs):
            if model.training:
                tried.append(len(inputs.present))
                if len(inputs.present) > most:
                    raise torch.OutOfMemoryError("out of memory")
            return forward(model, inputs)

        monkeypatch.setattr(JointModel, "forward", forward_of_few)
        return tried

    return limit


def test_parts_are_halved_until_they_fit(parts, tiny_settings, small_memory, capsys):
    training, held, test = parts
    wanted = JointClassifier(**tiny_settings | {"micro_batch_size": 2}).fit(training, validation=held)
    tried = small_memory(3)
    found = JointClassifier(**tiny_settings | {"progress": True}).fit(training, validation=held)
    assert tried[:3] == [8, 4, 2]
    assert max(tried[2:]) == 2
    assert "going on with 2 posts at once" in capsys.readouterr().err
    assert [entry["step"] for entry in found.log_] == [entry["step"] for entry in wanted.log_]
    np.testing.assert_array_equal(found.predict_proba(test), wanted.predict_proba(test))


def test_a_post_that_does_not_fit_is_one_clear_error(parts, tiny_settings, small_memory):
    training, held, _ = parts
    small_memory(0)
    with pytest.raises(TooLittleMemoryError, match="too little memory for one post; train fewer layers"):
        JointClassifier(**tiny_settings).fit(training, validation=held)


@pytest.mark.parametrize(
    ("owner", "name", "probe"),
    [(TextEncoder, "activations", True), (JointModel, "encode", True), (JointModel, "forward", False)],
)
def test_a_batch_that_does_not_fit_outside_of_training_is_one_clear_error(
    parts, tiny_settings, four_layers, monkeypatch, owner, name, probe
):
    """In the frozen layers, the features of the probe, and the validation."""
    training, held, _ = parts
    settings = tiny_settings | {"text_encoder": four_layers, "probe": probe}
    whole = getattr(owner, name)

    def without_memory(self, *inputs):
        if not self.training:
            raise torch.OutOfMemoryError("out of memory")
        return whole(self, *inputs)

    monkeypatch.setattr(owner, name, without_memory)
    with pytest.raises(TooLittleMemoryError, match=r"cpu has too little memory.*set a lower batch_size"):
        JointClassifier(**settings).fit(training, validation=held)
