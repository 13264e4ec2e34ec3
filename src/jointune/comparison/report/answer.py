"""What a comparison found, in a few sentences."""

from collections.abc import Sequence

from jointune.comparison.comparison import Comparison
from jointune.comparison.protocol import Budget
from jointune.comparison.report.figures import (
    amount,
    budget_name,
    count,
    interval,
    listed,
    percent,
    plural,
    score,
    signed,
    signed_interval,
)
from jointune.comparison.summary import Line, Summary
from jointune.evaluation.learning_curve import Saving

_SEEN_FROM_REFERENCE = {
    "worse": "better than",
    "better": "worse than",
    "not distinguishable": "not distinguishable from",
}


def design_sentence(comparison: Comparison) -> str:
    """The question: what was compared, and how."""
    seeds = sorted({result.cell.seed for result in comparison.results})
    folds = f", in {len(comparison.folds)} folds," if len(comparison.folds) > 1 else ""
    numbers = [f"{budget:,}" for budget in comparison.budgets if budget is not None]
    drawn = f"from {listed(numbers)} posts of each label" if numbers else ""
    everything = "from all posts of that part" if None in comparison.budgets else ""
    return (
        f"Which method tells the {plural(len(comparison.labels), 'label')} apart best, and at what cost? "
        f"{plural(len(comparison.methods), 'method')} learned from one part of {plural(len(comparison.posts), 'post')} "
        f"and were tested on another{folds} with {'seed' if len(seeds) == 1 else 'seeds'} "
        f"{listed([str(seed) for seed in seeds])}. They learned "
        f"{', and '.join(part for part in (drawn, everything) if part)}."
    )


def answer(comparison: Comparison, summary: Summary) -> list[str]:
    """The answer for the largest budget: the best method, what to know first, and a cheaper one as good."""
    if not summary.lines:
        return ["No training finished, so nothing can be said about the methods yet."]
    most = [line for line in summary.lines if line.budget == comparison.budgets[-1]]
    said = [best_sentence(most, summary.reference)]
    if cheaper := cheaper_sentence(comparison, summary, most):
        said.append(cheaper)
    return said


def further(comparison: Comparison, summary: Summary) -> list[str]:
    """What else was found: differences from the reference, few training posts, posts saved, seconds."""
    budgets = comparison.budgets
    most = [line for line in summary.lines if line.budget == budgets[-1]]
    said = against_reference(most, summary.reference)
    if len(budgets) > 1:
        few = [line for line in summary.lines if line.budget == budgets[0]]
        said += [best_sentence(few, summary.reference), *against_reference(few, summary.reference)]
        said += [saving_sentence(summary.saved[0], summary.reference)] if summary.saved else []
    said.append(_seconds_sentence(most, summary.reference))
    return said


def cautions(comparison: Comparison, summary: Summary, budget: Budget) -> list[str]:
    """What to know before the scores of a budget are trusted."""
    lines = [line for line in summary.lines if line.budget == budget]
    said = [f"{note}." for line in lines for note in line.notes]
    same = [
        line.method
        for line in lines
        if line.method != summary.reference and comparison.alike(summary.reference, line.method, budget)
    ]
    return said + [
        f"{summary.reference} and {method} gave every test post the same label, so that their difference is exactly "
        "zero."
        for method in same
    ]


CHEAPER, MARGIN = 0.75, 0.03
"""The share of the best method's time below which another one is cheaper, and what it may lack of its macro F1."""


def cheaper_sentence(comparison: Comparison, summary: Summary, lines: Sequence[Line]) -> str:
    """Whether a method that takes less time is as good as the best, as far as the interval of the difference says."""
    times = {line.method: line.cost[summary.clock] or 0.0 for line in lines}
    highest = score(max(line.scores["macro_f1"].value for line in lines))
    best = [line.method for line in lines if score(line.scores["macro_f1"].value) == highest]
    quickest, slowest = min(best, key=lambda method: times[method]), max(best, key=lambda method: times[method])

    def share(method: str, of: str) -> str:
        return f"{percent(times[method] / times[of])} of the {TIMES_OF[summary.clock]} of {of}"

    if times[quickest] < CHEAPER * times[slowest]:
        return f"Of these, {quickest} takes {share(quickest, slowest)}."
    rivals = [
        line
        for line in comparison.summary(quickest).lines
        if line.budget == lines[0].budget
        and line.verdict("macro_f1") == "not distinguishable"
        and times[line.method] < CHEAPER * times[quickest]
    ]
    if not rivals:
        return ""
    near = [line for line in rivals if line.differences["macro_f1"].high <= MARGIN]
    chosen = (
        min(near, key=lambda line: times[line.method])
        if near
        else max(rivals, key=lambda line: line.scores["macro_f1"].value)
    )
    found = chosen.differences["macro_f1"]
    figures = f"difference {signed(-found.value)}, 95 % interval {signed_interval(-found.high, -found.low)}"
    if near:
        return f"{chosen.method} is not shown to be worse ({figures}), at {share(chosen.method, quickest)}."
    return (
        f"{chosen.method}, at {share(chosen.method, quickest)}, cannot be told from it, but there are too few posts or "
        f"trainings to call it as good ({figures})."
    )


TIMES_OF = {"train_cpu_seconds": "CPU time", "train_seconds": "training time"}
"""What the costs are that times of training are compared by."""


def best_sentence(lines: Sequence[Line], reference: str) -> str:
    """Which method has the highest macro F1 at a budget, and what the reference has."""
    place = f"With {budget_name(lines[0].budget)},"
    highest = score(max(line.scores["macro_f1"].value for line in lines))
    best = [line.method for line in lines if score(line.scores["macro_f1"].value) == highest]
    found = {line.method: line.scores["macro_f1"] for line in lines}
    between = listed([interval(found[method].low, found[method].high) for method in best])
    if len(lines) == 1:
        return f"{place} {best[0]} has a macro F1 of {highest} (95 % interval {between}); no other method was tested."
    have, several = ("has", "interval") if len(best) == 1 else ("have", "intervals")
    said = f"{place} {listed(best)} {have} the highest macro F1: {highest} (95 % {several} {between})."
    if reference in best or reference not in found:
        return said
    mine = found[reference]
    return f"{said} {reference} has {score(mine.value)} ({interval(mine.low, mine.high)})."


def against_reference(lines: Sequence[Line], reference: str) -> list[str]:
    """How the reference does against each other method at a budget: one sentence a verdict."""
    said = []
    if len(lines) > 1 and reference not in {line.method for line in lines}:
        place = budget_name(lines[0].budget)
        said.append(f"With {place}, no training of {reference} finished, so no difference from it can be told.")
    for verdict, words in _SEEN_FROM_REFERENCE.items():
        found = [line for line in lines if line.verdict("macro_f1") == verdict]
        if not found:
            continue
        named = listed([_difference(line) for line in found]) if len(found) < 3 else _range(found)
        said.append(f"With {budget_name(found[0].budget)}, {reference} is {words} {named}.")
    return said


def saving_sentence(saving: Saving, reference: str) -> str:
    """What the next-best method needs for a score of the reference."""
    head = f"With {count(saving.budget)} training posts, {reference} reaches a macro F1 of {score(saving.score)}"
    needed, ratio = count(saving.needed), f"{saving.ratio:.1f}"
    if saving.relation == ">":
        more = f", more than {ratio} times as many" if saving.ratio > 1.05 else ""
        return f"{head}; no other method reaches that with up to {needed} posts{more}."
    if saving.relation == "<=":
        saved = "no posts are saved" if saving.ratio <= 1 else f"at most {ratio} times as many"
        return f"{head}; {saving.method} reaches that with {needed} posts or fewer: {saved}."
    if saving.ratio <= 1:
        return f"{head}; {saving.method} reaches that with about {needed} posts: no posts are saved."
    return f"{head}; the next-best method, {saving.method}, needs about {needed} posts for it, {ratio} times as many."


def _difference(line: Line) -> str:
    found = line.differences["macro_f1"]
    between = signed_interval(found.low, found.high)
    return f"{line.method} (difference {signed(found.value)}, 95 % interval {between})"


def _range(lines: Sequence[Line]) -> str:
    lines = sorted(lines, key=lambda line: line.differences["macro_f1"].value)
    ends = [f"{signed(line.differences['macro_f1'].value)} ({line.method})" for line in (lines[0], lines[-1])]
    return f"{listed([line.method for line in lines])}: differences from {ends[0]} to {ends[1]}"


def _seconds_sentence(lines: Sequence[Line], reference: str) -> str:
    seconds = {line.method: line.cost["train_seconds"] or 0.0 for line in lines}
    said = f"Training once with {budget_name(lines[0].budget)} took"
    if reference in seconds:
        said += f" {amount(seconds[reference])} seconds on average for {reference}"
    others = {method: value for method, value in seconds.items() if method != reference}
    if not others:
        return f"{said}."
    least, most = min(others, key=lambda name: others[name]), max(others, key=lambda name: others[name])
    joined = ", and" if reference in seconds else ""
    if least == most:
        return f"{said}{joined} {amount(others[least])} seconds for {least}."
    return (
        f"{said}{joined} from {amount(others[least])} seconds ({least}) to {amount(others[most])} seconds ({most}) for "
        "the others."
    )
