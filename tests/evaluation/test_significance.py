"""Intervals of comparisons cover known differences, and claim none where there is none."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointune.errors import SettingsError
from jointune.evaluation.intervals import score_interval
from jointune.evaluation.metrics import compute_metrics
from jointune.evaluation.scores import f1_scores
from jointune.evaluation.significance import (
    Run,
    corrected_resampled_test,
    estimate,
    estimates,
    holm,
    paired_difference,
    paired_differences,
)

THREE = {"priors": (0.6, 0.3, 0.1), "by_class": (0.5, 0.0, -0.5)}


@dataclass(frozen=True)
class World:
    """Methods of known ability, two at least, on posts of random difficulty.

    A post is predicted rightly where ability, ease of the post, the method's own view of it, luck of the training and
    luck of this post in this training add up to more than zero; otherwise one of the other classes is predicted.
    Posts of one group share all but the luck of the training, that is, are duplicates.
    """

    abilities: tuple[float, ...] = (1.0, 0.7)
    priors: tuple[float, ...] = (0.5, 0.5)
    by_class: tuple[float, ...] = (0.0, 0.0)
    posts: int = 450
    folds: int = 1
    seeds: int = 1
    training: float = 0.0
    common: float = 1.0
    own: float = 0.5
    luck: float = 0.5
    largest_group: int = 1

    def expected(self, metric):
        """Scores of all methods on endless posts, averaged over trainings by quadrature."""
        from scipy.special import ndtr

        at, weights = np.polynomial.hermite_e.hermegauss(41)
        classes, spread = len(self.priors), np.sqrt(self.common**2 + self.own**2 + self.luck**2)
        found = []
        for ability in self.abilities:
            right = ndtr((ability + at[:, None] * self.training + np.array(self.by_class)) / spread)
            wrong = (1 - right)[..., None] * (1 - np.eye(classes)) / (classes - 1)
            # f1_scores takes counts.
            confusions = 1e9 * np.array(self.priors)[:, None] * (wrong + right[..., None] * np.eye(classes))
            accuracy = np.trace(confusions, axis1=1, axis2=2) / 1e9
            scores = {"accuracy": accuracy, "macro_f1": f1_scores(confusions)[0]}[metric]
            found.append(float(weights @ scores / weights.sum()))
        return found

    def draw(self, random):
        """Runs of the first two methods, and the groups of the posts."""
        methods, groups = self.draw_all(random)
        return methods[0], methods[1], groups

    def draw_all(self, random):
        """Runs of each method, and the groups of the posts."""
        total, classes = self.posts * self.folds, len(self.priors)
        groups = np.repeat(np.arange(total), random.integers(1, self.largest_group + 1, total))[:total]
        count = groups[-1] + 1
        label = random.choice(classes, count, p=self.priors)
        ease = self.common * random.standard_normal(count) + np.array(self.by_class)[label]
        fold_of, truth = groups * self.folds // count, label[groups]
        methods = []
        for ability in self.abilities:
            view = ability + ease + self.own * random.standard_normal(count)
            runs = []
            for fold in range(self.folds):
                posts = np.flatnonzero(fold_of == fold)
                for seed in range(self.seeds):
                    luck = self.luck * random.standard_normal(count) + self.training * random.standard_normal()
                    right = (view + luck)[groups[posts]] > 0
                    other = (truth[posts] + random.integers(1, classes, len(posts))) % classes
                    predicted = np.where(right, truth[posts], other)
                    runs.append(Run(fold, seed, posts, truth[posts], predicted, max(self.folds - 1, 1) * self.posts))
            methods.append(runs)
        return methods, groups


def compare(world, metric, trials):
    """Share of intervals that hold the true difference, and of differences that are called distinguishable."""
    random = np.random.default_rng(7)
    first, second = world.expected(metric)
    covered = claimed = 0
    for trial in range(trials):
        one, other, groups = world.draw(random)
        found = paired_difference(one, other, metric, len(world.priors), groups, seed=trial, draws=120)
        covered += found.low <= first - second <= found.high
        claimed += found.distinguishable
    return covered / trials, claimed / trials


@pytest.mark.parametrize(
    ("world", "metric"),
    [
        pytest.param(World(), "accuracy", id="one training"),
        pytest.param(World(**THREE), "macro_f1", id="one training, rare class"),
        pytest.param(World(largest_group=6), "accuracy", id="duplicates"),
        pytest.param(World(largest_group=6, **THREE), "macro_f1", id="duplicates, rare class"),
        pytest.param(World(posts=250, seeds=3, training=0.3), "accuracy", id="3 seeds"),
        pytest.param(World(posts=250, seeds=5, training=0.2), "accuracy", id="5 seeds"),
        pytest.param(World(posts=250, seeds=3, training=0.3, **THREE), "macro_f1", id="3 seeds, rare class"),
        pytest.param(World(posts=80, folds=5, training=0.6), "accuracy", id="5 folds"),
        pytest.param(World(posts=40, folds=10, training=0.3), "accuracy", id="10 folds"),
        pytest.param(World(posts=100, folds=5, training=0.3, largest_group=4, **THREE), "macro_f1", id="5 folds, all"),
    ],
)
def test_intervals_cover_the_true_difference_as_often_as_they_say(world, metric):
    covered, _ = compare(world, metric, 1000)
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(
    "world",
    [
        World(posts=200, seeds=3),
        World(posts=200, seeds=2, training=0.1),
        World(posts=60, folds=5),
        World(posts=100, folds=2, training=0.1),
    ],
)
def test_intervals_are_never_too_narrow_where_trainings_hardly_vary(world):
    covered, _ = compare(world, "accuracy", 400)
    assert covered >= 0.94


@pytest.mark.parametrize(
    ("world", "metric"),
    [
        (World(posts=300), "accuracy"),
        (World(posts=300, **THREE), "macro_f1"),
        (World(largest_group=6), "accuracy"),
        (World(posts=200, seeds=3, training=0.2), "accuracy"),
        (World(posts=60, folds=5, training=0.2), "accuracy"),
        (World(posts=200, common=2.0, own=0.1, luck=0.1), "accuracy"),
    ],
)
def test_equal_methods_are_seldom_told_apart(world, metric):
    _, claimed = compare(replace(world, abilities=(1.0, 1.0)), metric, 600)
    assert claimed <= 0.065


@pytest.mark.parametrize(
    ("world", "metric", "most"),
    [
        (World(posts=300), "accuracy", 0.97),
        # Five errors in 200 posts: no interval of so few is right on the dot.
        (World(posts=200, abilities=(2.4, 0.0)), "accuracy", 0.99),
        (World(posts=300, **THREE), "macro_f1", 0.97),
        (World(largest_group=6), "accuracy", 0.97),
        (World(posts=200, seeds=3, training=0.3), "accuracy", 0.97),
        (World(posts=80, folds=5, training=0.6), "accuracy", 0.97),
    ],
)
def test_intervals_cover_the_true_score(world, metric, most):
    random, true, covered = np.random.default_rng(8), world.expected(metric)[0], 0
    for _ in range(1000):
        runs, _, groups = world.draw(random)
        found = estimate(runs, metric, len(world.priors), groups)
        covered += found.low <= true <= found.high
    assert 0.93 <= covered / 1000 <= most


@pytest.mark.parametrize(
    ("world", "metric"),
    [
        (World(abilities=(1.2, 1.0, 0.9, 0.7), posts=200, seeds=2, training=0.3), "accuracy"),
        (World(abilities=(2.4, 1.0, 0.2), posts=200, seeds=2, training=0.1), "accuracy"),
        (World(abilities=(1.2, 1.0, 0.7), posts=300, seeds=2, training=0.2, **THREE), "macro_f1"),
    ],
)
def test_two_seeds_tell_enough_where_several_methods_vary(world, metric):
    random, true, covered, width, alone = np.random.default_rng(9), world.expected(metric), [], [], []
    for _ in range(100):
        methods, groups = world.draw_all(random)
        found = estimates(dict(enumerate(methods)), metric, len(world.priors), groups)
        covered += [entry.low <= score <= entry.high for entry, score in zip(found.values(), true, strict=True)]
        width.append(found[0].high - found[0].low)
        one = estimate(methods[0], metric, len(world.priors), groups)
        alone.append(one.high - one.low)
    assert 0.94 <= np.mean(covered) <= 0.995
    assert np.median(width) < 0.6 * np.median(alone)


def test_differences_of_two_seeds_are_covered_too():
    world = World(abilities=(1.2, 1.0, 0.9, 0.7), posts=200, seeds=2, training=0.3)
    random, true, covered, width, alone = np.random.default_rng(9), world.expected("accuracy"), [], [], []
    for trial in range(80):
        (first, *others), groups = world.draw_all(random)
        named = dict(enumerate(others, 1))
        found = paired_differences(first, named, "accuracy", 2, groups, seed=trial, draws=100)
        covered += [entry.low <= true[0] - true[place] <= entry.high for place, entry in found.items()]
        width.append(found[1].high - found[1].low)
        one = paired_difference(first, named[1], "accuracy", 2, groups, seed=trial, draws=100)
        alone.append(one.high - one.low)
    assert 0.94 <= np.mean(covered) <= 0.995
    assert np.median(width) < np.median(alone)
    assert np.median(alone) < 0.7  # with one degree of freedom, 1.5


@st.composite
def comparisons(draw):
    world = World(
        posts=draw(st.integers(1, 40)),
        folds=draw(st.integers(1, 3)),
        seeds=draw(st.integers(1, 3)),
        training=draw(st.sampled_from([0.0, 0.5])),
        largest_group=draw(st.integers(1, 3)),
        **draw(st.sampled_from([{}, THREE])),
    )
    one, other, groups = world.draw(np.random.default_rng(draw(st.integers(0, 10_000))))
    one, other = ([run for run in runs if len(run.posts)] for runs in (one, other))
    return one, other, groups, draw(st.sampled_from(["accuracy", "macro_f1", "weighted_f1"])), len(world.priors)


@settings(max_examples=60, deadline=None)
@given(comparisons(), st.randoms(use_true_random=False))
def test_swapped_methods_and_shuffled_runs_and_posts(comparison, order):
    first, second, groups, metric, labels = comparison
    found = paired_difference(first, second, metric, labels, groups, draws=50)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert 0 <= found.p_value <= 1
    assert found.distinguishable == (found.p_value < 0.05 and not found.low <= 0 <= found.high)
    swapped = paired_difference(second, first, metric, labels, groups, draws=50)
    assert (swapped.value, swapped.low, swapped.high) == pytest.approx((-found.value, -found.high, -found.low))
    assert swapped.p_value == pytest.approx(found.p_value)
    shuffled = [replace(run, **shuffle_posts(run, order)) for run in order.sample(first, len(first))]
    again = paired_difference(shuffled, order.sample(second, len(second)), metric, labels, groups, draws=50)
    assert (again.value, again.low, again.high) == pytest.approx((found.value, found.low, found.high))
    score = estimate(first, metric, labels, groups)
    assert 0 <= score.low <= score.value <= score.high <= 1


def shuffle_posts(run, order):
    places = order.sample(range(len(run.posts)), len(run.posts))
    return {"posts": run.posts[places], "truth": run.truth[places], "predicted": run.predicted[places]}


def test_the_seed_decides_and_global_random_state_is_untouched():
    first, second, groups = World(posts=60).draw(np.random.default_rng(0))
    np.random.seed(3)  # noqa: NPY002 - the state that must not change
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, same, other = (
        paired_difference(first, second, "accuracy", 2, groups, seed=seed, draws=100) for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def run(right, fold=0, seed=0, start=0, learned=100, truth=None):
    right = np.asarray(right, dtype=bool)
    truth = np.zeros(len(right), dtype=int) if truth is None else truth
    return Run(fold, seed, start + np.arange(len(right)), truth, np.where(right, truth, 1 - truth), learned)


def test_the_value_is_the_mean_over_folds_of_the_mean_over_seeds():
    runs = [run([1, 1, 1, 0], seed=0), run([1, 0, 0, 0], seed=1), run([1, 0], fold=1, start=4)]
    found = estimate(runs, "accuracy", 2)
    assert found.value == pytest.approx((0.5 + 0.5) / 2)
    assert found.runs == 3
    assert "2 folds" in found.basis
    assert "between seeds" in estimate(runs[:2], "accuracy", 2).basis
    assert "not that between trainings" in estimate(runs[:1], "accuracy", 2).basis


def test_one_training_by_hand():
    random = np.random.default_rng(0)
    first, second = random.random(500) < 0.8, random.random(500) < 0.7
    found = paired_difference([run(first)], [run(second)], "accuracy", 2, draws=5000)
    difference = first.astype(float) - second
    assert found.value == pytest.approx(difference.mean())
    assert found.high - found.value == pytest.approx(1.965 * difference.std(ddof=1) / np.sqrt(500), rel=0.04)
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_five_posts_that_all_speak_for_one_method_are_no_proof():
    # The exact test of McNemar gives 2 / 2⁴ and 2 / 2⁸.
    few, many = (
        paired_difference([run(np.ones(300))], [run(np.arange(300) >= count)], "accuracy", 2) for count in (4, 8)
    )
    assert not few.distinguishable
    assert many.distinguishable


def test_copies_of_posts_tell_nothing_more():
    random = np.random.default_rng(1)
    first, second = random.random(80) < 0.8, random.random(80) < 0.6
    groups = np.repeat(np.arange(80), 3)
    once = paired_difference([run(first)], [run(second)], "macro_f1", 2)
    copied = paired_difference([run(first[groups])], [run(second[groups])], "macro_f1", 2, groups)
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))


def test_seeds_that_never_differ_tell_nothing_more():
    random = np.random.default_rng(1)
    first, second = random.random(80) < 0.8, random.random(80) < 0.6
    once = paired_difference([run(first)], [run(second)], "accuracy", 2)
    thrice = paired_difference(
        [run(first, seed=seed) for seed in range(3)], [run(second, seed=seed) for seed in range(3)], "accuracy", 2
    )
    assert (thrice.value, thrice.low, thrice.high) == pytest.approx((once.value, once.low, once.high))


def test_where_only_trainings_vary_the_interval_is_that_of_student():
    right = [run(np.ones(4000), seed=seed) for seed in range(5)]
    fails_once = [run(np.full(4000, seed != 2), seed=seed) for seed in range(5)]
    found = paired_difference(right, fails_once, "accuracy", 2, draws=50)
    assert found.value == pytest.approx(0.2)
    # Differences 0, 0, 1, 0, 0 have a standard error of 0.2; 2.776 is the quantile with four degrees of freedom.
    assert found.high == pytest.approx(0.2 + 2.776 * 0.2, rel=0.01)
    assert not found.distinguishable


def test_several_folds_by_hand():
    # 10, 30 and 50 of 100 posts are right only by the first method.
    first = [run(np.ones(100), fold, start=100 * fold, learned=200) for fold in range(3)]
    second = [run(np.arange(100) >= 10 + 20 * fold, fold, start=100 * fold, learned=200) for fold in range(3)]
    found = paired_difference(first, second, "accuracy", 2)
    # Variance (1/3 + 1/2) · 0.04; the p-value of t with two degrees of freedom is 1 - t / √(t² + 2).
    t = 0.3 / np.sqrt((1 / 3 + 1 / 2) * 0.04)
    assert found.p_value == pytest.approx(1 - t / np.sqrt(t**2 + 2))
    assert corrected_resampled_test(np.array([0.1, 0.3, 0.5]), 0.5) == pytest.approx(found.p_value)
    # Fewer training posts out of the same posts do not make the folds depend on each other more.
    fewer = [replace(run, learned=20) for run in first]
    assert paired_difference(fewer, second, "accuracy", 2).p_value == pytest.approx(found.p_value)


def test_folds_that_do_not_vary_prove_nothing():
    first = [run(np.ones(20), fold, start=20 * fold) for fold in range(2)]
    second = [run(np.arange(20) >= 8, fold, start=20 * fold) for fold in range(2)]
    found = paired_difference(first, second, "accuracy", 2)
    assert found.value == pytest.approx(0.4)
    assert found.high - found.low > 0.2
    assert (found.p_value, found.distinguishable) == (1, False)


@pytest.mark.parametrize("folds", [1, 2])
@pytest.mark.parametrize("seeds", [1, 2])
def test_identical_predictions(folds, seeds):
    random = np.random.default_rng(2)
    runs = [run(random.random(30) < 0.7, fold, seed, 30 * fold) for fold in range(folds) for seed in range(seeds)]
    found = paired_difference(runs, runs, "macro_f1", 2)
    assert (found.value, found.p_value, found.distinguishable) == (0, 1, False)
    # Other posts might tell them apart. Tango (1998), of 30 posts in each fold.
    edge = 1.96**2 / (30 * folds + 1.96**2)
    assert (found.low, found.high) == (pytest.approx(-edge, rel=0.02), pytest.approx(edge, rel=0.02))


@pytest.mark.parametrize(
    ("right", "posts", "low", "high"),
    [
        (60, 60, 0.940, 1.000),
        (59, 60, 0.911, 0.999),
        (199, 200, 0.972, 1.000),
        (999, 1000, 0.994, 1.000),
        (0, 60, 0, 0.060),
        (1, 1, 0.207, 1),
    ],
)
def test_few_wrong_posts_of_one_training(right, posts, low, high):
    found = estimate([run(np.arange(posts) < right)], "accuracy", 2)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))
    assert (found.low, found.high) == pytest.approx(score_interval(right / posts, posts))


@given(st.integers(2, 400), st.data())
@settings(max_examples=60, deadline=None)
def test_one_more_right_post_moves_the_interval_of_one_training_up(posts, data):
    right = data.draw(st.integers(0, posts - 1))
    fewer, more = (estimate([run(np.arange(posts) < count)], "accuracy", 2) for count in (right, right + 1))
    assert fewer.low <= more.low
    assert fewer.high <= more.high
    assert (more.low, more.high) != (fewer.low, fewer.high)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "weighted_f1"])
@given(st.integers(2, 120), st.floats(0.3, 1), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_one_training_has_the_interval_of_an_evaluation(metric, posts, accuracy, seed):
    random = np.random.default_rng(seed)
    truth = random.choice(3, posts, p=(0.6, 0.3, 0.1))
    predicted = np.where(random.random(posts) < accuracy, truth, random.integers(0, 3, posts))
    found = estimate([Run(0, 0, np.arange(posts), truth, predicted, 100)], metric, 3)
    metrics = compute_metrics(truth, np.eye(3)[predicted], ["a", "b", "c"])
    assert found.value == pytest.approx(getattr(metrics, metric))
    assert (found.low, found.high) == pytest.approx(getattr(metrics, f"{metric}_ci"))


def test_posts_that_share_a_picture_count_as_fewer():
    # Twenty pictures with three posts each; the posts of a picture are right or wrong together.
    right, groups = np.repeat(np.arange(20) < 15, 3), np.repeat(np.arange(20), 3)
    found, plain = (estimate([run(right)], "accuracy", 2, given) for given in (groups, None))
    once = score_interval(0.75, 20)
    assert (found.low, found.high) == (pytest.approx(once[0], abs=0.03), pytest.approx(once[1], abs=0.03))
    assert found.low < plain.low - 0.05
    perfect = estimate([run(np.ones(60))], "accuracy", 2, groups)
    assert perfect.low == pytest.approx(20 / (20 + 1.96**2), abs=0.02)
    # A text that many posts share, which are right and wrong as others are, tells hardly less.
    random = np.random.default_rng(0)
    many = np.maximum(np.arange(1000) - 100, 0)
    shared = estimate([run(random.random(1000) < 0.8)], "accuracy", 2, many)
    assert shared.high - shared.low < 0.08


def test_a_method_that_varies_more_than_the_others_stays_wide():
    def seeds(*counts):
        return [run(np.arange(1000) < count, seed=seed) for seed, count in enumerate(counts)]

    found = estimates({"wild": seeds(500, 700), "calm": seeds(599, 601), "same": seeds(600, 600)}, "accuracy", 2)
    # Student's with three degrees of freedom, in place of 12.7 with one.
    assert found["wild"].high - found["wild"].low > 2 * 3.18 * 0.1 * 0.9
    assert found["wild"].high - found["wild"].low < 2 * 12.7 * 0.1 * 0.5
    # Trainings that never differ vary between posts only.
    once = score_interval(0.6, 1000)
    assert (found["same"].low, found["same"].high) == pytest.approx(once)
    assert found["calm"].high - found["calm"].low > once[1] - once[0]


def test_what_cannot_vary_is_unknown_rather_than_certain():
    right, wrong = run(np.ones(50)), run(np.zeros(50))
    found = paired_difference([right], [wrong], "accuracy", 2)
    # Fifty posts that all speak for one method are proof, four are none.
    assert (found.value, found.high, found.distinguishable) == (1, 1, True)
    assert found.low == pytest.approx(1 - 2 * 1.96**2 / (50 + 1.96**2), rel=1e-4)
    assert not paired_difference([run(np.ones(4))], [run(np.zeros(4))], "accuracy", 2).distinguishable
    perfect = estimate([right], "accuracy", 2)
    # Wilson.
    assert (perfect.low, perfect.high) == (pytest.approx(50 / (50 + 1.96**2), rel=1e-4), 1)
    assert estimate([wrong], "accuracy", 2).high == pytest.approx(1.96**2 / (50 + 1.96**2), rel=1e-4)
    one_pair = paired_difference([run([1, 0])], [run([1, 1])], "accuracy", 2, np.zeros(2, dtype=int))
    assert (one_pair.low, one_pair.high, one_pair.p_value) == (-1, 1, 1)
    one_group = estimate([run([1, 0, 1])], "accuracy", 2, np.zeros(3, dtype=int))
    assert (one_group.low, one_group.high) == (0, 1)


def test_only_shared_folds_and_seeds_are_compared():
    first = [run([1, 1, 0, 1], seed=seed) for seed in range(3)]
    found = paired_difference(first, [run([1, 0, 0, 0], seed=2), run([1, 1, 1, 1], seed=9)], "accuracy", 2)
    assert (found.value, found.runs) == (0.5, 1)


def test_what_cannot_be_compared_is_refused():
    one = run([1, 1, 0])
    with pytest.raises(SettingsError, match="no fold and seed in common"):
        paired_difference([one], [replace(one, seed=1)], "accuracy", 2)
    with pytest.raises(SettingsError, match=r"different posts or labels in fold 0, seed 0"):
        paired_difference([one], [run([1, 1, 0], start=1)], "accuracy", 2)
    with pytest.raises(SettingsError, match="different posts or labels"):
        paired_difference([one], [run([1, 1, 0], truth=np.array([0, 0, 1]))], "accuracy", 2)
    with pytest.raises(SettingsError, match="occur twice"):
        estimate([one, one], "accuracy", 2)
    with pytest.raises(SettingsError, match="no runs"):
        estimate([], "accuracy", 2)
    with pytest.raises(SettingsError, match="no metric 'f1'"):
        estimate([one], "f1", 2)


def test_holm_by_hand():
    # Ranked 0.005, 0.01, 0.03, 0.04 and multiplied by 4, 3, 2, 1; none falls below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_none_and_bonferroni(p_values):
    for plain, adjusted in zip(p_values, holm(p_values), strict=True):
        assert plain <= adjusted <= min(1.0, len(p_values) * plain)
