"""One label a post: the weights of rare labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointune.targets.single_label import FEW_TO_LEARN, SingleLabel


def encoded(counts):
    return np.repeat(np.arange(len(counts)), counts)


@given(st.lists(st.integers(1, 400), min_size=2, max_size=5))
def test_weights_keep_the_sum_of_all_and_favour_the_rare(counts):
    target = SingleLabel([f"label {number}" for number in range(len(counts))])
    for kind, power in (("root", 0.5), ("balanced", 1.0)):
        weights = target.weights(encoded(counts), kind)
        np.testing.assert_allclose(weights @ counts, sum(counts))
        np.testing.assert_allclose(weights / weights[0], (counts[0] / np.array(counts)) ** power)


@pytest.mark.parametrize("posts", [FEW_TO_LEARN - 1, FEW_TO_LEARN])
def test_few_posts_are_weighed_by_default(posts):
    target, labels = SingleLabel(["few", "many"]), encoded([10, posts - 10])
    automatic = target.weights(labels, "auto")
    if posts < FEW_TO_LEARN:
        np.testing.assert_array_equal(automatic, target.weights(labels, "root"))
    else:
        assert automatic is None
