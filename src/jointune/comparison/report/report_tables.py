"""The tables of results: rows of formatted cells, with notes."""

from collections.abc import Sequence

from jointune.comparison.comparison import Comparison
from jointune.comparison.report.pooled import Pool
from jointune.comparison.summary import Line, Summary
from jointune.evaluation.score_table import title
from jointune.output.pages.figures import (
    DASH,
    MINUS,
    TIMES,
    amount,
    budget_name,
    count,
    interval,
    score,
    signed,
    signed_interval,
)
from jointune.output.pages.page_tables import Column, Table, Value
from jointune.utils.wording import counted

_TONES = {"better": "good", "worse": "bad", "not distinguishable": "mute"}


METHOD = Column("method", "l")


def answer_table(summary: Summary, budget: int | None) -> Table:
    """List the main score, the difference from the reference, and the training time, the best method first."""
    lines = sorted(summary.at(budget), key=lambda line: -line.score.value)
    scores = [line.score for line in lines]
    low, high = min(one.low for one in scores), max(one.high for one in scores)
    own = next((line for line in lines if line.method == summary.reference), None)
    time = (own.cost[summary.clock] or 0.0) if own else 0.0
    compared = any(line.differences for line in lines)
    rows = [
        [
            line.method,
            shown := _score(line, line.main),
            Value(f"{shown.text}, 95 % interval {shown.small}", estimate=line.score),
            *(_difference(line, line.main, line is own) if compared else []),
            amount(line.cost["train_seconds"]),
            amount(line.cost["train_cpu_seconds"]),
            f"{(line.cost[summary.clock] or 0.0) / time:.2f}" if time else DASH,
        ]
        for line in lines
    ]
    clock = "CPU" if summary.clock == "train_cpu_seconds" else "clock"
    seconds = ("by the clock", "of CPU", f"{clock}, {summary.reference} = 1")
    columns = [
        METHOD,
        summary.main,
        Column(interval(low, high), "l", drawing=True),
        *([f"{summary.reference} {MINUS} it", Column("it is", "l")] if compared else []),
        *(Column(name, group="seconds of one training") for name in seconds),
    ]
    note = (
        f"Small figures are 95 % intervals; the shaded band is that of {summary.reference}. Seconds by the clock grow "
        "with whatever else the machine does, up to several times; CPU seconds, of all cores together, hardly do."
    )
    marked = lines.index(own) if own else None
    caption = f"Scores and cost with {budget_name(budget)}"
    return Table(caption, columns, rows, [note], marked=marked, axis=(low, high))


def score_table(summary: Summary, budget: int | None) -> Table:
    """List scores and differences from the reference at a budget."""
    lines = summary.at(budget)
    names, main = summary.target.compared, summary.target.main
    others = (main, next(name for name in names if name != main))
    compared = others if any(line.differences for line in lines) else ()
    columns = [METHOD, *(Column(title(name), group="score (95 % interval)") for name in names)]
    for name in compared:
        group = f"difference in {title(name)}"
        columns += [Column(f"{summary.reference} {MINUS} it", group=group), Column("it is", "l", group)]
    rows = []
    for line in lines:
        row = [Value(line.method), *(_score(line, name) for name in names)]
        for name in compared:
            row += _difference(line, name, line.method == summary.reference)
        rows.append(row)
    sizes, runs = sorted({round(line.train_size) for line in lines}), sorted({line.runs for line in lines})
    posts = count(sizes[0]) if len(sizes) == 1 else f"{count(sizes[0])} to {count(sizes[-1])}"
    trainings = f"{runs[0]} to {counted(runs[-1], 'training')}" if len(runs) > 1 else counted(runs[0], "training")
    caption = f"{budget_name(budget)}: {posts} posts, {trainings} a method"
    return Table(caption[0].upper() + caption[1:], columns, rows)


def curve_table(summary: Summary, comparison: Comparison) -> Table:
    """List the main score of each method at each budget."""
    lines = {(line.method, line.budget): line for line in summary.lines}
    rows = []
    for method in comparison.methods:
        of_method = [lines.get((method, budget)) for budget in comparison.budgets]
        rows.append([Value(method), *(_score(line, line.main) if line else Value(DASH) for line in of_method)])
    columns = [METHOD, *map(budget_name, comparison.budgets)]
    caption = f"{summary.main[0].upper()}{summary.main[1:]} (95 % interval) by number of training posts"
    return Table(caption, columns, rows, folded="The figures of these drawings")


def saved_table(summary: Summary) -> Table:
    """List the training posts that the next-best method needs to match the reference."""
    rows = []
    for saving in summary.saved:
        sign = {"=": "", "<=": "≤ ", ">": "> "}[saving.relation]
        needed, ratio = f"{sign}{count(saving.needed)}", f"{sign}{saving.ratio:.1f} {TIMES}"
        rows.append([count(saving.budget), score(saving.score), saving.method or "none", needed, ratio])
    columns = [
        f"training posts of {summary.reference}",
        f"its {summary.main}",
        Column("next-best method", "l"),
        "training posts it needs",
        "times as many",
    ]
    note = (
        f"Next-best: the method that reaches the same {summary.main} with the fewest training posts, read off its "
        "learning curve. ≤: it does so with its smallest budget already. >: none does with the largest budget that all "
        f"were tried with. Below 1 {TIMES}, the other method needs fewer posts."
    )
    return Table(f"Training posts for the same {summary.main} as {summary.reference}", columns, rows, [note])


def cost_table(lines: Sequence[Line]) -> Table:
    """List the cost of each method beside its main score."""
    gpu = any(line.cost["peak_gpu_memory_mib"] is not None for line in lines)
    columns = [
        METHOD,
        title(lines[0].main),
        "trained parameters",
        "training, seconds",
        "training, CPU seconds",
        "peak memory, MiB",
        *(["peak GPU memory, MiB"] if gpu else []),
        "prediction, ms a post",
    ]
    rows = [
        [
            Value(line.method),
            _score(line, line.main),
            _known(line.cost["trained_parameters"]),
            amount(line.cost["train_seconds"]),
            amount(line.cost["train_cpu_seconds"]),
            _known(line.cost["peak_memory_mib"]),
            *([amount(line.cost["peak_gpu_memory_mib"])] if gpu else []),
            amount(line.cost["ms_per_post"]),
        ]
        for line in lines
    ]
    note = (
        "Means over trainings. CPU seconds are those of all cores together. Memory is the most that the training's "
        "process held at once."
    )
    return Table(f"Cost with {budget_name(lines[0].budget)}", columns, rows, [note])


def _known(value: float | None) -> str:
    return "unknown" if value is None else count(value)


def calibration_table(pools: Sequence[Pool]) -> Table:
    """List how far each method's confidence is from its accuracy."""
    rows = []
    for pool in pools:
        metrics, confidence, right = pool.metrics, float(pool.confidence.mean()), float(pool.right.mean())
        share = Value(score(right), interval(*metrics.accuracy_ci))
        gap = signed(confidence - right)
        rows.append([pool.method, score(metrics.ece), score(confidence), share, gap, score(metrics.log_loss)])
    columns = [METHOD, "ECE", "mean confidence", "share right", f"confidence {MINUS} right", "log loss"]
    note = (
        "ECE, the expected calibration error: how far confidence is from the share of right predictions, mean over 15 "
        "bins of confidence; 0 is best. Above zero in the last but one column: too sure of itself. Log loss is lower "
        "for probabilities that fit better."
    )
    return Table("Calibration", columns, rows, [note])


def _score(line: Line, name: str) -> Value:
    estimate = line.scores[name]
    return Value(score(estimate.value), interval(estimate.low, estimate.high))


def _difference(line: Line, name: str, reference: bool) -> list[Value]:
    if name not in line.differences:
        return [Value("reference" if reference else "not paired", tone="mute"), Value("")]
    difference, verdict = line.differences[name], line.verdict(name)
    return [
        Value(signed(difference.value), signed_interval(difference.low, difference.high)),
        Value(verdict, line.reason(name), _TONES[verdict]),
    ]
