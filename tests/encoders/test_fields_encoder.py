"""The encoder of fields."""

import numpy as np
import pytest
import torch

from jointune import Post
from jointune.encoders.fields_encoder import DIM, FieldsEncoder
from jointune.modalities.fields.columns import FieldsPreprocessor

TRAINING = [
    Post("a", fields={"likes": likes, "age": age, "place": place})
    for likes, age, place in [(1, 20, "Rome"), (5, 30, "Oslo"), (9, 40, "Bonn"), (2, 50, "Rome")]
]


@pytest.fixture
def preprocessor() -> FieldsPreprocessor:
    return FieldsPreprocessor.fitted(TRAINING, ["likes", "age"], ["place"])


@pytest.fixture
def encoder(preprocessor) -> FieldsEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FieldsEncoder(preprocessor)


def inputs(preprocessor: FieldsPreprocessor, posts: list[Post]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in preprocessor.collate(preprocessor.rows(posts)).items()}


def test_a_token_a_column(preprocessor, encoder):
    output = encoder(inputs(preprocessor, TRAINING))
    assert output.tokens.shape == (4, 3, DIM)
    assert output.mask.all()
    torch.testing.assert_close(output.pooled, output.tokens.mean(1))
    assert output.summary.shape == (4, encoder.width)
    assert encoder.widths == (DIM, output.hidden.shape[1])


def test_posts_that_differ_in_one_column_differ_in_its_token_only(preprocessor, encoder):
    posts = [Post("a", fields={"likes": 5, "age": 30, "place": place}) for place in ("Oslo", "Rome", "Kyiv", None)]
    tokens = encoder(inputs(preprocessor, posts)).tokens
    for one in range(4):
        for other in range(one):
            same = (tokens[one] == tokens[other]).all(-1)
            assert same.tolist() == [True, True, False], "known, unseen and missing categories have their own vectors"


def test_numbers_of_one_bin_differ_by_a_learned_vector(preprocessor, encoder):
    posts = [Post("a", fields={"likes": likes, "age": 30, "place": "Rome"}) for likes in (20, 30)]
    arrays = inputs(preprocessor, posts)
    assert arrays["codes"][0, 0] == arrays["codes"][1, 0]
    tokens = encoder(arrays).tokens[:, 0]
    step = arrays["values"][1, 0] - arrays["values"][0, 0]
    torch.testing.assert_close(tokens[1] - tokens[0], step * encoder.scale[0], rtol=1e-4, atol=1e-5)


def test_the_probe_reads_values_and_codes_as_they_are(preprocessor, encoder):
    arrays = inputs(preprocessor, TRAINING)
    hidden = encoder(arrays).hidden
    np.testing.assert_array_equal(hidden[:, :2], arrays["values"])
    assert (hidden[:, 2:].sum(1) == 3).all(), "one code a column"
    positions = [row.nonzero()[:, 0].tolist() for row in hidden[:, 2:]]
    offsets = np.concatenate([[0], np.cumsum(preprocessor.sizes)[:-1]])
    assert positions == (arrays["codes"].numpy() + offsets).tolist()


def test_gradients_reach_every_weight_and_no_state_depends_on_the_columns_order(preprocessor, encoder):
    output = encoder(inputs(preprocessor, TRAINING))
    output.tokens.sin().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in encoder.parameters())
    assert set(encoder.state_dict()) == {"embedding.weight", "scale"}


def test_it_encodes_categories_alone_and_numbers_alone():
    for numbers, categories in ((["likes"], []), ([], ["place"])):
        preprocessor = FieldsPreprocessor.fitted(TRAINING, numbers, categories)
        output = FieldsEncoder(preprocessor)(inputs(preprocessor, TRAINING))
        assert output.tokens.shape == (4, 1, DIM)
        assert output.summary.isfinite().all()
