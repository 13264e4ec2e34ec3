"""State the result of a comparison in a few sentences."""

from collections.abc import Sequence

from jointune.comparison.comparison import Comparison
from jointune.comparison.methods import METHODS
from jointune.comparison.summary import Line, Summary
from jointune.config import PRESETS
from jointune.errors import setting
from jointune.evaluation.learning_curve import Saving
from jointune.evaluation.score_table import title
from jointune.output.pages.figures import (
    amount,
    budget_name,
    count,
    interval,
    listed,
    percent,
    score,
    signed,
    signed_interval,
    with_article,
)
from jointune.utils.wording import counted

CHEAPER, MARGIN = 0.75, 0.03
"""The share of the best method's time below which another one is cheaper, and the main score it may lack."""

_TIMES = {"train_cpu_seconds": "CPU time", "train_seconds": "training time"}
"""Names of the costs by which training times are compared."""

_FROM_REFERENCE = {"worse": "better than", "better": "worse than", "not distinguishable": "not distinguishable from"}
"""The verdict of a method, as a verdict of the reference."""


def question(comparison: Comparison) -> str:
    """State what was compared, and how."""
    if not comparison.results:
        return "Nothing was measured yet."
    seeds = sorted({result.cell.seed for result in comparison.results})
    folds = f", in {len(comparison.folds)} folds," if len(comparison.folds) > 1 else ""
    numbers = [f"{budget:,}" for budget in comparison.budgets if budget is not None]
    drawn = f"from {listed(numbers)} posts of each label" if numbers else ""
    everything = "from all posts of that part" if None in comparison.budgets else ""
    return (
        f"Which method {_task(comparison)} best, and at what cost? "
        f"{counted(len(comparison.methods), 'method')} learned from one part of "
        f"{counted(len(comparison.posts), 'post')} and were tested on another{folds} with "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {listed([str(seed) for seed in seeds])}. They learned "
        f"{', and '.join(part for part in (drawn, everything) if part)}."
    )


def _task(comparison: Comparison) -> str:
    labels = comparison.labels
    if comparison.target.each_one_label:
        return f"tells the {counted(len(labels), 'label')} apart"
    return f"finds the {counted(len(labels), 'label')} of posts" if labels else "tells the number of posts"


def answer(comparison: Comparison, summary: Summary) -> list[str]:
    """State, for the largest budget, the best method, and a cheaper one if it may be as good."""
    if not summary.lines:
        return ["No training finished, so nothing can be said about the methods yet."]
    lines = summary.at(comparison.budgets[-1])
    sentences = [_best(lines, summary.reference), _cheaper(comparison, summary, lines)]
    return [sentence for sentence in sentences if sentence]


def further(comparison: Comparison, summary: Summary) -> list[str]:
    """State the other results: differences from the reference, few training posts, posts saved, seconds."""
    least, most = summary.at(comparison.budgets[0]), summary.at(comparison.budgets[-1])
    sentences = _against_reference(most, summary.reference)
    if len(comparison.budgets) > 1:
        sentences += [_best(least, summary.reference), *_against_reference(least, summary.reference)]
        sentences += [saving_sentence(saving, summary.reference, summary.main) for saving in summary.saved[:1]]
    return [*sentences, _seconds(most, summary.reference)]


def cautions(comparison: Comparison, summary: Summary, budget: int | None) -> list[str]:
    """State what to know before the scores of a budget are trusted."""
    lines, reference = summary.at(budget), summary.reference
    return [f"{note}." for line in lines for note in line.notes] + [
        f"{reference} and {line.method} gave every test post the same answer, so their difference is exactly zero."
        for line in lines
        if line.method != reference and comparison.alike(reference, line.method, budget)
    ]


def saving_sentence(saving: Saving, reference: str, main: str = "macro F1") -> str:
    """State how many posts the next-best method needs for a score of the reference."""
    start = (
        f"With {count(saving.budget)} training posts, {reference} reaches {with_article(main)} of {score(saving.score)}"
    )
    needed, ratio = count(saving.needed), f"{saving.ratio:.1f}"
    if saving.relation == ">":
        more = f", more than {ratio} times as many" if saving.ratio > 1.05 else ""
        return f"{start}; no other method reaches that with up to {needed} posts{more}."
    if saving.relation == "<=":
        saved = "no posts are saved" if saving.ratio <= 1 else f"at most {ratio} times as many"
        return f"{start}; {saving.method} reaches that with {needed} posts or fewer: {saved}."
    if saving.ratio <= 1:
        return f"{start}; {saving.method} reaches that with about {needed} posts: no posts are saved."
    return f"{start}; the next-best method, {saving.method}, needs about {needed} posts for it, {ratio} times as many."


def _highest(lines: Sequence[Line]) -> tuple[str, list[str]]:
    """Return the highest main score, and the methods that have it at the precision that is shown."""
    shown = {line.method: score(line.score.value) for line in lines}
    highest = score(max(line.score.value for line in lines))
    return highest, [method for method, value in shown.items() if value == highest]


def _best(lines: Sequence[Line], reference: str) -> str:
    start = f"With {budget_name(lines[0].budget)},"
    highest, best = _highest(lines)
    estimates = {line.method: line.score for line in lines}
    between = listed([interval(estimates[method].low, estimates[method].high) for method in best])
    main = title(lines[0].main)
    if len(lines) == 1:
        only = f"{best[0]} has {with_article(main)} of {highest} (95 % interval {between})"
        return f"{start} {only}; no other method was tested."
    have, several = ("has", "interval") if len(best) == 1 else ("have", "intervals")
    sentence = f"{start} {listed(best)} {have} the highest {main}: {highest} (95 % {several} {between})."
    if reference in best or reference not in estimates:
        return sentence
    own = estimates[reference]
    return f"{sentence} {reference} has {score(own.value)} ({interval(own.low, own.high)})."


def _cheaper(comparison: Comparison, summary: Summary, lines: Sequence[Line]) -> str:
    """Name a method that takes less time than the best, and may be as good by the interval of the difference."""
    times = {line.method: line.cost[summary.clock] or 0.0 for line in lines}
    _, best = _highest(lines)
    quickest, slowest = min(best, key=lambda method: times[method]), max(best, key=lambda method: times[method])

    def share(method: str, of: str) -> str:
        return f"{percent(times[method] / times[of])} of the {_TIMES[summary.clock]} of {of}"

    if times[quickest] < CHEAPER * times[slowest]:
        return f"Of these, {quickest} takes {share(quickest, slowest)}."
    rivals = [
        line
        for line in comparison.summary(quickest).at(lines[0].budget)
        if line.verdict(line.main) == "not distinguishable" and times[line.method] < CHEAPER * times[quickest]
    ]
    if not rivals:
        return ""
    near = [line for line in rivals if line.differences[line.main].high <= MARGIN]
    rival = min(near, key=lambda line: times[line.method]) if near else max(rivals, key=lambda line: line.score.value)
    difference = rival.differences[rival.main]
    between = signed_interval(-difference.high, -difference.low)
    figures = f"difference {signed(-difference.value)}, 95 % interval {between}"
    if near:
        most = score(max(difference.high, 0.0))
        return (
            f"{rival.method} is not shown to be worse ({figures}), at {share(rival.method, quickest)}. So for posts "
            f"like these, {rival.method} is the one to take{_how(rival.method)}, unless a gain of {most} at most, or "
            f"more posts than these, are worth the time of {quickest}."
        )
    return (
        f"{rival.method}, at {share(rival.method, quickest)}, cannot be told from it, but there are too few posts or "
        f"trainings to call it as good ({figures})."
    )


def _how(method: str) -> str:
    """Name the preset that trains a method, in brackets; nothing where there is none."""
    settings = METHODS[method].changes if method in METHODS else None
    preset = next((name for name, values in PRESETS.items() if values and values == settings), None)
    return f" ({setting('preset', preset)})" if preset else ""


def _against_reference(lines: Sequence[Line], reference: str) -> list[str]:
    """Compare the reference with the other methods of a budget: one sentence per verdict."""
    start = f"With {budget_name(lines[0].budget)},"
    sentences = []
    if len(lines) > 1 and reference not in {line.method for line in lines}:
        sentences.append(f"{start} no training of {reference} finished, so no difference from it is known.")
    for verdict, words in _FROM_REFERENCE.items():
        alike = [line for line in lines if line.verdict(line.main) == verdict]
        if alike:
            named = listed([_difference(line) for line in alike]) if len(alike) < 3 else _range(alike)
            sentences.append(f"{start} {reference} is {words} {named}.")
    return sentences


def _difference(line: Line) -> str:
    difference = line.differences[line.main]
    between = signed_interval(difference.low, difference.high)
    return f"{line.method} (difference {signed(difference.value)}, 95 % interval {between})"


def _range(lines: Sequence[Line]) -> str:
    lines = sorted(lines, key=lambda line: line.differences[line.main].value)
    ends = [f"{signed(line.differences[line.main].value)} ({line.method})" for line in (lines[0], lines[-1])]
    return f"{listed([line.method for line in lines])}: differences from {ends[0]} to {ends[1]}"


def _seconds(lines: Sequence[Line], reference: str) -> str:
    seconds = {line.method: line.cost["train_seconds"] or 0.0 for line in lines}
    sentence = f"Training once with {budget_name(lines[0].budget)} took"
    if reference in seconds:
        sentence += f" {amount(seconds.pop(reference))} seconds on average for {reference}" + ", and" * bool(seconds)
    if not seconds:
        return f"{sentence}."
    least, most = min(seconds, key=lambda name: seconds[name]), max(seconds, key=lambda name: seconds[name])
    if least == most:
        return f"{sentence} {amount(seconds[least])} seconds for {least}."
    ends = [f"{amount(seconds[method])} seconds ({method})" for method in (least, most)]
    return f"{sentence} from {ends[0]} to {ends[1]} for the others."
