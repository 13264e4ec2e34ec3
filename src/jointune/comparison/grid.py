"""The whole grid: every method on the same posts, folds, seeds and numbers of training posts."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from jointune.classifier import JointClassifier
from jointune.comparison.cells import (
    Cell,
    CellResult,
    Failure,
    load_result,
    save_failure,
    stored_failures,
    stored_results,
)
from jointune.comparison.comparison import Comparison
from jointune.comparison.comparison_folder import about_of, claim, comparison_folder
from jointune.comparison.late_cells import WEIGHT, late_of, parts_of_late
from jointune.comparison.methods import Estimator, Setup, chosen_methods
from jointune.comparison.protocol import Fold, budgets_of, draw, fold_of_split, make_folds
from jointune.comparison.refusals import check_encoders, check_labels, check_settings
from jointune.comparison.report.write import write_report
from jointune.comparison.worker import Job, run_apart
from jointune.data.label_checks import class_numbers, label_problems
from jointune.data.post import Posts
from jointune.data.problems import OnBadImage, raise_problems, valid_policy
from jointune.data.records import as_posts
from jointune.data.split import identity_groups
from jointune.errors import JointuneWarning, PostsError, SettingsError, setting
from jointune.modalities.check import usable
from jointune.modalities.image.image_text import read_with_bar
from jointune.utils.files import clear_write_errors, remove_leftovers
from jointune.utils.progress import Bar, progress_bar, spoken
from jointune.utils.run_folder import locking, scratch_folder


@locking("out")
def compare(
    posts: Any,
    *,
    methods: Sequence[str] | Mapping[str, Callable[[int], Estimator]] | None = None,
    folds: int | None = 5,
    seeds: int = 1,
    label_budgets: Sequence[int | str | None] = ("all",),
    out: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    clip: str | None = None,
    visualbert: str | None = None,
    prompts: str | dict[str, str] | None = None,
    on_bad_image: OnBadImage = "error",
    progress: bool = True,
    **settings: Any,
) -> Comparison:
    """Train and test every method on the same posts, folds, seeds and numbers of training posts.

    Each cell of the grid runs in a process of its own and is stored when it is done. A cell that crashes is recorded,
    and the rest goes on.

    Args:
        posts: ``Posts``, a path, a list of mappings with ``text``, ``image`` and ``label``, or a data frame.
        methods: names, see ``jointune.comparison.methods.METHODS``; or names of one's own to functions that make an
            untrained predictor from a seed. By default all that need no checkpoint which is not named.
        folds: number of folds, stratified, in which posts that share a picture or a text stay together; None for the
            one division that the posts' split column makes.
        seeds: number of trainings of each method on each fold; each with its own draw of training posts.
        label_budgets: numbers of training posts a label; ``"all"`` or None for all of them.
        out: folder for cells and report; without it, nothing is kept.
        resume: run only what ``out`` lacks. Methods, seeds and budgets may be more than before.
        force: replace a comparison in ``out``.
        clip: a CLIP checkpoint, for ``clip`` and ``clip-zero-shot``.
        visualbert: a VisualBERT checkpoint for ``visualbert``; the text encoder by default.
        prompts: for ``clip-zero-shot``: a template with ``{label}``, or a prompt for each label.
        on_bad_image: what to do about a picture that cannot be read: ``error``, ``skip`` the post, or go on as if it
            were ``missing``: for all methods alike.
        progress: whether to show progress on standard error.
        settings: of ``JointClassifier``, for all methods that it is part of.

    Returns:
        The comparison, of all cells in ``out``.

    Raises:
        PostsError: posts that cannot be compared on.
        EncoderError: an encoder or a checkpoint cannot be found or loaded.
        SettingsError: an argument out of range.
        OutputError: ``out`` exists and is neither resumed nor replaced, or is of another comparison.
        InterruptedTraining: Ctrl-C; finished cells are kept in ``out``.
    """
    check_settings(settings)
    setup = Setup(settings, clip, visualbert, prompts)
    made = _methods(methods, setup)
    budgets = budgets_of(label_budgets)
    if seeds < 1:
        raise SettingsError(f"{setting('seeds', seeds)}: one at least", setting="seeds")
    posts = as_posts(posts, use=JointClassifier(**settings).columns(), labelled=True)
    if not posts:
        raise PostsError(f"{posts.name}: no posts to compare on")
    raise_problems(list(label_problems(posts)), posts.name)
    if folds is not None and any(post.split is not None for post in posts):
        note = f"{posts.name}: the split that the posts carry is not used; with folds=None it would divide them"
        warnings.warn(note, JointuneWarning, stacklevel=3)
    posts, problems = usable(posts, valid_policy(on_bad_image))
    groups = identity_groups(posts)
    divided = [fold_of_split(posts, groups)] if folds is None else make_folds(posts, folds, groups)
    check_labels(posts, divided)
    if not isinstance(methods, Mapping):
        check_encoders(made, setup, posts.label_names)

    with scratch_folder("compare") as scratch:
        folder = Path(out) if out else scratch / "report"
        about = about_of(posts, divided, folds, setup)
        if problems:
            about["posts"] |= {"on bad image": on_bad_image, "affected": len(problems)}
        claim(comparison_folder(folder, resume, force), about)
        if settings.get("read_image_text"):
            # Once and before the grid: no method's seconds are to hold it.
            posts = Posts(read_with_bar(posts, progress), posts.name)
        grid = [
            Cell(name, fold.number, seed, budget)
            for fold in divided
            for seed in range(seeds)
            for budget in budgets
            for name in _late_last(made)
        ]
        with progress_bar("comparing", "cells", progress) as bar:
            late = None if isinstance(methods, Mapping) else str(settings.get("metric", "accuracy"))
            _run_grid(grid, made, divided, posts, folder / "cells", late, bar)
        comparison = replace(collect(folder, posts, groups, divided), problems=tuple(problems))
        if out:
            write_report(comparison, folder)
        return comparison


def collect(folder: Path, posts: Posts, groups: Sequence[int], divided: Sequence[Fold]) -> Comparison:
    """Everything that is stored of a comparison."""
    about = comparison_folder(folder).fingerprint()
    results = list(stored_results(folder / "cells"))
    failures = list(stored_failures(folder / "cells"))
    return Comparison(about, posts, tuple(groups), tuple(divided), results, failures)


def _run_grid(
    grid: list[Cell],
    made: dict[str, Callable[[int], Estimator]],
    divided: list[Fold],
    posts: Posts,
    folder: Path,
    late: str | None,
    bar: Bar,
) -> None:
    """Run what ``folder`` lacks; ``late`` is the metric for putting ``late`` together, None where it is one's own."""
    labels = tuple(posts.label_names)
    truth = class_numbers(posts, labels)
    sizes = {cell: len(draw(posts, divided[cell.fold].learn, cell.budget, cell.seed)) for cell in grid}
    with clear_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
    done = {cell: found for cell in grid if (found := load_result(cell, folder))}
    bar.start(len(grid), len(done))
    for cell in [cell for cell in grid if cell not in done]:
        fold = divided[cell.fold]
        bar.note(str(cell))
        if late and cell.method == "late" and (parts := parts_of_late(cell, folder)):
            outcome: CellResult | Failure = late_of(cell, parts, truth, late, folder)
        else:
            learn = draw(posts, fold.learn, cell.budget, cell.seed)
            make = partial(made[cell.method], cell.seed)
            job = Job(cell, make, posts, labels, learn, fold.check, fold.test, folder)
            outcome = run_apart(job, bar)
        if isinstance(outcome, Failure):
            save_failure(outcome, folder)
            del sizes[cell]
            bar.line(f"FAILED {cell}: {outcome.reason}")
        else:
            done[cell] = outcome
            bar.line(f"{len(done)} of {len(grid)}: {_sentence(outcome, truth)}")
        took = {
            c: 0.0 if WEIGHT in r.details else r.cost.train_seconds + r.cost.predict_seconds for c, r in done.items()
        }
        bar.note("")
        if took:
            bar.expect(time_left(took, sizes))
        bar.advance()


def _methods(
    methods: Sequence[str] | Mapping[str, Callable[[int], Estimator]] | None, setup: Setup
) -> dict[str, Callable[[int], Estimator]]:
    """A function from the seed to an untrained predictor, for each method."""
    if isinstance(methods, Mapping):
        if not methods or not all(callable(make) for make in methods.values()):
            raise SettingsError(
                "methods: give names, or a function from a seed to a predictor for each name", setting="methods"
            )
        return dict(methods)
    chosen = chosen_methods(list(methods) if methods is not None else None, setup)
    return {name: partial(method.make, setup) for name, method in chosen.items()}


def _late_last(names: Mapping[str, Any]) -> list[str]:
    """``late`` is put together from ``text`` and ``image`` where these are there."""
    return sorted(names, key=lambda name: name == "late")


def _sentence(result: CellResult, truth: np.ndarray) -> str:
    accuracy = (result.test_scores.argmax(1) == truth[result.test]).mean()
    return f"{result.cell}: accuracy {accuracy:.3f}, trained in {spoken(result.cost.train_seconds)}"


def time_left(seconds: Mapping[Cell, float], sizes: Mapping[Cell, int]) -> float:
    """Seconds that the cells without a time will take, from the nearest that have one.

    Args:
        seconds: of each finished cell.
        sizes: training posts of each cell of the grid that has finished or is still to be run.
    """
    return sum(_expected(cell, seconds, sizes) for cell in sizes if cell not in seconds)


def _expected(cell: Cell, seconds: Mapping[Cell, float], sizes: Mapping[Cell, int]) -> float:
    """Of the same method and budget; else of the same method, or of any, in proportion to the training posts."""
    alike = [took for c, took in seconds.items() if (c.method, c.budget) == (cell.method, cell.budget)]
    if alike:
        return mean(alike)
    same = [c for c in seconds if c.method == cell.method] or list(seconds)
    # Validation and test posts cost as well, however few there are to learn from.
    return mean(seconds[c] * (sizes[cell] + _FIXED) / (sizes[c] + _FIXED) for c in same)


_FIXED = 300
