"""What is said of scores that are not what they seem, and of good ones nothing."""

from dataclasses import replace

import numpy as np
import pytest

from jointune.data.fingerprints import Known
from jointune.evaluation.metrics import compute_metrics
from jointune.evaluation.notes import notes_on_answers, notes_on_few, notes_on_known, untested
from jointune.targets.single_label import SingleLabel

LABELS = ["bad", "good", "plain"]


def metrics(confusion, labels=None):
    """Of posts with these counts; rows are true labels, columns answers."""
    pairs = [(t, a) for t, row in enumerate(confusion) for a, count in enumerate(row) for _ in range(count)]
    truth, answers = np.array(pairs).T
    return compute_metrics(truth, np.eye(len(confusion))[answers], labels or LABELS[: len(confusion)])


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ({"bad": 1}, ["only 1 validation post (", "'bad' 1", "off by 98 points; weights rest", "'good', 'plain'"]),
        ({"bad": 5, "good": 5, "plain": 6}, ["only 16 validation posts ('bad' 5, 'good' 5, 'plain' 6)", "24 points"]),
        ({"bad": 57, "good": 3, "plain": 20}, ["labels have few of the 80 validation posts ('good' 3)", "33 points"]),
        ({"bad": 57, "plain": 30}, ["no validation post is labelled 'good'", "macro F1 among them, say nothing of it"]),
    ],
)
def test_few_posts_are_named_with_what_rests_on_them(counts, says):
    said = " / ".join(notes_on_few("validation", counts, LABELS, "weights rest on them"))
    assert not [part for part in says if part not in said], said


def test_enough_posts_of_each_label_need_no_note():
    assert notes_on_few("validation", {"bad": 5, "good": 15, "plain": 10}, LABELS) == []


def test_many_labels_are_counted_rather_than_listed():
    labels = [f"label {number:02}" for number in range(40)]
    (note,) = notes_on_few("test", {"label 00": 1000}, labels)
    assert "'label 01', 'label 02', 'label 03', 'label 04', 'label 05' and 34 more" in note


@pytest.mark.parametrize(
    ("confusion", "says"),
    [
        ([[40, 1], [21, 1]], ["one label, 'bad', gets 61 of the 63 answers on validation posts (97 %)", "is 65 %"]),
        ([[970, 0], [28, 2]], ["gets 998 of the 1,000 answers", "its share of these posts is 97 %"]),
        ([[20, 5, 0], [5, 20, 0], [6, 6, 0]], ["never answered on the 62 validation posts: 'plain' (the label of 12)"]),
        ([[0, 50], [0, 50]], ["'good', gets 100 of the 100 answers", "is 50 %"]),
    ],
)
def test_answers_that_collapse_are_told(confusion, says):
    (note,) = notes_on_answers(metrics(confusion), "validation")
    assert not [part for part in [*says, "balanced class weights"] if part not in note], note


@pytest.mark.parametrize(
    "confusion",
    [
        [[40, 0], [0, 22]],
        [[36, 4], [12, 10]],  # prefers the frequent label, as accuracy has it
        [[40, 0], [15, 8]],
        [[95, 0], [4, 1]],  # too few of the rare label to tell
        [[60, 0], [0, 0]],  # of one label only, and that is answered
        [[1, 0], [0, 0]],
        [[20, 2, 0], [2, 20, 0], [2, 2, 0]],
        [[10, 12], [11, 10]],  # no better than chance, but not collapsed
    ],
)
def test_answers_that_do_not_collapse_are_not(confusion):
    assert notes_on_answers(metrics(confusion), "validation") == []


def test_a_classifier_that_answers_labels_as_often_as_they_are_true_is_hardly_ever_blamed():
    random, some = np.random.default_rng(0), metrics([[20, 10], [5, 5]])
    blamed = 0
    for _ in range(1000):
        truth, answers = (random.random((2, 40)) < 0.3).astype(int)
        confusion = np.bincount(truth * 2 + answers, minlength=4).reshape(2, 2)
        blamed += bool(notes_on_answers(replace(some, confusion_matrix=confusion.tolist())))
    assert blamed <= 20


def test_posts_that_the_model_knows_are_counted_and_the_others_scored_apart():
    known = np.array([Known.TRAINING] * 5 + [Known.VALIDATION] + [Known.A_PART] * 2 + [Known.NOTHING] * 4)
    truth = np.arange(12) % 2
    score = SingleLabel(["bad", "good"]).metrics
    answers = truth.copy()
    answers[-1] = 1 - answers[-1]
    (note,) = notes_on_known(known, truth, np.eye(2)[answers], score, "test")
    assert note.startswith(
        "of the 12 test posts, 5 were learned from, 1 was validated on, 2 were similar to such posts"
    )
    assert "on the 4 others, accuracy is 0.750" in note
    assert notes_on_known(np.zeros(12, dtype=int), truth, np.eye(2)[answers], score) == []
    (note,) = notes_on_known(known[:9], truth[:9], np.eye(2)[answers[:9]], score)
    assert note.endswith("macro F1 1.000, none of them labelled 'good'")
    (note,) = notes_on_known(known[:6], truth[:6], np.eye(2)[answers[:6]], score)
    assert "none of them is new to the model" in note


def test_labels_that_no_post_has_are_named():
    found = metrics([[3, 1, 0], [0, 0, 0], [0, 0, 0]])
    assert untested(found) == untested(found.to_dict()) == "none of them labelled 'good', 'plain'"
    assert untested(metrics([[3, 1], [0, 2]])) == ""
