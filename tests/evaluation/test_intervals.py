"""Intervals cover the true score as often as they say, at the edge too, and are not wider than need be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln

from jointune.evaluation.intervals import Z, effective_posts, f1_interval, score_interval
from jointune.evaluation.scores import f1_scores, scores_of

SHARES = np.unique(np.concatenate([np.linspace(0.5, 0.98, 97), np.linspace(0.98, 0.9995, 40)]))
MANY = (26, 40, 47, 53, 60, 77, 100, 144, 200, 333, 500, 777, 1000)


def binomial(posts):
    """The chance of every number of right posts at each of ``SHARES``, float [shares, posts + 1]."""
    right = np.arange(posts + 1)
    ways = gammaln(posts + 1) - gammaln(right + 1) - gammaln(posts - right + 1)
    return np.exp(ways + right * np.log(SHARES[:, None]) + (posts - right) * np.log1p(-SHARES[:, None]))


def coverage_and_width(posts):
    """Exact coverage and mean width at each of ``SHARES``, and the mean width of Wilson's interval."""
    ends = np.array([score_interval(right / posts, posts) for right in range(posts + 1)])
    shares = np.arange(posts + 1) / posts
    wilson = 2 * Z * np.sqrt(posts * shares * (1 - shares) + Z**2 / 4) / (posts + Z**2)
    chance = binomial(posts)
    held = (ends[:, 0] <= SHARES[:, None] + 1e-12) & (ends[:, 1] >= SHARES[:, None] - 1e-12)
    return (chance * held).sum(1), chance @ (ends[:, 1] - ends[:, 0]), chance @ wilson


@pytest.mark.parametrize("posts", [*range(1, 12), *MANY])
def test_the_exact_coverage_of_a_share(posts):
    covered, width, wilson = coverage_and_width(posts)
    assert 0.95 <= covered.mean() <= 0.98
    assert covered.min() >= (0.93 if posts >= 40 else 0.87 if posts > 1 else 0.79)
    assert 1 - 1e-9 <= (width / wilson).mean() <= 1.05
    assert (width / wilson).max() <= 1.15


@pytest.mark.parametrize(
    ("right", "posts", "low", "high"),
    [
        (60, 60, 0.93983, 1),
        (0, 60, 0, 0.06017),
        (1, 1, 0.20655, 1),
        # The lower ends are Wilson's.
        (59, 60, 0.91145, 0.99913),
        (199, 200, 0.97223, 0.99974),
        (999, 1000, 0.99436, 0.99995),
        (140, 200, 0.63321, 0.76156),
        (0, 0, 0, 1),
    ],
)
def test_intervals_by_hand(right, posts, low, high):
    found = score_interval(right / max(posts, 1), posts)
    assert found == pytest.approx((low, high), abs=5e-6)
    mirrored = score_interval(1 - right / max(posts, 1), posts)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-6) or not posts


@given(st.integers(1, 1000), st.data())
def test_one_more_right_moves_both_ends_up(posts, data):
    right = data.draw(st.integers(0, posts - 1))
    fewer, more = score_interval(right / posts, posts), score_interval((right + 1) / posts, posts)
    assert fewer[0] < more[0] or right == 0
    assert fewer[1] < more[1] or right + 1 == posts
    assert fewer[0] <= more[0] <= (right + 1) / posts <= more[1]
    assert more[1] > more[0]


@given(st.floats(0, 1), st.floats(0, 1e5))
def test_any_score_of_any_number_of_posts_lies_within_its_interval(value, posts):
    low, high = score_interval(value, posts)
    assert 0 <= low <= value <= high <= 1


def confusions(random, priors, accuracy, harder, posts, trials):
    """Drawn confusion matrices [trials, C, C], and the shares that they were drawn from.

    Args:
        random: a generator.
        priors: share of each label.
        accuracy: share of right posts.
        harder: how much more often the rarer labels are mistaken: 0 for as often as the others.
        posts: in each matrix.
        trials: number of matrices.
    """
    priors = np.array(priors)
    wrong = priors**-harder
    wrong = np.minimum((1 - accuracy) * wrong / (priors * wrong).sum(), 0.9)
    same = np.eye(len(priors))
    shares = priors[:, None] * (same * (1 - wrong)[:, None] + (1 - same) * wrong[:, None] / (len(priors) - 1))
    return random.multinomial(posts, shares.ravel(), trials).reshape(trials, *shares.shape), shares


@pytest.mark.parametrize("metric", ["macro_f1", "weighted_f1"])
@pytest.mark.parametrize(
    ("priors", "posts", "least"),
    [
        ((0.5, 0.5), 20, 0.93),
        ((0.5, 0.5), 200, 0.94),
        ((0.9, 0.1), 60, 0.90),
        ((0.9, 0.1), 500, 0.94),
        ((0.97, 0.03), 200, 0.90),
        ((1 / 3, 1 / 3, 1 / 3), 60, 0.93),
        ((0.6, 0.3, 0.1), 60, 0.90),
        ((0.6, 0.3, 0.1), 1000, 0.94),
        ((0.1,) * 10, 100, 0.93),
    ],
)
def test_intervals_cover_the_true_f1(metric, priors, posts, least):
    random, covered = np.random.default_rng(3), []
    for accuracy in (0.6, 0.85, 0.98):
        for harder in (0, 0.7):
            drawn, shares = confusions(random, priors, accuracy, harder, posts, 300)
            true = scores_of(1e9 * shares[None], metric)[0]
            scored = zip(scores_of(drawn, metric), drawn, strict=True)
            ends = np.array([score_interval(score, effective_posts(matrix, metric)) for score, matrix in scored])
            covered.append(np.mean((ends[:, 0] <= true) & (true <= ends[:, 1])))
    assert min(covered) >= least - 0.03  # 300 trials tell a coverage to three points
    assert 0.94 <= np.mean(covered) <= 0.985


@pytest.mark.parametrize(("priors", "posts"), [((0.5, 0.5), 30), ((0.9, 0.1), 60), ((0.6, 0.3, 0.1), 300)])
def test_intervals_cover_the_true_scores_of_each_label(priors, posts):
    random, covered = np.random.default_rng(4), []
    for accuracy in (0.7, 0.95, 0.99):
        drawn, shares = confusions(random, priors, accuracy, 0, posts, 300)
        for label in range(len(priors)):
            support, predicted, right = shares[label].sum(), shares[:, label].sum(), shares[label, label]
            true = 2 * right / (support + predicted)
            held = []
            for matrix in drawn:
                hits = matrix[label, label]
                low, high = f1_interval(hits, matrix[label].sum() + matrix[:, label].sum() - hits)
                held.append(low <= true <= high)
            covered.append(np.mean(held))
    assert min(covered) >= 0.91
    assert np.mean(covered) <= 0.99


def test_the_interval_of_a_label_holds_its_f1():
    for right, involved in ((0, 0), (0, 9), (3, 9), (9, 9)):
        low, high = f1_interval(right, involved)
        assert 0 <= low <= 2 * right / max(right + involved, 1) <= high <= 1
        assert high > low


@settings(max_examples=80)
@given(st.lists(st.integers(0, 30), min_size=9, max_size=9).filter(any), st.sampled_from(["macro_f1", "weighted_f1"]))
def test_effective_posts_are_no_more_than_there_are_and_never_none(counts, metric):
    matrix = np.array(counts).reshape(3, 3)
    assert 0 < effective_posts(matrix, metric) <= matrix.sum()
    assert effective_posts(matrix, "accuracy") == matrix.sum()


def test_effective_posts_by_hand():
    # Both labels alike: macro F1 varies as accuracy does.
    assert effective_posts(np.array([[30, 0], [0, 30]]), "macro_f1") == pytest.approx(60)
    assert effective_posts(np.array([[24, 6], [6, 24]]), "macro_f1") == pytest.approx(60)
    # Three posts of a label are few, whatever the number of the others.
    assert effective_posts(np.diag([300, 300, 3]), "macro_f1") < 40
    assert effective_posts(np.diag([300, 300, 3]), "weighted_f1") > 400
    # One label, all right: F1 is accuracy.
    assert effective_posts(np.array([[12, 0], [0, 0]]), "macro_f1") == pytest.approx(12)


def test_the_variance_by_the_delta_method_is_that_of_many_draws():
    random = np.random.default_rng(6)
    drawn, shares = confusions(random, (0.5, 0.3, 0.2), 0.9, 0, 2000, 20_000)
    scores = f1_scores(drawn)[0]
    posts = effective_posts(np.round(2000 * shares).astype(int), "macro_f1")
    assert scores.std() == pytest.approx(np.sqrt(scores.mean() * (1 - scores.mean()) / posts), rel=0.03)
