"""The whole grid: every method on the same posts, folds, seeds and label budgets."""

import hashlib
import json
import pickle
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from jointune import __version__
from jointune.baselines.late import choose_weight, class_numbers, mix
from jointune.comparison.cells import (
    Cell,
    CellResult,
    Cost,
    Failure,
    load_result,
    save_failure,
    save_result,
    stored_failures,
    stored_results,
)
from jointune.comparison.methods import METHODS, Predictor, Setup, chosen_methods
from jointune.comparison.protocol import VALIDATION, Budget, Fold, draw, fold_of_split, make_folds
from jointune.comparison.result import Comparison
from jointune.comparison.timing import time_left
from jointune.comparison.worker import Job
from jointune.errors import InterruptedTraining, OutputError, PostsError, SettingsError
from jointune.files import COMPARISON_MARK, atomic_file, refuse_existing
from jointune.posts.check import check_posts, label_problems
from jointune.posts.post import Posts
from jointune.posts.problems import OnBadImage, raise_problems, valid_policy
from jointune.posts.read import as_posts
from jointune.posts.split import identity_groups
from jointune.progress import Bar, progress_bar
from jointune.report.comparison import write_report

FORMAT = 1
"""Raised when an older jointune could no longer read the cells."""


def compare(
    posts: Any,
    *,
    methods: Sequence[str] | Mapping[str, Callable[[int], Predictor]] | None = None,
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
    """Train and test every method on the same posts, folds, seeds and label budgets.

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
        SettingsError: an argument out of range.
        OutputError: ``out`` exists and is neither resumed nor replaced, or is of another comparison.
        InterruptedTraining: Ctrl-C; finished cells are kept in ``out``.
    """
    if "seed" in settings:
        raise SettingsError("seed: a comparison chooses the seeds itself; say how many with seeds")
    setup = Setup(settings, clip, visualbert, prompts)
    made = _methods(methods, setup)
    budgets = [_budget(budget) for budget in label_budgets]
    if seeds < 1 or not budgets:
        raise SettingsError(f"seeds={seeds}, label_budgets={list(label_budgets)}: one at least of each")
    _check_settings(settings)
    posts = _usable(as_posts(posts), valid_policy(on_bad_image))
    groups = identity_groups(posts)
    divided = [fold_of_split(posts, groups)] if folds is None else make_folds(posts, folds, groups)

    with tempfile.TemporaryDirectory(prefix="jointune-compare-") as scratch:
        folder = Path(out) if out else Path(scratch) / "report"
        about = _about(posts, divided, folds, setup)
        _open_folder(folder, about, resume, force)
        grid = [
            Cell(name, fold.number, seed, budget)
            for fold in divided
            for seed in range(seeds)
            for budget in budgets
            for name in _late_last(made)
        ]
        with progress_bar("comparing", "cells", progress) as bar:
            _run_grid(grid, made, divided, posts, folder / "cells", Path(scratch), bar)
        comparison = collect(folder, posts, groups, divided)
        if out:
            write_report(comparison, folder)
        return comparison


def collect(folder: Path, posts: Posts, groups: Sequence[int], divided: Sequence[Fold]) -> Comparison:
    """Everything that is stored of a comparison."""
    about = json.loads((folder / COMPARISON_MARK).read_text(encoding="utf-8"))
    results = list(stored_results(folder / "cells"))
    failures = list(stored_failures(folder / "cells"))
    return Comparison(about, posts, tuple(groups), tuple(divided), results, failures)


def _run_grid(
    grid: list[Cell],
    made: dict[str, Callable[[int], Predictor]],
    divided: list[Fold],
    posts: Posts,
    folder: Path,
    scratch: Path,
    bar: Bar,
) -> None:
    """Run what ``folder`` lacks."""
    labels = tuple(sorted({str(label) for label in posts.labels}))
    sizes = {cell: len(draw(posts, divided[cell.fold].learn, cell.budget, cell.seed)) for cell in grid}
    folder.mkdir(parents=True, exist_ok=True)
    stored = scratch / "posts.pickle"
    stored.write_bytes(_pickled(Posts(posts, posts.name)))
    done = {cell: found for cell in grid if (found := load_result(cell, folder))}
    bar.start(len(grid), len(done))
    for cell in [cell for cell in grid if cell not in done]:
        fold = divided[cell.fold]
        bar.note(str(cell))
        if cell.method == "late" and (parts := _parts_of_late(cell, folder)):
            outcome: CellResult | Failure = _late_of(cell, parts, posts, labels, folder)
        else:
            learn = draw(posts, fold.learn, cell.budget, cell.seed)
            make = partial(made[cell.method], cell.seed)
            job = Job(cell, make, stored, labels, learn, fold.check, fold.test, folder)
            outcome = _run_apart(job, scratch, bar)
        bar.advance()
        if isinstance(outcome, Failure):
            save_failure(outcome, folder)
            bar.line(f"FAILED {cell}: {outcome.reason}")
            continue
        done[cell] = outcome
        left = time_left({c: r.cost.train_seconds + r.cost.predict_seconds for c, r in done.items()}, sizes)
        bar.line(f"{len(done)} of {len(grid)}: {_sentence(outcome, posts, labels)}{left}")


def _run_apart(job: Job, scratch: Path, bar: Bar) -> CellResult | Failure:
    """Run a cell in a new process, showing the last line that it prints."""
    path = scratch / "job.pickle"
    path.write_bytes(pickle.dumps(sys.path) + _pickled(job))
    last: deque[str] = deque(maxlen=60)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "jointune.comparison.worker", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        assert process.stdout is not None, "it is a pipe"
        for line in process.stdout:
            last.append(line.rstrip())
            bar.note(f"{job.cell}: {line.strip()}")
        code = process.wait()
    except KeyboardInterrupt:
        raise InterruptedTraining("the comparison was interrupted; finished cells are kept") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    result = load_result(job.cell, job.folder) if code == 0 else None
    if result:
        return result
    ended = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    reason = next((line for line in reversed(last) if line.strip()), "it printed nothing")
    return Failure(job.cell, f"{reason} ({ended})", "\n".join(last))


def _parts_of_late(cell: Cell, folder: Path) -> tuple[CellResult, CellResult] | None:
    """Text alone and picture alone of the same run, where both are at hand: nothing is trained twice."""
    text, image = (load_result(Cell(name, cell.fold, cell.seed, cell.budget), folder) for name in ("text", "image"))
    return (text, image) if text and image else None


def _late_of(
    cell: Cell, parts: tuple[CellResult, CellResult], posts: Posts, labels: tuple[str, ...], folder: Path
) -> CellResult:
    text, image = parts
    truth = class_numbers([posts[index].label for index in text.check], labels)
    weight = choose_weight(truth, text.check_scores, image.check_scores)

    def both(name: str, add: Callable[[Any, Any], Any]) -> Any:
        first, second = getattr(text.cost, name), getattr(image.cost, name)
        return None if first is None or second is None else add(first, second)

    cost = Cost(
        both("trained_parameters", lambda a, b: a + b),
        text.cost.train_seconds + image.cost.train_seconds,
        text.cost.predict_seconds + image.cost.predict_seconds,
        both("peak_memory", max),
        both("peak_gpu_memory", max),
    )
    result = CellResult(
        cell,
        text.learned,
        text.check,
        mix(text.check_scores, image.check_scores, weight).astype("float32"),
        text.test,
        mix(text.test_scores, image.test_scores, weight).astype("float32"),
        cost,
        [],
        {"weight of text": weight},
    )
    save_result(result, folder)
    return result


def _methods(
    methods: Sequence[str] | Mapping[str, Callable[[int], Predictor]] | None, setup: Setup
) -> dict[str, Callable[[int], Predictor]]:
    """A function from the seed to an untrained predictor, for each method."""
    if isinstance(methods, Mapping):
        if not methods or not all(callable(make) for make in methods.values()):
            raise SettingsError("methods: give names, or a function from a seed to a predictor for each name")
        return dict(methods)
    chosen = chosen_methods(list(methods) if methods is not None else None, setup)
    return {name: partial(method.make, setup) for name, method in chosen.items()}


def _late_last(names: Mapping[str, Any]) -> list[str]:
    """``late`` is put together from ``text`` and ``image`` where these are there."""
    return sorted(names, key=lambda name: name == "late")


def _budget(budget: int | str | None) -> Budget:
    if budget is None or budget == "all":
        return None
    try:
        number = int(budget)
    except ValueError:
        number = 0
    if number < 1:
        raise SettingsError(f"label_budgets: {budget!r} is neither a number of posts a label nor 'all'")
    return number


def _check_settings(settings: dict[str, Any]) -> None:
    """An unknown or impossible setting is told before the first cell, not by each."""
    from jointune.classifier import JointClassifier

    known = JointClassifier().get_params()
    for name in settings:
        if name not in known:
            raise SettingsError(f"{name}: no setting of JointClassifier (there are: {', '.join(sorted(known))})")
    JointClassifier(**settings).recipe()


def _usable(posts: Posts, policy: OnBadImage) -> Posts:
    """The posts that all methods see: those with a bad picture are left out or stripped of it, for all alike."""
    if not posts:
        raise PostsError(f"{posts.name}: no posts to compare on")
    problems = list(check_posts(posts, policy="error"))
    raise_problems(list(label_problems(posts)), posts.name)
    raise_problems(problems if policy == "error" else list(check_posts(posts, policy=policy)), posts.name)
    if not problems:
        return posts
    bad = {problem.where for problem in problems}
    if policy == "skip":
        return Posts((post for post in posts if post.where not in bad), posts.name)
    return Posts((replace(post, image=None) if post.where in bad else post for post in posts), posts.name)


def _open_folder(folder: Path, about: dict[str, Any], resume: bool, force: bool) -> None:
    """Begin a comparison's folder, or see that it belongs to this comparison."""
    mark = folder / COMPARISON_MARK
    if resume and mark.exists():
        found = json.loads(mark.read_text(encoding="utf-8"))
        same = ("format", "posts", "protocol", "setup", "versions")
        differing = [name for name in same if found.get(name) != json.loads(json.dumps(about[name]))]
        if differing:
            raise OutputError(
                f"{folder} holds a comparison with other {' and '.join(differing)}: resume with the same, choose "
                "another --out, or replace it with --force"
            )
        return
    if folder.exists() and any(folder.iterdir()):
        refuse_existing(folder, force, COMPARISON_MARK)
        for path in sorted((folder / "cells").glob("*")):
            path.unlink()
    else:
        refuse_existing(folder, True, COMPARISON_MARK)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(mark) as path:
        path.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _about(posts: Posts, divided: list[Fold], folds: int | None, setup: Setup) -> dict[str, Any]:
    """What a comparison is of: as much as must agree for its cells to be compared, and what a report says of it."""
    from jointune.bundle import versions

    digest = hashlib.sha256()
    for post in posts:
        image = str(post.image) if isinstance(post.image, Path) else ""
        digest.update(repr((post.text, image, post.label, post.split)).encode())
    return {
        "format": FORMAT,
        "posts": {"name": posts.name, "number": len(posts), "sha256": digest.hexdigest()},
        "protocol": {
            "folds": len(divided),
            "divided by": "split column"
            if folds is None
            else "stratified folds, identical pictures and texts together",
            "validation": VALIDATION,
            "sizes": [[len(fold.learn), len(fold.check), len(fold.test)] for fold in divided],
        },
        "setup": {
            "settings": {
                name: value if isinstance(value, (int, float, str)) else str(value)
                for name, value in setup.settings.items()
            },
            "clip": setup.clip,
            "visualbert": setup.visualbert,
            "prompts": setup.prompts,
        },
        "versions": {
            name: number for name, number in versions().items() if name in ("jointune", "torch", "transformers")
        },
        "environment": versions(),
        "methods": {name: method.about for name, method in METHODS.items()},
        "jointune": __version__,
    }


def _pickled(value: Any) -> bytes:
    """cloudpickle, so that a method of one's own may be defined in a notebook."""
    import cloudpickle

    return bytes(cloudpickle.dumps(value))


def _sentence(result: CellResult, posts: Posts, labels: tuple[str, ...]) -> str:
    truth = class_numbers([posts[index].label for index in result.test], labels)
    accuracy = (result.test_scores.argmax(1) == truth).mean()
    return f"{result.cell}: accuracy {accuracy:.3f} in {result.cost.train_seconds:.0f} s"
