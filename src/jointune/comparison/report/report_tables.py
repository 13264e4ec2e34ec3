"""The tables of a comparison."""

from collections import Counter
from collections.abc import Sequence

from jointune.baselines.clip import ENCODER_LR as CLIP_LR
from jointune.comparison.comparison import Comparison
from jointune.comparison.methods import METHODS
from jointune.comparison.protocol import Budget
from jointune.comparison.report.blocks import Column, Matrices, Table, Tone, Value, Whisker
from jointune.comparison.report.figures import (
    DASH,
    MINUS,
    TIMES,
    amount,
    budget_name,
    count,
    interval,
    listed,
    plural,
    score,
    signed,
    signed_interval,
)
from jointune.comparison.report.pooled import Pool
from jointune.comparison.summary import Line, Summary

TITLES = {"accuracy": "accuracy", "macro_f1": "macro F1", "weighted_f1": "weighted F1"}
COMPARED = ("macro_f1", "accuracy")
_TONES: dict[str, Tone] = {"better": "good", "worse": "bad", "not distinguishable": "mute"}


def label_table(comparison: Comparison) -> Table:
    """How many posts have each label."""
    counts = Counter(str(post.label) for post in comparison.posts)
    total = len(comparison.posts)
    rows = [
        [Value(label), Value(count(counts[label])), Value(f"{100 * counts[label] / total:.1f} %")]
        for label in comparison.labels
    ]
    return Table("Posts by label", [Column("label", "l"), Column("posts"), Column("share")], rows)


def fold_table(comparison: Comparison) -> Table:
    """The sizes of the divisions."""
    rows = [
        [
            Value(str(fold.number)),
            *(Value(count(len(part))) for part in (fold.learn, fold.check, fold.test)),
            Value(count(fold.shared)),
        ]
        for fold in comparison.folds
    ]
    columns = [
        Column("fold", "l"),
        Column("to learn from"),
        Column("validation"),
        Column("test"),
        Column("test posts shared"),
    ]
    note = "Shared: test posts with a picture or a text that is also among the posts to learn from or for validation."
    return Table("Posts by part", columns, rows, [note])


def method_table(comparison: Comparison) -> Table:
    """What each method is, and how many of its trainings finished."""
    described = comparison.about.get("methods") or {}
    crashed = Counter(failure.cell.method for failure in comparison.failures)
    names = [*comparison.methods, *sorted(set(crashed) - set(comparison.methods))]
    done = Counter(result.cell.method for result in comparison.results)
    rows = [
        [
            Value(name),
            Value(str(described.get(name, "a method of one's own"))),
            Value(count(done[name])),
            Value(count(crashed[name]), tone="bad" if crashed[name] else ""),
        ]
        for name in names
    ]
    columns = [Column("method", "l"), Column("what it is", "l"), Column("finished"), Column("crashed")]
    return Table("Methods, and the number of their trainings", columns, rows)


def settings_table(comparison: Comparison) -> list[Table]:
    """The settings of all methods, and those that are a method's own; none where the folder does not say."""
    recipe = comparison.about.get("recipe")
    if not recipe:
        return []
    own = {name: METHODS[name].changes for name in comparison.methods if name in METHODS}
    rows = [
        [
            Value(setting),
            Value(_plain(value)),
            Value(
                "; ".join(
                    f"{name}: {_plain(of[setting])}" for name, of in own.items() if of.get(setting, value) != value
                )
            ),
        ]
        for setting, value in sorted(recipe.items())
    ]
    notes = [
        "Arguments of JointClassifier. clip takes both encoders and the fusion from its checkpoint, and "
        f"{CLIP_LR:g} as encoder_lr where no other was chosen. Methods that are not trained by this recipe, such as "
        "one's own, have settings of their own."
    ]
    columns = [Column("setting", "l"), Column("value", "l"), Column("otherwise", "l")]
    return [Table("Settings", columns, rows, notes, folded=f"The {len(rows)} settings")]


def _plain(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def difference_words(reference: str, folds: int) -> str:
    """How to read the differences from the reference."""
    corrected = ", and with folds not below that of the corrected resampled t-test (Nadeau and Bengio)"
    return (
        f"{reference} {MINUS} it: the score of {reference} less that of the row's method; above zero, {reference} is "
        f"ahead. It is: better or worse than {reference} where the interval excludes zero and p is below 0.05, and "
        "otherwise not distinguishable. p: how often chance alone would give such a difference or a greater one, "
        f"adjusted for the number of comparisons (Holm){corrected if folds > 1 else ''}."
    )


def basis_notes(summary: Summary) -> list[str]:
    """Which variation the intervals hold, and for which methods where that differs."""
    found: dict[str, list[str]] = {}
    for line in summary.lines:
        bases = [line.scores["macro_f1"].basis, *(difference.basis for difference in line.differences.values())]
        for basis in dict.fromkeys(bases):
            found.setdefault(basis, []).append(f"{line.method} with {budget_name(line.budget)}")
    return [
        f"What the intervals hold{'' if len(found) == 1 else f' ({listed(named, most=8)})'}: {basis}."
        for basis, named in found.items()
    ]


def answer_table(summary: Summary, budget: Budget) -> Table:
    """Macro F1, how far it is from the reference, and the time of training, the best method first."""
    lines = [line for line in summary.lines if line.budget == budget]
    lines.sort(key=lambda line: -line.scores["macro_f1"].value)
    found = [line.scores["macro_f1"] for line in lines]
    low, high = min(entry.low for entry in found), max(entry.high for entry in found)
    mine = next((line for line in lines if line.method == summary.reference), None)
    compared, known = any(line.differences for line in lines), summary.clock == "train_cpu_seconds"

    def place(value: float) -> float:
        return (value - low) / (high - low) if high > low else 0.5

    reference = mine.scores["macro_f1"] if mine else None
    band = (place(reference.low), place(reference.high)) if reference else None
    time = (mine.cost[summary.clock] or 0.0) if mine else 0.0
    rows = []
    for line, entry in zip(lines, found, strict=True):
        said = f"{score(entry.value)}, 95 % interval {interval(entry.low, entry.high)}"
        own = line.method == summary.reference
        drawn = Whisker(place(entry.low), place(entry.value), place(entry.high), None if own else band, said)
        rows.append(
            [
                Value(line.method),
                _score_cell(line, "macro_f1"),
                Value("", whisker=drawn),
                *(_difference_cells(line, "macro_f1", own) if compared else []),
                Value(amount(line.cost["train_seconds"])),
                Value(amount(line.cost["train_cpu_seconds"])),
                Value(f"{(line.cost[summary.clock] or 0.0) / time:.2f}" if time else DASH),
            ]
        )
    group = "seconds of one training"
    columns = [
        Column("method", "l"),
        Column("macro F1"),
        Column(f"{score(low)} {score(high)}", "l", drawing=True),
        *([Column(f"{summary.reference} {MINUS} it"), Column("it is", "l")] if compared else []),
        Column("by the clock", group=group),
        Column("of CPU", group=group),
        Column(f"{'CPU' if known else 'clock'}, {summary.reference} = 1", group=group),
    ]
    notes = [
        f"Small figures are 95 % intervals; the shaded band is that of {summary.reference}. Seconds by the clock grow "
        "with whatever else the machine does, up to several times; CPU seconds, of all cores together, hardly do."
    ]
    marked = lines.index(mine) if mine else None
    return Table(f"Scores and cost with {budget_name(budget)}", columns, rows, notes, marked=marked)


def score_table(summary: Summary, budget: Budget) -> Table:
    """Scores and differences from the reference at a budget."""
    lines = [line for line in summary.lines if line.budget == budget]
    columns = [Column("method", "l"), *(Column(name, group="score (95 % interval)") for name in TITLES.values())]
    compared = any(line.differences for line in lines)
    if compared:
        for name in COMPARED:
            group = f"difference in {TITLES[name]}"
            columns += [Column(f"{summary.reference} {MINUS} it", group=group), Column("it is", "l", group)]
    rows = []
    for line in lines:
        row = [Value(line.method), *(_score_cell(line, name) for name in TITLES)]
        if compared:
            for name in COMPARED:
                row += _difference_cells(line, name, line.method == summary.reference)
        rows.append(row)
    learned = sorted({round(line.learned) for line in lines})
    number = count(learned[0]) if len(learned) == 1 else f"{count(learned[0])} to {count(learned[-1])}"
    runs = sorted({line.runs for line in lines})
    trainings = plural(runs[-1], "training") if len(runs) == 1 else f"{runs[0]} to {plural(runs[-1], 'training')}"
    caption = f"{budget_name(budget)}: {number} posts, {trainings} a method"
    return Table(caption[0].upper() + caption[1:], columns, rows)


def curve_table(summary: Summary, comparison: Comparison, folded: str = "") -> Table:
    """Macro F1 of each method at each budget."""
    found = {(line.method, line.budget): line for line in summary.lines}
    rows = [
        [
            Value(method),
            *(
                _score_cell(found[method, budget], "macro_f1") if (method, budget) in found else Value(DASH)
                for budget in comparison.budgets
            ),
        ]
        for method in comparison.methods
    ]
    columns = [Column("method", "l"), *(Column(budget_name(budget)) for budget in comparison.budgets)]
    return Table("Macro F1 (95 % interval) by number of training posts", columns, rows, folded=folded)


def saved_table(summary: Summary) -> Table:
    """The training posts that the next-best method needs to match the reference."""
    sign = {"=": "", "<=": "≤ ", ">": "> "}
    rows = [
        [
            Value(count(saving.budget)),
            Value(score(saving.score)),
            Value(saving.method or "none"),
            Value(f"{sign[saving.relation]}{count(saving.needed)}"),
            Value(f"{sign[saving.relation]}{saving.ratio:.1f} {TIMES}"),
        ]
        for saving in summary.saved
    ]
    columns = [
        Column(f"training posts of {summary.reference}"),
        Column("its macro F1"),
        Column("next-best method", "l"),
        Column("training posts it needs"),
        Column("times as many"),
    ]
    notes = [
        "Next-best: the method that reaches the same macro F1 with the fewest training posts, read off its learning "
        "curve. ≤: it does so with its smallest budget already. >: none does with the largest budget that all were "
        f"tried with. Below 1 {TIMES}, the other method needs fewer posts."
    ]
    return Table(f"Training posts for the same macro F1 as {summary.reference}", columns, rows, notes)


def cost_table(lines: Sequence[Line]) -> Table:
    """What each method takes, beside its macro F1."""
    gpu = any(line.cost["peak_gpu_memory_mib"] is not None for line in lines)
    columns = [
        Column("method", "l"),
        Column("macro F1"),
        Column("trained parameters"),
        Column("training, seconds"),
        Column("training, CPU seconds"),
        Column("peak memory, MiB"),
        *([Column("peak GPU memory, MiB")] if gpu else []),
        Column("prediction, ms a post"),
    ]
    rows = []
    for line in lines:
        cost = line.cost
        parameters, memory = cost["trained_parameters"], cost["peak_memory_mib"]
        rows.append(
            [
                Value(line.method),
                _score_cell(line, "macro_f1"),
                Value("unknown" if parameters is None else count(parameters)),
                Value(amount(cost["train_seconds"])),
                Value(amount(cost["train_cpu_seconds"])),
                Value("unknown" if memory is None else count(memory)),
                *([Value(amount(cost["peak_gpu_memory_mib"]))] if gpu else []),
                Value(amount(cost["ms_per_post"])),
            ]
        )
    notes = [
        "Means over trainings. CPU seconds are those of all cores together. Memory is the most that the training's "
        "process held at once."
    ]
    return Table(f"Cost with {budget_name(lines[0].budget)}", columns, rows, notes)


def confusion_tables(found: Sequence[Pool]) -> Matrices:
    """Which labels each method confuses: coloured by the share of the posts that truly have the label."""
    tables = []
    for pool in found:
        labels = pool.labels
        rows = []
        for label, counts in zip(labels, pool.metrics.confusion_matrix, strict=True):
            total = sum(counts)
            cells = [
                Value(count(number), _share(number, total) if len(labels) <= 6 else "", heat=number / max(total, 1))
                for number in counts
            ]
            rows.append([Value(label), *cells])
        columns = [Column("true ↓ said →", "l"), *(Column(label) for label in labels)]
        tables.append(Table(pool.method, columns, rows))
    return Matrices(tables)


def class_tables(found: Sequence[Pool]) -> Matrices:
    """Precision, recall and F1 of each label by each method, with their intervals."""
    tables = []
    for pool in found:
        rows = [
            [
                Value(label),
                Value(score(row.precision), interval(*row.precision_ci)),
                Value(score(row.recall), interval(*row.recall_ci)),
                Value(score(row.f1), interval(*row.f1_ci)),
                Value(count(row.support)),
            ]
            for label, row in pool.metrics.per_class.items()
        ]
        columns = [Column("label", "l"), Column("precision"), Column("recall"), Column("F1"), Column("support")]
        tables.append(Table(pool.method, columns, rows))
    return Matrices(tables)


def calibration_table(found: Sequence[Pool]) -> Table:
    """How far each method's confidence is from its accuracy."""
    rows = []
    for pool in found:
        sure, right = float(pool.confidence.mean()), float(pool.right.mean())
        rows.append(
            [
                Value(pool.method),
                Value(score(pool.metrics.ece)),
                Value(score(sure)),
                Value(score(right), interval(*pool.metrics.accuracy_ci)),
                Value(signed(sure - right)),
                Value(score(pool.metrics.log_loss)),
            ]
        )
    columns = [
        Column("method", "l"),
        Column("ECE"),
        Column("mean confidence"),
        Column("share right"),
        Column(f"confidence {MINUS} right"),
        Column("log loss"),
    ]
    notes = [
        "ECE, the expected calibration error: how far confidence is from the share of right predictions, mean over 15 "
        "bins of confidence; 0 is best. Above zero in the last but one column: too sure of itself. Log loss is lower "
        "for probabilities that fit better."
    ]
    return Table("Calibration", columns, rows, notes)


def _share(number: int, total: int) -> str:
    return f"{100 * number / total:.0f} %" if total else ""


def _score_cell(line: Line, name: str) -> Value:
    found = line.scores[name]
    return Value(score(found.value), interval(found.low, found.high))


def _difference_cells(line: Line, name: str, reference: bool) -> list[Value]:
    if name not in line.differences:
        return [Value("reference" if reference else "not paired", tone="mute"), Value("")]
    found, verdict = line.differences[name], line.verdict(name)
    return [
        Value(signed(found.value), signed_interval(found.low, found.high)),
        Value(verdict, line.reason(name), _TONES[verdict]),
    ]
