"""Comparisons that nobody ran: made-up predictions on made-up posts."""

import io
from dataclasses import replace
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from jointune.comparison.cells import Cell, CellResult, Cost, Failure
from jointune.comparison.comparison import Comparison
from jointune.comparison.methods import METHODS
from jointune.data.folds import Fold
from jointune.data.post import Post, Posts

TEXT = "what a day, says the made-up post number"


@cache
def picture(number):
    """The bytes of a small picture with some shapes."""
    rng = np.random.default_rng(number)
    width, height = (int(value) for value in rng.integers(60, 160, 2))
    drawn = Image.new("RGB", (width, height), tuple(int(value) for value in rng.integers(60, 255, 3)))
    pen = ImageDraw.Draw(drawn)
    for _ in range(4):
        x, y, size = (int(value) for value in rng.integers(0, 120, 3))
        pen.ellipse((x, y, x + size, y + size), fill=tuple(int(value) for value in rng.integers(0, 255, 3)))
    written = io.BytesIO()
    drawn.save(written, "BMP")
    return written.getvalue()


def made_posts(count, labels, name="made-up posts"):
    """Posts with a text and a picture each; every fifth lacks its picture."""
    return Posts(
        (
            Post(
                text=f"{TEXT} {number}",
                image=None if number % 5 == 4 else picture(number),
                label=labels[number % len(labels)],
            )
            for number in range(count)
        ),
        name,
    )


def made_comparison(
    methods=("joint", "text", "image"),
    budgets=(16, None),
    seeds=2,
    folds=1,
    labels=("negative", "neutral", "positive"),
    tested=60,
    learned=240,
    lacking=(),
    crashed=(),
    posts=None,
    kept_start=(),
    one_label=(),
    equal=(),
    cpu=True,
):
    """A comparison in which the first method is best and all get better with more posts.

    Args:
        methods: their names.
        budgets: posts a label; None for all.
        seeds: their number.
        folds: their number.
        labels: their names.
        tested: test posts of each fold.
        learned: posts to learn from.
        lacking: pairs of method and budget that were never run.
        crashed: pairs of method and budget that crashed.
        posts: those to predict for, instead of made-up ones.
        kept_start: methods whose trainings with an even seed kept the weights from before their first step.
        one_label: methods that give nearly all posts the first label.
        equal: methods that answer as the first one.
        cpu: whether CPU seconds are known.
    """
    posts = posts or made_posts(folds * tested + learned, labels)
    names = sorted(set(map(str, posts.labels)))
    truth = np.array([names.index(label) for label in posts.labels])
    divided = []
    for number in range(folds):
        test = range(number * tested, (number + 1) * tested)
        rest = [index for index in range(len(posts)) if index not in test]
        check = max(len(rest) // 10, 1)
        divided.append(Fold(number, tuple(rest[check:]), tuple(rest[:check]), tuple(test)))
    results, failures = [], []
    for number, method in enumerate(methods):
        place = 0 if method in equal else number
        for budget in budgets:
            for fold in divided:
                for seed in range(seeds):
                    cell = Cell(method, fold.number, seed, budget)
                    if (method, budget) in crashed:
                        failures.append(
                            Failure(
                                cell,
                                "ValueError: it broke (exit code 1)",
                                "Traceback:\n  <b>line</b>\nValueError: it broke",
                            )
                        )
                    elif (method, budget) not in lacking:
                        made = _result(cell, place, fold, truth, len(names))
                        steps = [0, 40] if method != "frozen" else [0]
                        kept = 0 if method in kept_start and seed % 2 == 0 else steps[-1]
                        made = replace(made, log=[{"step": step, "kept": step == kept} for step in steps])
                        slower = replace(made.cost, train_seconds=0.8 * made.train_size / (number + 1) ** 1.5)
                        cpu_seconds = 1.7 * slower.train_seconds if cpu else None
                        made = replace(made, cost=replace(slower, train_cpu_seconds=cpu_seconds))
                        if method in one_label:
                            scores = np.eye(len(names), dtype=np.float32)[[0] * (len(made.test) - 1) + [1]]
                            made = replace(made, test_scores=scores)
                        results.append(made)
    about = {
        "format": 1,
        "posts": {"name": posts.name, "number": len(posts), "sha256": "0" * 64},
        "protocol": {"folds": folds, "divided by": "folds" if folds > 1 else "split column", "validation": 0.1},
        "setup": {
            "settings": {"epochs": 8, "text_encoder": "all-minilm-l6-v2"},
            "clip": None,
            "visualbert": None,
            "prompts": None,
        },
        "versions": {"torch": "2.9.0", "transformers": "5.20.0"},
        "environment": {"python": "3.11.9", "platform": "Linux-6.1-x86_64", "numpy": "2.4.6"},
        "methods": {name: method.about for name, method in METHODS.items()},
        "jointune": "0.1.0",
    }
    return Comparison(about, posts, tuple(range(len(posts))), tuple(divided), results, failures)


def _result(cell, place, fold, truth, labels):
    rng = np.random.default_rng([place, cell.fold, cell.seed, cell.budget or 0])
    test, check = np.array(fold.test), np.array(fold.validation)
    learn = len(fold.train) if cell.budget is None else min(cell.budget * labels, len(fold.train))
    pull = 0.35 * np.log2(learn) * (1 - 0.07 * place)

    def scores(numbers):
        # Much of what is hard about a post is so for every method.
        shared = np.random.default_rng(7).normal(size=(len(truth), labels))[numbers]
        logits = 1.1 * shared + 0.7 * rng.normal(size=(len(numbers), labels))
        logits[np.arange(len(numbers)), truth[numbers]] += pull * 0.7
        raised = np.exp(1.3 * logits)
        return (raised / raised.sum(1, keepdims=True)).astype(np.float32)

    cost = Cost(1000 * 7**place, 0.0, 0.002 * len(test), 900 * 2**20 + place, None)
    return CellResult(cell, learn, check, scores(check), test, scores(test), cost, [], {})
