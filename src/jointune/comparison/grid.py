"""Run the whole grid: every method on the same posts, folds, seeds and label budgets."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from jointune.baselines.late import Mixture
from jointune.classifier import JointClassifier
from jointune.comparison.cells import Cell, CellResult, Cost, Failure, load_result, save_failure, save_result
from jointune.comparison.cluster_cells import on_cluster
from jointune.comparison.comparison import Comparison
from jointune.comparison.comparison_folder import comparison_folder, describe, open_folder
from jointune.comparison.methods import Estimator, Setup, check_encoders, chosen_methods, valid_budgets
from jointune.comparison.report.write import write_report
from jointune.comparison.worker import CellRunner, Job, run_apart
from jointune.config import Config, check_names
from jointune.data.folds import Fold, draw, fold_of_split, make_folds
from jointune.data.label_checks import label_problems
from jointune.data.post import Posts
from jointune.data.problems import OnBadImage, raise_problems, valid_policy
from jointune.data.records import as_posts
from jointune.data.split import group_notes, identity_groups
from jointune.errors import JointuneWarning, PostsError, SettingsError, setting
from jointune.evaluation.score_table import title
from jointune.modalities.check import usable
from jointune.modalities.image.first_images import FirstImages
from jointune.modalities.image.image_text import read_with_bar
from jointune.scale.ray_cluster import Workers, check_cluster, connected
from jointune.targets.choice import chosen_target
from jointune.targets.target import Target
from jointune.utils.cache_dir import cache_limit
from jointune.utils.files import clear_write_errors, remove_leftovers
from jointune.utils.progress import Bar, progress_bar, spoken
from jointune.utils.run_folder import locking, scratch_folder

Makers = Mapping[str, Callable[[int], Estimator]]
"""By method, a function from a seed to an untrained predictor."""

_FIXED_POSTS = 300
"""Posts that a cell costs beside its training posts: validation and test, however few there are to learn from."""


@locking("out")
def compare(
    posts: Any,
    *,
    methods: Sequence[str] | Makers | None = None,
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
    ray: str | None = None,
    cpus_per_worker: float = 1,
    gpus_per_worker: float = 0,
    **settings: Any,
) -> Comparison:
    """Train and test every method on the same posts, folds, seeds and numbers of training posts.

    Each cell of the grid runs in a process of its own and is stored when it is done. A cell that crashes is recorded,
    and the rest goes on.

    Args:
        posts: ``Posts``, a path, a list of mappings with ``text``, ``image`` and ``label``, or a data frame.
        methods: names, see ``jointune.comparison.methods.METHODS``; or names of one's own, each with a function that
            makes an untrained predictor from a seed. By default all that need no checkpoint which is not named.
        folds: number of stratified folds, which keep posts that share a picture or a text together; None for the one
            division that the posts' split column makes.
        seeds: number of trainings of each method on each fold; each draws its training posts anew.
        label_budgets: numbers of training posts per label; ``"all"`` or None for all of them.
        out: folder for cells and report; by default nothing is kept.
        resume: run only what ``out`` lacks. Methods, seeds and budgets may be more than before.
        force: replace a comparison in ``out``.
        clip: a CLIP checkpoint, for ``clip`` and ``clip-zero-shot``.
        visualbert: a VisualBERT checkpoint for ``visualbert``; the text encoder by default.
        prompts: for ``clip-zero-shot``: a template with ``{label}``, or a prompt for each label.
        on_bad_image: what to do about a picture that cannot be read, for all methods alike: ``error``, ``skip`` the
            post, or go on as if it were ``missing``.
        progress: whether to show progress on standard error.
        ray: address of a Ray cluster, on which as many cells run at a time as there is room for.
        cpus_per_worker: cores of each cell there.
        gpus_per_worker: GPUs of each cell there.
        settings: of ``JointClassifier``, for all methods that it is part of.

    Returns:
        The comparison, of all cells in ``out``.

    Raises:
        PostsError: the posts cannot be compared on.
        EncoderError: an encoder or a checkpoint cannot be found or loaded.
        SettingsError: an argument is out of range.
        OutputError: ``out`` exists and is neither resumed nor replaced, or is of another comparison.
        InterruptedTraining: Ctrl-C; finished cells are kept in ``out``.
        ClusterError: no cluster answers at ``ray``.
    """
    workers = Workers(cpus=cpus_per_worker, gpus=gpus_per_worker).checked()
    if ray is not None:
        check_cluster(ray)
    if "seed" in settings:
        raise SettingsError("seed: a comparison chooses the seeds itself", "say how many with seeds", setting="seed")
    check_names(settings)
    Config(**settings).validated()
    cache_limit()
    setup, target = Setup(settings, clip, visualbert, prompts), chosen_target(settings)
    makers = _makers(methods, setup)
    budgets = valid_budgets(label_budgets)
    if not target.named and budgets != [None]:
        raise SettingsError(
            f"{setting('label_budgets')}: {setting('target', target.name)} has no labels to draw posts of",
            "learn from all posts",
            setting="label_budgets",
        )
    if seeds < 1:
        raise SettingsError(f"{setting('seeds', seeds)}: at least one is needed", setting="seeds")
    posts = as_posts(posts, use=JointClassifier(**settings).columns(), labelled=True)
    if not posts:
        raise PostsError(f"{posts.name}: no posts to compare on")
    raise_problems(list(label_problems(posts, asked=target)), posts.name)
    if folds is not None and any(post.split is not None for post in posts):
        note = f"{posts.name}: the split that the posts carry is not used; with folds=None it would divide them"
        warnings.warn(note, JointuneWarning, stacklevel=3)
    for note in group_notes(posts):
        warnings.warn(note, JointuneWarning, stacklevel=3)
    images = Config(**settings)
    first_images = FirstImages(images.max_images)
    posts, problems = usable(first_images.of(posts), valid_policy(on_bad_image), images.frames)
    for note in first_images.notes:
        warnings.warn(f"{posts.name}: {note}", JointuneWarning, stacklevel=3)
    groups = identity_groups(posts)
    if folds is None:
        divided = [fold_of_split(posts, groups, asked=target)]
    else:
        divided = make_folds(posts, folds, groups, asked=target)
    own_methods = isinstance(methods, Mapping)
    if not own_methods:
        check_encoders(makers, setup, target.names(posts))

    with scratch_folder("compare") as scratch:
        folder = Path(out) if out else scratch / "report"
        about = describe(posts, divided, folds, setup)
        if problems:
            about["posts"] |= {"on bad image": on_bad_image, "affected": len(problems)}
        open_folder(comparison_folder(folder, resume, force), about)
        if settings.get("read_image_text"):
            # Once and before the grid, so that no method's seconds include it.
            posts = Posts(read_with_bar(posts, progress, images.frames), posts.name)
        grid = [
            Cell(name, fold.number, seed, budget)
            for fold in divided
            for seed in range(seeds)
            for budget in budgets
            for name in sorted(makers, key=lambda name: name == "late")  # it is made of finished cells
        ]
        late_metric = None if own_methods else target.check_metric(settings.get("metric"))
        fitted, cells = target.fitted(posts), folder / "cells"
        with connected(ray, workers) as cluster, progress_bar("comparing", "cells", progress) as bar:
            runner = (
                on_cluster(cluster) if cluster else CellRunner(lambda jobs, bar: (run_apart(job, bar) for job in jobs))
            )
            _run_grid(grid, makers, divided, posts, fitted, cells, late_metric, runner, bar)
        comparison = replace(Comparison.load(folder, posts, groups, divided), problems=tuple(problems))
        if out:
            write_report(comparison, folder)
        return comparison


def _makers(methods: Sequence[str] | Makers | None, setup: Setup) -> Makers:
    if isinstance(methods, Mapping):
        if not methods or not all(callable(make) for make in methods.values()):
            raise SettingsError(
                "methods: give names, or a function from a seed to a predictor for each name", setting="methods"
            )
        return dict(methods)
    chosen = chosen_methods(list(methods) if methods is not None else None, setup)
    return {name: partial(method.make, setup) for name, method in chosen.items()}


def _run_grid(
    grid: list[Cell],
    makers: Makers,
    divided: list[Fold],
    posts: Posts,
    target: Target,
    folder: Path,
    late_metric: str | None,
    runner: CellRunner,
    bar: Bar,
) -> None:
    """Run the cells that ``folder`` lacks; without ``late_metric``, ``late`` is a method of one's own."""
    labels, truth = tuple(target.labels), target.encode(posts)
    sizes = {cell: len(draw(posts, divided[cell.fold].train, cell.budget, cell.seed, target)) for cell in grid}
    with clear_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
    done = {cell: result for cell in grid if (result := load_result(cell, folder))}
    bar.start(len(grid), len(done))

    def jobs(cells: Iterable[Cell]) -> Iterator[Job]:
        for cell in cells:
            fold, make = divided[cell.fold], partial(makers[cell.method], cell.seed)
            bar.note(str(cell))
            train = draw(posts, fold.train, cell.budget, cell.seed, target)
            yield Job(cell, make, posts, labels, train, fold.validation, fold.test, folder)

    def finish(outcome: CellResult | Failure) -> None:
        cell = outcome.cell
        if isinstance(outcome, Failure):
            save_failure(outcome, folder)
            del sizes[cell]
            bar.line(f"FAILED {cell}: {outcome.reason}")
        else:
            done[cell] = outcome
            tuned, first = target.tuned(truth[outcome.validation], outcome.validation_scores), target.compared[0]
            value = getattr(tuned.metrics(truth[outcome.test], outcome.test_scores), first)
            took = spoken(outcome.cost.train_seconds)
            bar.line(f"{len(done)} of {len(grid)}: {cell}: {title(first)} {value:.3f}, trained in {took}")
        bar.note("")
        if done:
            left = time_left({cell: _seconds(result) for cell, result in done.items()}, sizes)
            bar.expect(left / runner.at_once)
        bar.advance()

    waiting = [cell for cell in grid if cell not in done]
    of_parts = [cell for cell in waiting if late_metric and cell.method == "late"]
    for outcome in runner.run(jobs(cell for cell in waiting if cell not in of_parts), bar):
        finish(outcome)
    alone = []
    for cell in of_parts:
        made = _late_from_parts(cell, truth, late_metric or "", folder)
        if made:
            finish(made)
        else:
            alone.append(cell)
    for outcome in runner.run(jobs(alone), bar):
        finish(outcome)


def _run_here(jobs: Iterable[Job], bar: Bar) -> Iterator[CellResult | Failure]:
    return (run_apart(job, bar) for job in jobs)


def _late_from_parts(cell: Cell, truth: np.ndarray, metric: str, folder: Path) -> CellResult | None:
    """Make late fusion from the finished cells ``text`` and ``image`` of the same run, if both are there."""
    text, image = (load_result(replace(cell, method=name), folder) for name in ("text", "image"))
    if not text or not image:
        return None
    mixture = Mixture.fitted(truth[text.validation], text.validation_scores, image.validation_scores, metric)

    def both(name: str, combine: Callable[[Iterable[Any]], Any] = sum) -> Any:
        values = [getattr(part.cost, name) for part in (text, image)]
        return None if None in values else combine(values)

    result = replace(
        text,
        cell=cell,
        validation_scores=mixture(text.validation_scores, image.validation_scores),
        test_scores=mixture(text.test_scores, image.test_scores),
        cost=Cost(
            both("trained_parameters"),
            both("train_seconds"),
            both("predict_seconds"),
            both("peak_memory", max),
            both("peak_gpu_memory", max),
            both("train_cpu_seconds"),
        ),
        log=[],
        details={"weight of text": mixture.weight, "temperature of the average": mixture.temperature},
    )
    save_result(result, folder)
    return result


def _seconds(result: CellResult) -> float:
    from_parts = "weight of text" in result.details
    return 0.0 if from_parts else result.cost.train_seconds + result.cost.predict_seconds


def time_left(seconds: Mapping[Cell, float], sizes: Mapping[Cell, int]) -> float:
    """Estimate the seconds that the cells without a time will take, in proportion to their training posts.

    Args:
        seconds: of each finished cell.
        sizes: training posts of each cell of the grid that has finished or is still to be run.
    """
    total = 0.0
    for cell in sizes.keys() - seconds.keys():
        known = [other for other in seconds if other.method == cell.method] or list(seconds)
        alike = [other for other in known if other.budget == cell.budget and other.method == cell.method] or known
        total += mean(seconds[one] * (sizes[cell] + _FIXED_POSTS) / (sizes[one] + _FIXED_POSTS) for one in alike)
    return total
