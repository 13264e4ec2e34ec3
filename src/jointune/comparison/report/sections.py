"""The sections of the report of a comparison."""

from collections.abc import Mapping, Sequence
from typing import Any

from jointune.comparison.comparison import Comparison
from jointune.comparison.protocol import Budget
from jointune.comparison.report.answer import MARGIN, answer, cautions, design_sentence, further, saving_sentence
from jointune.comparison.report.blocks import Block, Cards, Facts, Items, Notes, Panels, Paragraph, Section, Traces
from jointune.comparison.report.caveats import limits, tried_cells
from jointune.comparison.report.charts import learning_curve, reliability
from jointune.comparison.report.disagreements import disagreements
from jointune.comparison.report.figures import MINUS, budget_name, budget_names, listed, plural, score
from jointune.comparison.report.pooled import Pool, pools
from jointune.comparison.report.report_tables import (
    answer_table,
    basis_notes,
    calibration_table,
    class_tables,
    confusion_tables,
    cost_table,
    curve_table,
    difference_words,
    fold_table,
    label_table,
    method_table,
    saved_table,
    score_table,
    settings_table,
)
from jointune.comparison.summary import Summary

NOTHING = Paragraph("No training finished, so there is nothing to show.")


def sections(comparison: Comparison, summary: Summary) -> list[Section]:
    """All sections, in their order; those that have nothing to show say so."""
    found = pools(comparison, comparison.budgets[-1]) if summary.lines else []
    largest = budget_name(comparison.budgets[-1]) if summary.lines else budget_name(None)
    return [
        _answer(comparison, summary),
        _scores(comparison, summary),
        _curves(comparison, summary),
        _costs(comparison, summary),
        _confusions(found, largest),
        _reliabilities(found, largest),
        _posts(comparison, found, largest),
        Section(
            "limits",
            "What cannot be concluded",
            "Here is what this comparison leaves open, by the way it was made.",
            [Items(limits(comparison, summary))],
        ),
        _setting(comparison),
    ]


def _answer(comparison: Comparison, summary: Summary) -> Section:
    best, *cheaper = answer(comparison, summary)
    blocks: list[Block] = [Paragraph(best, strong=True), *map(Paragraph, cheaper)]
    question = "Nothing was measured yet."
    if summary.lines:
        question = design_sentence(comparison)
        largest = comparison.budgets[-1]
        if warned := cautions(comparison, summary, largest):
            blocks.append(Items(warned, cautions=True))
        blocks += [answer_table(summary, largest), Items(further(comparison, summary))]
        blocks.append(
            Paragraph(
                "Macro F1 is between 0 and 1, and 1 is best: for each label, F1 says how completely and how purely a "
                "method finds the posts that have it, and macro F1 is the mean over the labels, so that rare ones "
                f"count as much as frequent ones. A difference is the macro F1 of {summary.reference} less that of "
                "the other method. A 95 % interval is made so that it holds the true value in 95 of 100 such "
                "experiments. Methods are called not distinguishable where chance alone may have made the difference, "
                "the number of methods considered. A cheaper method is called not shown to be worse where, besides, "
                f"the whole interval of its difference from the best one lies above {MINUS}{MARGIN}."
            )
        )
    return Section("answer", "The answer", question, blocks)


def _setting(comparison: Comparison) -> Section:
    blocks: list[Block] = [
        Facts(_facts(comparison)),
        method_table(comparison),
        *settings_table(comparison),
        label_table(comparison),
        fold_table(comparison),
    ]
    if comparison.failures:
        blocks += [
            Paragraph(f"{plural(len(comparison.failures), 'training')} crashed; the others went on."),
            Traces([(str(failure.cell), failure.reason, failure.trace) for failure in comparison.failures]),
        ]
    return Section(
        "setting",
        "What was run",
        "Here are the posts, the methods and the settings that everything below is about.",
        blocks,
    )


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    about = comparison.about
    protocol, setup = _mapping(about, "protocol"), _mapping(about, "setup")
    tried = tried_cells(comparison)
    budgets = sorted({cell.budget for cell in tried}, key=lambda budget: (budget is None, budget or 0))
    shared = sum(fold.shared for fold in comparison.folds)
    chosen = {name: value for name, value in setup.items() if name != "settings" and value is not None}
    settings = {**_mapping(setup, "settings"), **chosen}
    return [
        ("posts", f"{comparison.posts.name}: {plural(len(comparison.posts), 'post')}"),
        *_affected(about),
        ("folds", f"{len(comparison.folds):,}"),
        ("divided by", str(protocol.get("divided by", "not stated"))),
        ("test posts that share a picture or a text with training", f"{shared:,}"),
        ("posts to learn from", budget_names(budgets)),
        ("seeds", listed([str(seed) for seed in sorted({cell.seed for cell in tried})])),
        ("trainings", f"{len(comparison.results):,} finished, {len(comparison.failures):,} crashed"),
        ("settings that were chosen", _pairs(settings) or "none: the recipe's own"),
        ("versions", _pairs({"jointune": about.get("jointune", "unknown"), **_mapping(about, "versions")})),
        ("environment", _pairs(_mapping(about, "environment")) or "not stated"),
        *([("begun", str(about["begun"]))] if "begun" in about else []),
        ("posts, SHA-256", str(_mapping(about, "posts").get("sha256", "not stated"))),
    ]


def _affected(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The posts whose picture could not be read, where there are any."""
    posts = _mapping(about, "posts")
    if not posts.get("affected"):
        return []
    what = "left out" if posts["on bad image"] == "skip" else "used without it"
    return [("posts whose picture could not be read", f"{posts['affected']:,}, {what}")]


def _scores(comparison: Comparison, summary: Summary) -> Section:
    folds = len({result.cell.fold for result in comparison.results})
    blocks: list[Block] = [
        Paragraph(
            "Accuracy is the share of posts predicted rightly. Macro F1 counts every label alike, weighted F1 every "
            "post. With each score comes its 95 % interval."
        ),
        *([Paragraph(difference_words(summary.reference, folds))] if len(comparison.methods) > 1 else []),
        *(block for budget in reversed(comparison.budgets) for block in _scored(comparison, summary, budget)),
        Notes(basis_notes(summary)),
    ]
    return Section(
        "scores",
        "Scores",
        "Each table shows, for one number of posts to learn from, how good every method is on posts that it has not "
        "seen, and how far it is from the reference.",
        blocks if comparison.budgets else [NOTHING],
    )


def _scored(comparison: Comparison, summary: Summary, budget: Budget) -> list[Block]:
    # Those of the largest budget stand in the answer.
    warned = cautions(comparison, summary, budget) if budget != comparison.budgets[-1] else []
    return [score_table(summary, budget), *([Items(warned, cautions=True)] if warned else [])]


def _curves(comparison: Comparison, summary: Summary) -> Section:
    lead = "This shows how macro F1 grows with the number of labelled posts, and how many of them the reference saves."
    curves = {method: [line for line in summary.lines if line.method == method] for method in comparison.methods}
    if len(comparison.budgets) < 2:
        return Section("curve", "Learning curve", lead, [Paragraph("It needs two numbers of training posts at least.")])
    reference = summary.reference
    last = {line.method: line.scores["macro_f1"] for line in summary.lines}
    panels = [
        (method, f"{score(last[method].value)}", learning_curve(curves, method, reference, f"learning-{number}"))
        for number, method in enumerate(comparison.methods)
        if method != reference or len(comparison.methods) == 1
    ]
    caption = (
        "Macro F1 on test posts against the number of training posts, on a logarithmic scale: a panel for each method, "
        "all with the same axes, headed by its last score. Upright lines are 95 % intervals, moved apart where they "
        f"would cover each other; the table of scores says whether a method can be told from {reference}."
    )
    key = [("method", "the method of the panel"), ("reference", reference), ("others", "the other methods")]
    drawn = Panels(caption, panels, key if len(comparison.methods) > 1 else [])
    blocks: list[Block] = [drawn, curve_table(summary, comparison, "The figures of these drawings")]
    if summary.saved:
        blocks += [
            Items([saving_sentence(saving, summary.reference) for saving in summary.saved]),
            saved_table(summary),
        ]
    else:
        blocks.append(
            Paragraph("Posts saved cannot be told: that needs two methods, and two numbers of training posts.")
        )
    return Section("curve", "Learning curve", lead, blocks)


def _costs(comparison: Comparison, summary: Summary) -> Section:
    lead = "This shows what each method takes to train and to use, beside how good it is."
    by_budget = [[line for line in summary.lines if line.budget == budget] for budget in reversed(comparison.budgets)]
    return Section("cost", "Cost against quality", lead, [*map(cost_table, by_budget)] or [NOTHING])


def _confusions(found: Sequence[Pool], largest: str) -> Section:
    lead = f"These tables show which labels each method takes for which, and how well it finds each, with {largest}."
    blocks: list[Block] = [
        Paragraph(
            "All test predictions of a method together, over folds and seeds: a post counts once for each training "
            "that was tested on it. Rows are true labels, columns predictions; the deeper the colour, the greater the "
            "share of the row. The diagonal is right."
        ),
        confusion_tables(found),
        Paragraph(
            "Precision: the share of the posts predicted so that are so. Recall: the share of the posts that are so "
            "that are predicted so. F1: their harmonic mean. Support: how many predictions are about posts that are "
            "so. With each comes its 95 % interval, for other test posts: trainings and folds do not vary in it."
        ),
        class_tables(found),
    ]
    return Section("confusion", "Confused labels", lead, blocks if found else [NOTHING])


def _reliabilities(found: Sequence[Pool], largest: str) -> Section:
    lead = f"This shows whether a method that is 80 % sure is right 80 % of the time, with {largest}."
    panels = []
    for number, pool in enumerate(found):
        label = f"Reliability of {pool.method}: expected calibration error {score(pool.metrics.ece)}"
        drawn = reliability(*pool.bins(), f"reliability-{number}", label)
        panels.append((pool.method, f"ECE {score(pool.metrics.ece)}", drawn))
    caption = (
        "Across: confidence, the highest probability of a prediction. Up: the share that is right. Points on the "
        "dashed line are as sure as they should be; below it, too sure. The larger a point, the more predictions."
    )
    blocks: list[Block] = [Panels(caption, panels), calibration_table(found)]
    return Section("calibration", "Reliability", lead, blocks if found else [NOTHING])


def _posts(comparison: Comparison, found: Sequence[Pool], largest: str) -> Section:
    lead = f"These are the test posts on which the methods' predictions lie furthest apart, with {largest}."
    cards = disagreements(comparison, found)
    blocks: list[Block] = [Paragraph("No two methods predict differently on the same test post.")]
    if cards:
        caption = (
            "Most divided first, by the Jensen-Shannon divergence of the methods' probabilities (means over "
            "trainings). Confidence is the probability of the prediction. Such posts are unusual by choice, and do "
            "not say which method is better."
        )
        blocks = [Cards(caption, cards)]
    return Section("posts", "Posts on which methods disagree", lead, blocks)


def _mapping(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, Mapping) else {}


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
