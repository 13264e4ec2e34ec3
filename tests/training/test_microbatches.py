"""Steps in parts that fit into memory."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from transformers.models.bert.modeling_bert import BertLayer

from helpers.watched_forward import watched
from jointune import JointClassifier
from jointune.encoders.image_encoder import ImageEncoder
from jointune.errors import TooLittleMemoryError
from jointune.model import JointModel


@contextmanager
def memory_for(most):
    """Let a training step have memory for so many posts; yields the sizes that are tried."""
    tried = []

    def run(model, inputs):
        if model.training:
            tried.append(len(inputs[0].present))
            if tried[-1] > most:
                raise torch.OutOfMemoryError("out of memory")

    with watched(JointModel, run):
        yield tried


def test_parts_are_halved_until_they_fit(parts, tiny_settings, capsys):
    training, held, test = parts
    wanted = JointClassifier(**tiny_settings | {"micro_batch_size": 2}).fit(training, validation=held)
    with memory_for(3) as tried:
        found = JointClassifier(**tiny_settings | {"progress": True}).fit(training, validation=held)
    assert tried[:3] == [8, 4, 2]
    assert max(tried[2:]) == 2
    assert "going on with 2 posts at once" in capsys.readouterr().err
    assert [entry["step"] for entry in found.log_] == [entry["step"] for entry in wanted.log_]
    np.testing.assert_array_equal(found.predict_proba(test), wanted.predict_proba(test))


def test_a_post_that_does_not_fit_is_one_clear_error(parts, tiny_settings):
    training, held, _ = parts
    says = "too little memory for one post; train fewer layers"
    with memory_for(0), pytest.raises(TooLittleMemoryError, match=says):
        JointClassifier(**tiny_settings).fit(training, validation=held)


@pytest.mark.parametrize(("kind", "probe"), [(BertLayer, True), (ImageEncoder, True), (JointModel, False)])
def test_a_batch_that_does_not_fit_outside_of_training_is_one_clear_error(
    parts, tiny_settings, four_layers, kind, probe
):
    """In the frozen layers, the features of the probe, and the validation."""
    training, held, _ = parts
    settings = tiny_settings | {"text_encoder": four_layers, "probe": probe}

    def run(module, inputs):
        if not module.training and not (kind is BertLayer and len(inputs[0]) <= 2):  # examples, when it is loaded
            raise torch.OutOfMemoryError("out of memory")

    says = r"cpu has too little memory.*set a lower batch_size"
    with watched(kind, run), pytest.raises(TooLittleMemoryError, match=says):
        JointClassifier(**settings).fit(training, validation=held)
