"""What a comparison does not allow to conclude."""

from jointune.comparison.cells import Cell
from jointune.comparison.comparison import Comparison
from jointune.comparison.report.figures import budget_name, listed, plural, score
from jointune.comparison.summary import Summary

FEW = 300
"""Test posts below which their number is said to be small."""


def tried_cells(comparison: Comparison) -> list[Cell]:
    """Those that finished, then those that crashed."""
    return [result.cell for result in comparison.results] + [failure.cell for failure in comparison.failures]


def missing_cells(comparison: Comparison) -> list[Cell]:
    """What neither finished nor crashed of the grid that the others span, by method, budget, fold and seed."""
    tried = tried_cells(comparison)
    known = set(tried)
    budgets = sorted({cell.budget for cell in tried}, key=lambda budget: (budget is None, budget or 0))
    return [
        cell
        for method in dict.fromkeys(cell.method for cell in tried)
        for budget in budgets
        for fold in sorted({cell.fold for cell in tried})
        for seed in sorted({cell.seed for cell in tried})
        if (cell := Cell(method, fold, seed, budget)) not in known
    ]


def limits(comparison: Comparison, summary: Summary) -> list[str]:
    """One entry for everything that the design leaves open."""
    if not comparison.results:
        return ["No training finished, so nothing at all can be concluded. The reasons are under “What was run”."]
    return [
        *_trainings(comparison),
        *_test_posts(comparison, summary),
        *_gaps(comparison),
        *_comparisons(summary),
        "“Not distinguishable” does not mean equally good: the interval of the difference says how far apart the "
        "methods may be.",
        "Posts held out for validation decide when a training stops, and for some methods a weight or a checkpoint. "
        "They are no test posts, and no score in this report is from them.",
        "No method was tuned to these posts: each ran with the settings listed here. Other settings may change the "
        "order.",
        "Labels are the opinions of their annotators. No method can be told better than the labels agree with "
        "themselves, and a score says how well a method repeats them.",
        "The encoders were trained before on text and pictures from elsewhere. Whether posts of this kind were among "
        "them is not known, and it would favour the methods that use such an encoder.",
        "Other posts - of another source, language, period or rule of labelling - may rank the methods differently.",
        "Seconds and memory were measured on this machine, as it was loaded then. They compare methods with each "
        "other, not with figures from elsewhere.",
    ]


def _trainings(comparison: Comparison) -> list[str]:
    seeds = sorted({result.cell.seed for result in comparison.results})
    folds = {result.cell.fold for result in comparison.results}
    said = []
    if len(seeds) == 1 and len(folds) == 1:
        said.append(
            f"Each method was trained once (seed {seeds[0]}). How much another training would change is in no interval."
        )
    elif len(seeds) == 1:
        said.append(
            f"Each method was trained once on each fold (seed {seeds[0]}). What varies by seed cannot be told from "
            "what varies by fold."
        )
    elif len(seeds) < 5 and len(folds) == 1:
        said.append(f"Only {plural(len(seeds), 'seed')} say how much trainings vary, which is a rough measure.")
    if len(folds) == 1:
        said.append(
            "There is a single division into training and test posts. How much another one would change is not in the "
            "intervals."
        )
    else:
        said.append(
            "Folds learn from common posts, so they vary less among each other than independent experiments would. The "
            "p-values allow for it, the intervals do not."
        )
    return said


def _test_posts(comparison: Comparison, summary: Summary) -> list[str]:
    tested = len({int(number) for result in comparison.results for number in result.test})
    said = []
    reaches = [
        (found.high - found.low) / 2
        for line in summary.lines
        if line.budget == comparison.budgets[-1] and (found := line.differences.get("macro_f1"))
    ]
    if tested < FEW:
        said.append(f"Only {plural(tested, 'post')} were tested, so intervals are wide.")
    if reaches:
        least, most = score(min(reaches)), score(max(reaches))
        said.append(
            f"Differences in macro F1 smaller than about {least if least == most else f'{least} to {most}'} cannot be "
            f"seen with these posts and trainings ({budget_name(comparison.budgets[-1])})."
        )
    shared = sum(fold.shared for fold in comparison.folds)
    if shared:
        said.append(
            f"{plural(shared, 'test post')} {'shares' if shared == 1 else 'share'} a picture or a text with posts that "
            "methods learned from or were chosen on. Scores are too high by what methods remember of them."
        )
    said.append(
        "Posts count as the same where a text or the bytes of a picture are. A cropped or newly compressed picture is "
        "not noticed."
    )
    return said


def _gaps(comparison: Comparison) -> list[str]:
    said = []
    missing, failed = missing_cells(comparison), comparison.failures
    if failed:
        said.append(
            f"{plural(len(failed), 'training')} crashed ({_methods([failure.cell for failure in failed])}). Scores are "
            "from the others."
        )
    if missing:
        said.append(
            f"{plural(len(missing), 'training')} that the others would be compared with "
            f"{'is' if len(missing) == 1 else 'are'} missing ({_methods(missing)})."
        )
    if failed or missing:
        said.append(
            "Where a method lacks a training, its score is from fewer folds or seeds than that of the others. "
            "Differences use only what both methods have."
        )
    return said


def _comparisons(summary: Summary) -> list[str]:
    most = max(
        sum("macro_f1" in line.differences for line in summary.lines if line.budget == budget)
        for budget in {line.budget for line in summary.lines}
    )
    if most < 2:
        return []
    said = [
        f"Up to {most} methods were compared with {summary.reference} at each number of training posts. P-values are "
        "adjusted for that number (Holm), but not for several scores and several budgets."
    ]
    if summary.saved:
        said.append("The numbers of posts saved are read off the mean curves and have no interval.")
    return said


def _methods(cells: list[Cell]) -> str:
    return listed(list(dict.fromkeys(cell.method for cell in cells)), most=6)
