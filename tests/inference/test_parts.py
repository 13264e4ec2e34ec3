"""A batch in parts: every post with its own rows."""

import numpy as np
import pytest

from jointune.inference.onnx_backend import parts
from jointune.modalities.batch import Batch


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_each_post_keeps_its_rows(size):
    present = np.array([[1, 1], [0, 1], [1, 0], [0, 0], [1, 1]], dtype=bool)
    ids = np.array([[1, 0, 0], [2, 2, 0], [3, 3, 3]])
    batch = Batch(
        np.arange(5)[::-1], present, {"input_ids": ids, "attention_mask": (ids > 0) * 1}, np.array([10, 11, 12])
    )
    texts, pictures, seen = [], [], []
    for part in parts(batch, size):
        assert len(part.indices) <= size
        if part.text is not None:
            assert part.text["input_ids"].any(0).all()
            texts += [row[row > 0].tolist() for row in part.text["input_ids"]]
        pictures += [] if part.pixels is None else part.pixels.tolist()
        seen += part.indices.tolist()
        assert len(part.present) == len(part.indices)
    assert texts == [[1], [2, 2], [3, 3, 3]]
    assert pictures == [10, 11, 12]
    assert seen == [4, 3, 2, 1, 0]
    assert all(part.text is None or part.text["input_ids"].shape[1] == 3 for part in parts(batch, size, True))
