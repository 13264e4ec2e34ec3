"""The search itself: trial after trial, each a training of its own."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jointune.classifier import JointClassifier
from jointune.config import METRICS, Config, check_names
from jointune.data.label_checks import class_numbers
from jointune.data.post import Posts
from jointune.data.problems import OnBadImage, Problem, valid_policy
from jointune.data.split import identity_groups
from jointune.errors import InterruptedTraining, JointuneError, SettingsError, TooLittleMemoryError
from jointune.evaluation.scores import Metric
from jointune.evaluation.significance import Run, paired_difference
from jointune.tuning.result import InterruptedTuning, Tuned, Verdict, rank, write_report
from jointune.tuning.space import FUSIONS, make_space, rounded
from jointune.tuning.study import (
    TRIALS,
    Budget,
    begin_trial,
    end_trial,
    finished_trials,
    importance,
    objective,
    open_study,
)
from jointune.tuning.tuning_folder import STUDY, about_of, tuning_folder
from jointune.tuning.tuning_posts import divide
from jointune.utils.cache_dir import cache_limit
from jointune.utils.extras import require
from jointune.utils.progress import LineBar, QuietBar, spoken
from jointune.utils.run_folder import locking

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution


@locking("out")
def tune(
    posts: Any,
    *,
    validation: Any = None,
    out: str | Path | None = None,
    trials: int | None = None,
    time_limit: float | None = None,
    resume: bool = False,
    force: bool = False,
    fusions: Sequence[str] | None = None,
    metric: str = "accuracy",
    on_bad_image: OnBadImage = "error",
    seed: int = 0,
    progress: bool = True,
    **settings: Any,
) -> Tuned:
    """Search for the settings that suit these posts best.

    Each trial trains a ``JointClassifier`` on the same training posts, with the same seed, and scores it on the same
    validation posts. The first trial is the default recipe; Optuna's sampler proposes the others. Searched are
    ``encoder_lr``, ``head_lr``, ``fusion``, ``train_layers``, ``epochs``, ``modality_dropout``, ``label_smoothing`` and
    ``weight_decay``, as far as ``settings`` leaves them open.

    Args:
        posts: ``Posts``, a path, a list of mappings with ``text``, ``image`` and ``label``, or a data frame.
        validation: posts to score the trials on, or a fraction of ``posts`` for that, as for ``JointClassifier.fit``.
        out: folder for the study, the trials and the report; without it, nothing is kept.
        trials: their number, the default recipe included; 20 where neither it nor ``time_limit`` is given.
        time_limit: minutes after which no trial may end, as far as the mean duration of the trials so far tells.
        resume: go on with what ``out`` holds; trials and minutes spent earlier count.
        force: replace a tuning in ``out``.
        fusions: those to choose among, with a width where it is not the default one, such as ``gated:512``.
        metric: what to search for: ``accuracy``, ``macro_f1``, ``weighted_f1`` or ``log_loss``. Ties are broken by log
            loss. It also chooses between weights in each trial.
        on_bad_image: what to do about a picture that cannot be read, as for ``JointClassifier``.
        seed: of the division of the posts, of every training and of the sampler.
        progress: whether to show progress on standard error.
        settings: of ``JointClassifier``, for all trials alike; they are not searched.

    Returns:
        What was found.

    Raises:
        PostsError: posts that cannot be learned from.
        SettingsError: an argument out of range, or nothing left to search.
        EncoderError: an encoder that cannot be loaded.
        OutputError: ``out`` exists and is neither resumed nor replaced, is of another tuning, or cannot be written.
        MissingExtraError: Optuna is not installed.
        InterruptedTraining: Ctrl-C; finished trials are kept in ``out``, and the error is an ``InterruptedTuning``,
            whose ``tuned`` is what they tell.
    """
    began = time.monotonic()
    require("optuna", "tune", "tuning")
    budget = Budget(TRIALS if trials is None and time_limit is None else trials, time_limit)
    fixed = settings | {"metric": metric, "seed": seed, "on_bad_image": valid_policy(on_bad_image)}
    default = _default_recipe(fixed, fusions)
    space = make_space(fusions or FUSIONS, fixed)
    if not space:
        raise SettingsError("there is nothing left to search: leave one of the searched settings open")
    use = JointClassifier(**fixed).columns()
    learn, held, problems = divide(posts, validation, use, on_bad_image, seed, progress)
    folder = tuning_folder(Path(out), resume, force) if out is not None else None
    resumed = folder.claim(about_of(learn, held, fixed, space)) if folder else False
    study = open_study(folder.path / STUDY if folder else None, resumed)

    first = {name: default[name] for name in space}
    search = _Search(study, space, first, fixed, learn, held, problems, progress)
    try:
        ended = search.run(budget, began)
    except (KeyboardInterrupt, InterruptedTraining) as reason:
        tuned = search.result("the search was interrupted") if search.finished() else None
        if tuned and folder:
            write_report(tuned, folder.path)
        raise InterruptedTuning("tuning was interrupted; finished trials are kept", tuned) from reason
    except JointuneError:
        if folder and not search.finished():
            folder.discard()  # a mistake in the arguments should not ask for --force next time
        raise
    tuned = search.result(ended)
    if folder:
        write_report(tuned, folder.path)
    return tuned


@dataclass(frozen=True)
class _Search:
    """A study and what its trials are made of."""

    study: "Study"
    space: "dict[str, BaseDistribution]"
    default: dict[str, Any]
    fixed: dict[str, Any]
    learn: Posts
    held: Posts
    problems: list[Problem]
    progress: bool

    def finished(self) -> list[dict[str, Any]]:
        """One row a finished trial; see ``Tuned.trials``."""
        return [
            {"trial": number}
            | rounded(trial.params)
            | dict.fromkeys(METRICS)
            | trial.user_attrs.get("scores", {})
            | {"seconds": trial.user_attrs["seconds"], "error": trial.user_attrs.get("error")}
            for number, trial in enumerate(finished_trials(self.study))
        ]

    def run(self, budget: Budget, began: float) -> str:
        """Make trials until the budget is spent; why it is.

        Args:
            budget: of trials and minutes.
            began: when this tuning did, by the monotonic clock.
        """
        say = (LineBar("tuning", "trials") if self.progress else QuietBar()).line
        rows = self.finished()
        began -= sum(row["seconds"] for row in rows)
        while True:
            durations = [row["seconds"] for row in rows]
            if ended := budget.spent(durations, time.monotonic() - began):
                return ended
            of = f" of {budget.trials}" if budget.trials is not None else ""
            name = f"trial {len(rows)}{of}" if rows else f"trial 0{of}, the default recipe"
            self._try()
            rows = self.finished()
            left = budget.left([row["seconds"] for row in rows], time.monotonic() - began)
            say(f"{name}: {self._sentence(rows)}; about {spoken(left)} left")

    def result(self, ended: str) -> Tuned:
        """What the finished trials tell."""
        rows, metric = self.finished(), self.fixed["metric"]
        best = _best(rows, metric)
        return Tuned(
            best=self.fixed | {name: rows[best][name] for name in self.space},
            trials=rows,
            best_trial=best,
            importance=importance(self.study, metric, self.fixed["seed"]),
            verdict=self._verdict(best, len(rows) - 1, metric) if best else None,
            metric=metric,
            validation_posts=len(self.held),
            problems=self.problems,
            ended=ended,
        )

    def _try(self) -> None:
        """One trial."""
        trial = begin_trial(self.study, self.space, self.default, self.fixed["seed"])
        first = not self.finished()
        began = time.monotonic()
        try:
            classifier = JointClassifier(**self.fixed | rounded(trial.params), progress=self.progress)
            classifier.fit(self.learn, validation=self.held)
            scores = {name: getattr(classifier.metrics_, name) for name in METRICS}
            predicted = classifier.predict_proba(self.held).argmax(1).tolist()
        except Exception as reason:
            # Such as too little memory for one of the fusions, or rates at which the weights diverge: the others may
            # do. Where even the default recipe fails, they will not.
            if first or (isinstance(reason, JointuneError) and not isinstance(reason, TooLittleMemoryError)):
                raise
            said = f"{type(reason).__name__}: {reason}"[:500]
            end_trial(self.study, trial, None, error=said, seconds=time.monotonic() - began)
            return
        value = objective(scores, self.fixed["metric"])
        end_trial(self.study, trial, value, scores=scores, predicted=predicted, seconds=time.monotonic() - began)

    def _verdict(self, best: int, rivals: int, metric: str) -> Verdict:
        labels = self.learn.label_names
        truth = class_numbers(self.held, labels)
        stored = finished_trials(self.study)

        def run(number: int) -> Run:
            predicted = np.array(stored[number].user_attrs["predicted"])
            return Run(0, self.fixed["seed"], np.arange(len(truth)), truth, predicted, len(self.learn))

        score: Metric = "accuracy" if metric == "log_loss" else cast(Metric, metric)
        groups = np.array(identity_groups(self.held))
        difference = paired_difference([run(best)], [run(0)], score, len(labels), groups)
        return Verdict(score, difference, min(1.0, rivals * difference.p_value))

    def _sentence(self, rows: Sequence[Mapping[str, Any]]) -> str:
        last, metric = rows[-1], self.fixed["metric"]
        if last["error"]:
            return f"FAILED: {last['error']}"
        best = rows[_best(rows, metric)]
        name = metric.replace("_", " ")
        return (
            f"{name} {last[metric]:.3f} in {spoken(last['seconds'])}; best {best[metric]:.3f} (trial {best['trial']})"
        )


def _best(rows: Sequence[Mapping[str, Any]], metric: str) -> int:
    """The number of the best trial, the earliest of equals."""
    return min((row for row in rows if not row["error"]), key=lambda row: rank(row, metric))["trial"]


def _default_recipe(fixed: dict[str, Any], fusions: Sequence[str] | None) -> dict[str, Any]:
    """Every setting of the first trial; an unknown or impossible one is told before anything is trained."""
    check_names(fixed)
    if fusions is not None:
        if "fusion" in fixed:
            raise SettingsError("fusion and fusions: name the one to use, or those to choose among")
        if not fusions:
            raise SettingsError("fusions: name one at least", setting="fusions")
    config = Config(**fixed)
    if fusions and config.fusion not in fusions:
        config.fusion = fusions[0]
    cache_limit()
    return vars(config.validated())
