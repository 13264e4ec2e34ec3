"""State what a comparison does not allow to conclude."""

from jointune.comparison.cells import Cell
from jointune.comparison.comparison import Comparison
from jointune.comparison.summary import Summary
from jointune.output.pages.figures import budget_name, listed, score
from jointune.utils.wording import counted

FEW = 300
"""Test posts below which their number is called small."""

_ALWAYS = (
    "“Not distinguishable” does not mean equally good: the interval of the difference says how far apart the methods "
    "may be.",
    "Posts held out for validation decide when a training stops, and for some methods a weight or a checkpoint. They "
    "are no test posts, and no score in this report is from them.",
    "No method was tuned to these posts: each ran with the settings listed here. Other settings may change the order.",
    "Labels are the opinions of their annotators. No method can be shown to be better than the labels agree with "
    "themselves, and a score says how well a method repeats them.",
    "The encoders were trained before on text and pictures from elsewhere. It is not known whether posts of this kind "
    "were among them; that would favour the methods that use such an encoder.",
    "Other posts - of another source, language, period or rule of labelling - may rank the methods differently.",
    "Seconds and memory were measured on this machine, as it was loaded then. They compare methods with each other, "
    "not with figures from elsewhere.",
)


def tried_cells(comparison: Comparison) -> list[Cell]:
    """Return the cells that finished, then those that crashed."""
    return [*(result.cell for result in comparison.results), *(failure.cell for failure in comparison.failures)]


def budgets_of(cells: list[Cell]) -> list[int | None]:
    """Return the budgets of cells, ascending, None last."""
    return sorted({cell.budget for cell in cells}, key=lambda budget: (budget is None, budget or 0))


def limits(comparison: Comparison, summary: Summary) -> list[str]:
    """State everything that the design leaves open, one entry each."""
    if not comparison.results:
        return ["No training finished, so nothing at all can be concluded. The reasons are under “What was run”."]
    return [
        *_trainings(comparison),
        *_test_posts(comparison, summary),
        *_gaps(comparison),
        *_comparisons(summary),
        *_ALWAYS,
    ]


def _trainings(comparison: Comparison) -> list[str]:
    seeds = sorted({result.cell.seed for result in comparison.results})
    one_fold = len({result.cell.fold for result in comparison.results}) == 1
    sentences = []
    if len(seeds) == 1 and one_fold:
        sentences.append(
            f"Each method was trained once (seed {seeds[0]}). How much another training would change is in no interval."
        )
    elif len(seeds) == 1:
        sentences.append(
            f"Each method was trained once on each fold (seed {seeds[0]}). What varies by seed cannot be told from "
            "what varies by fold."
        )
    elif len(seeds) < 5 and one_fold:
        sentences.append(f"Only {counted(len(seeds), 'seed')} say how much trainings vary, which is a rough measure.")
    sentences.append(
        "There is a single division into training and test posts. How much another one would change is not in the "
        "intervals."
        if one_fold
        else "Folds learn from common posts, so they vary less than independent experiments would. The p-values allow "
        "for it, the intervals do not."
    )
    return sentences


def _test_posts(comparison: Comparison, summary: Summary) -> list[str]:
    tested = len({int(index) for result in comparison.results for index in result.test})
    differences = [line.difference for line in summary.at(comparison.budgets[-1])]
    reaches = [(difference.high - difference.low) / 2 for difference in differences if difference]
    sentences = []
    if tested < FEW:
        sentences.append(f"Only {counted(tested, 'post')} were tested, so intervals are wide.")
    if reaches:
        least, most = score(min(reaches)), score(max(reaches))
        sentences.append(
            f"Differences in {summary.main} smaller than about {least if least == most else f'{least} to {most}'} "
            f"cannot be seen with these posts and trainings ({budget_name(comparison.budgets[-1])})."
        )
    if shared := sum(fold.shared for fold in comparison.folds):
        sentences.append(
            f"{counted(shared, 'test post shares', 'test posts share')} a picture or a text with posts that methods "
            "learned from or were chosen on. Scores are too high by what methods remember of them."
        )
    sentences.append(
        "Posts count as the same if they share a text or the bytes of a picture. A cropped or newly compressed picture "
        "is not noticed."
    )
    return sentences


def _gaps(comparison: Comparison) -> list[str]:
    sentences = []
    missing, failed = _missing_cells(comparison), [failure.cell for failure in comparison.failures]
    if failed:
        sentences.append(
            f"{counted(len(failed), 'training')} crashed ({_methods(failed)}). Scores are from the others."
        )
    if missing:
        sentences.append(
            f"{counted(len(missing), 'training')} that the others would be compared with "
            f"{'is' if len(missing) == 1 else 'are'} missing ({_methods(missing)})."
        )
    if failed or missing:
        sentences.append(
            "If a method lacks a training, its score is from fewer folds or seeds than that of the others. Differences "
            "use only trainings that both methods have."
        )
    return sentences


def _missing_cells(comparison: Comparison) -> list[Cell]:
    """Return the cells that neither finished nor crashed, of the grid that the others span."""
    tried = tried_cells(comparison)
    known = set(tried)
    return [
        cell
        for method in dict.fromkeys(cell.method for cell in tried)
        for budget in budgets_of(tried)
        for fold in sorted({cell.fold for cell in tried})
        for seed in sorted({cell.seed for cell in tried})
        if (cell := Cell(method, fold, seed, budget)) not in known
    ]


def _comparisons(summary: Summary) -> list[str]:
    budgets = {line.budget for line in summary.lines}
    most = max(sum(line.difference is not None for line in summary.at(budget)) for budget in budgets)
    if most < 2:
        return []
    sentences = [
        f"Up to {most} methods were compared with {summary.reference} at each number of training posts. P-values are "
        "adjusted for that number (Holm), but not for several scores and several budgets."
    ]
    if summary.saved:
        sentences.append("The numbers of posts saved are read off the mean curves and have no interval.")
    return sentences


def _methods(cells: list[Cell]) -> str:
    return listed(list(dict.fromkeys(cell.method for cell in cells)), most=6)
