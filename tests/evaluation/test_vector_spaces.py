"""Spaces of training posts: distances by hand, projections, and modalities that go together."""

import numpy as np

from jointune.evaluation.vector_spaces import Pairing, Principal, Space


def space_of(rows):
    return Space.of(rows, Principal.of(rows))


def test_distances_by_hand():
    space = space_of(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    # In standard deviations, and a tenth of the variance is added to each.
    expected = (0 + 2 + 2 + 2 * np.sqrt(2)) / 4 / np.sqrt(1.1)
    np.testing.assert_allclose(space.distances(np.array([[1.0, 0.0]])), expected, rtol=1e-3)
    assert np.isnan(space.distances(np.array([[np.nan, np.nan]]))).all()
    assert len(space.distances(np.zeros((0, 2)))) == 0


def test_a_projection_keeps_distances():
    random = np.random.default_rng(0)
    wide = random.normal(size=(3000, 400))
    space = space_of(wide[:2000])
    assert space.rows.shape == (2000, 256)
    one, other = wide[2000:2500], wide[2500:]
    apart = np.linalg.norm(space.project(one) - space.project(other), axis=1)
    np.testing.assert_allclose(apart / np.linalg.norm(one - other, axis=1), 1 / np.sqrt(1.1), rtol=0.25)


def test_what_hardly_varies_in_training_posts_counts():
    random = np.random.default_rng(0)
    level = random.normal(size=(500, 1))
    space = space_of(np.concatenate([level, level + 0.01 * random.normal(size=(500, 1))], 1))
    along, across = space.distances(np.array([[1.0, 1.0], [0.5, -0.5]]))
    assert across > 3 * along


def test_correlated_modalities_pair():
    random = np.random.default_rng(0)
    shared = random.normal(size=(900, 3))
    first, second = (np.concatenate([shared, random.normal(size=(900, 5))], 1) for _ in range(2))
    components = (Principal.of(first[:600]), Principal.of(second[:600]))
    pairing = Pairing.of(first[:600], second[:600], components)
    apart = pairing.misfits(first[600:], np.roll(second[600:], 1, axis=0))
    assert (apart > pairing.misfits(first[600:], second[600:])).mean() > 0.8
    assert np.isnan(pairing.misfits(first[:1], np.full((1, 8), np.nan))).all()
    assert Pairing.of(first[:7], second[:7], components) is None
