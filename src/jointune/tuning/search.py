"""The search: Optuna proposes settings, and each trial trains a classifier with them."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jointune.config import Config, check_names
from jointune.data.fingerprints import posts_digest
from jointune.data.problems import OnBadImage, valid_policy
from jointune.data.split import identity_groups
from jointune.errors import InterruptedTraining, JointuneError, SettingsError, TooLittleMemoryError
from jointune.evaluation.significance import Difference, Run, paired_difference
from jointune.persistence.bundle import versions
from jointune.scale.ray_cluster import Cluster, Workers, check_cluster, connected
from jointune.targets.choice import chosen_target
from jointune.targets.target import Target
from jointune.training.tracking import loggable
from jointune.tuning.result import InterruptedTuning, Tuned, rank, write_report
from jointune.tuning.study import (
    FUSIONS,
    TRIALS,
    Budget,
    Space,
    finished_trials,
    importance,
    make_space,
    objective_value,
    open_study,
    optuna_session,
    prepare_study,
    rounded,
)
from jointune.tuning.trial_data import TrialData, divide_for_trials, score_settings
from jointune.utils.extras import require
from jointune.utils.files import TUNING_MARK
from jointune.utils.progress import LineBar, QuietBar, spoken
from jointune.utils.run_folder import RunFolder, locking

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

logger = logging.getLogger(__name__)

_FORMAT = 3
"""Raised if the study's file or what a trial does changes: no study may hold trials of both kinds."""

_STUDY = "study.db"
_CONTENTS = (f"{_STUDY}*", "trials.csv", "best.json", "report.md")


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
    metric: str | None = None,
    on_bad_image: OnBadImage = "error",
    seed: int = 0,
    progress: bool = True,
    ray: str | None = None,
    cpus_per_worker: float = 1,
    gpus_per_worker: float = 0,
    **settings: Any,
) -> Tuned:
    """Search for the settings that suit these posts best.

    Each trial trains a ``JointClassifier`` on the same training posts, with the same seed, and scores it on the same
    validation posts. The first trial is the default recipe; Optuna's sampler proposes the others. Searched are
    ``encoder_lr``, ``head_lr``, ``fusion``, ``train_layers``, ``epochs``, ``modality_dropout``, ``label_smoothing`` and
    ``weight_decay``, unless ``settings`` fix them. Optuna's logging is silent meanwhile.

    Args:
        posts: ``Posts``, a path, a list of mappings with ``text``, ``image`` and ``label``, or a data frame.
        validation: posts to score the trials on, or a fraction of ``posts``, as for ``JointClassifier.fit``.
        out: folder for the study, the trials and the report; without it, nothing is written.
        trials: number of trials, the default recipe included; 20 if neither it nor ``time_limit`` is set.
        time_limit: minutes; no trial starts that would end later, judged by the mean duration of those before.
        resume: go on with the tuning in ``out``; its trials and minutes count.
        force: replace the tuning in ``out``.
        fusions: the fusions to choose among, with a width if it is not the default, such as ``gated:512``.
        metric: score to optimise; by default the first of the target. Ties are broken by log loss, or by the squared
            error of numbers. It also chooses between weights in each trial.
        on_bad_image: as for ``JointClassifier``.
        seed: of the division of the posts, of every training and of the sampler.
        progress: whether to show progress on standard error.
        ray: address of a Ray cluster, on which as many trials run at a time as there is room for; what is proposed then
            depends on which of them finish first.
        cpus_per_worker: cores of each trial there.
        gpus_per_worker: GPUs of each trial there.
        settings: fixed settings of ``JointClassifier``, the same for all trials.

    Returns:
        The trials, the best settings, and a comparison with the default recipe.

    Raises:
        PostsError: the posts cannot be learned from.
        SettingsError: an argument is out of range, or nothing is left to search.
        EncoderError: an encoder cannot be loaded.
        OutputError: ``out`` exists and is neither resumed nor replaced, is of another tuning, or cannot be written.
        MissingExtraError: Optuna is not installed, or Ray is not.
        ClusterError: no cluster answers at ``ray``.
        InterruptedTraining: Ctrl-C. Finished trials stay in ``out``; the error is an ``InterruptedTuning``, whose
            ``tuned`` holds their result.
    """
    began = time.monotonic()
    require("optuna", "tune", "tuning")
    workers = Workers(cpus=cpus_per_worker, gpus=gpus_per_worker).checked()
    if ray is not None:
        check_cluster(ray)
    budget = Budget(TRIALS if trials is None and time_limit is None else trials, time_limit)
    metric = chosen_target(settings).check_metric(metric)
    fixed = settings | {"metric": metric, "seed": seed, "on_bad_image": valid_policy(on_bad_image)}
    default = _default_recipe(fixed, fusions)
    space = make_space(fusions or FUSIONS, (*fixed, *chosen_target(settings).refused_settings))
    if not space:
        raise SettingsError("there is nothing left to search: leave one of the searched settings open")
    data = divide_for_trials(posts, validation, fixed, progress)
    folder = RunFolder(Path(out), TUNING_MARK, _CONTENTS, resume, force) if out is not None else None
    resumed = folder.claim(_fingerprint(data, fixed, space)) if folder else False
    study = open_study(folder.path / _STUDY if folder else None, resumed)
    search = _Search(study, space, {name: default[name] for name in space}, fixed, data, progress)
    try:
        with connected(ray, workers) as cluster:
            ended = search.run(budget, began, cluster)
    except (KeyboardInterrupt, InterruptedTraining) as reason:
        tuned = search.result("the search was interrupted") if search.rows() else None
        if tuned and folder:
            write_report(tuned, folder.path)
        raise InterruptedTuning("tuning was interrupted; finished trials are kept", tuned) from reason
    except JointuneError:
        if folder and not search.rows():
            folder.discard()  # after a mistake in the arguments, the next run needs no force
        raise
    tuned = search.result(ended)
    if folder:
        write_report(tuned, folder.path)
    return tuned


def _default_recipe(fixed: dict[str, Any], fusions: Sequence[str] | None) -> dict[str, Any]:
    """Return every setting of the first trial, checked before anything is trained."""
    check_names(fixed)
    if fusions is not None and "fusion" in fixed:
        raise SettingsError("fusion and fusions: name the one to use, or those to choose among")
    if fusions is not None and not fusions:
        raise SettingsError("fusions: name one at least", setting="fusions")
    config = Config(**fixed)
    if fusions and config.fusion not in fusions:
        config.fusion = fusions[0]
    return vars(config.validated())


def _fingerprint(data: TrialData, fixed: dict[str, Any], space: Space) -> dict[str, Any]:
    """Return all that must agree for trials to be compared, as JSON values."""
    environment, columns = versions(), Config(**fixed).field_columns
    return {
        "format": _FORMAT,
        "training posts": posts_digest(data.training, columns),
        "validation posts": posts_digest(data.validation, columns),
        "settings": loggable(fixed),
        "search space": {name: repr(values) for name, values in space.items()},
        "versions": {name: environment[name] for name in ("jointune", "torch", "transformers")},
    }


@dataclass(frozen=True)
class _Search:
    """A study and what its trials are made from."""

    study: "Study"
    space: Space
    default: dict[str, Any]
    fixed: dict[str, Any]
    data: TrialData
    progress: bool

    @property
    def target(self) -> Target:
        """What is asked of a post, before its labels are known."""
        return chosen_target(self.fixed)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each finished trial; see ``Tuned.trials``."""
        return [
            {"trial": number}
            | rounded(trial.params)
            | dict.fromkeys(self.target.metric_names)
            | trial.user_attrs.get("scores", {})
            | {"seconds": trial.user_attrs["seconds"], "error": trial.user_attrs.get("error")}
            for number, trial in enumerate(finished_trials(self.study))
        ]

    def run(self, budget: Budget, began: float, cluster: "Cluster | None" = None) -> str:
        """Run trials until the budget is exhausted, and return the reason why it is.

        Args:
            budget: of trials and minutes.
            began: start of this run, by the monotonic clock.
            cluster: where trials run, if not here.
        """
        at_once = cluster.room if cluster else 1
        show = (LineBar("tuning", "trials") if self.progress else QuietBar()).line
        durations = [row["seconds"] for row in self.rows()]
        began -= sum(durations) / at_once
        ended = budget.exhausted(durations, time.monotonic() - began)

        def after_trial() -> str | None:
            rows = self.rows()
            durations, elapsed = [row["seconds"] for row in rows], time.monotonic() - began
            name = f"trial {len(rows) - 1}" + ("" if budget.trials is None else f" of {budget.trials}")
            left = spoken(budget.remaining(durations, elapsed) / at_once)
            show(f"{name}{', the default recipe' if len(rows) == 1 else ''}: {self._outcome(rows)}; about {left} left")
            return budget.exhausted(durations, elapsed)

        def after_each(study: "Study", _: "FrozenTrial") -> None:
            nonlocal ended
            if ended := after_trial():
                study.stop()

        if ended is None:
            with optuna_session():
                prepare_study(self.study, self.default)
                if cluster is None:
                    self.study.optimize(self._train, callbacks=[after_each])
                else:
                    ended = self._train_on(cluster, budget.trials, after_trial)
        return cast(str, ended)

    def _train(self, trial: "Trial") -> float:
        """Train and score one trial; a trial that fails is recorded, and its value is not a number."""
        settings = self._proposed(trial, len(finished_trials(self.study)))
        return self._recorded(trial, lambda: score_settings(settings, self.data, self.progress))

    def _train_on(self, cluster: "Cluster", trials: int | None, after_trial: Callable[[], str | None]) -> str | None:
        """Train as many trials at a time as a cluster has room for, and return why no more are trained.

        Trials are proposed by those that have finished until then, so that their order decides the proposals.
        """
        from optuna.trial import TrialState

        data, task = cluster.ray.put(self.data), cluster.task(score_settings)
        running: dict[Any, Trial] = {}
        ended: str | None = None
        while True:
            begun = len(finished_trials(self.study)) + len(running)
            if ended is None and len(running) < cluster.room and (trials is None or begun < trials):
                trial = self.study.ask()
                running[task(self._proposed(trial, begun, several=True), data, False)] = trial
                continue
            if not running:
                return ended
            reference, fetch = cluster.next_result(running)
            trial = running.pop(reference)
            value = self._recorded(trial, fetch)
            failed = math.isnan(value)
            self.study.tell(trial, None if failed else value, TrialState.FAIL if failed else None)
            ended = after_trial()

    def _proposed(self, trial: "Trial", number: int, several: bool = False) -> dict[str, Any]:
        """Return the settings of a trial; ``several`` are proposed before the scores of those before are known."""
        from optuna.samplers import TPESampler

        # The draws depend on the seed and the number of trials alone: an interrupted trial is proposed again, and a
        # resumed search equals an uninterrupted one.
        seed = (self.fixed["seed"] * 1_000_003 + number) % 2**32
        trial.study.sampler = TPESampler(seed=seed, constant_liar=several)
        values = {
            name: getattr(trial, f"suggest_{kind}")(name, **range_) for name, (kind, range_) in self.space.items()
        }
        return self.fixed | rounded(values)

    def _recorded(self, trial: "Trial", outcome: Callable[[], dict[str, Any]]) -> float:
        """Record what a trial gave, or why it failed; return its value, for a failed one not a number."""
        finished, began = len(finished_trials(self.study)), time.monotonic()
        try:
            attributes = outcome()
        except Exception as reason:
            # Other settings may do if memory is short for a fusion, or if weights diverge at a learning rate. But if
            # the default recipe fails, or the posts or encoders are at fault, they will not.
            if not finished or (isinstance(reason, JointuneError) and not isinstance(reason, TooLittleMemoryError)):
                raise
            logger.info("trial %d failed", finished, exc_info=True)
            trial.set_user_attr("seconds", time.monotonic() - began)
            trial.set_user_attr("error", f"{type(reason).__name__}: {reason}"[:500])
            return math.nan
        for name, value in attributes.items():
            trial.set_user_attr(name, value)
        return objective_value(attributes["scores"], self.fixed["metric"], self.target.tie)

    def _outcome(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Describe the last trial in a few words."""
        last, metric = rows[-1], self.fixed["metric"]
        if last["error"]:
            return f"FAILED: {last['error']}"
        best = rows[_best(rows, metric)]
        score = f"{metric.replace('_', ' ')} {last[metric]:.3f}"
        return f"{score} in {spoken(last['seconds'])}; best {best[metric]:.3f} (trial {best['trial']})"

    def result(self, ended: str) -> Tuned:
        """Summarise the finished trials; ``ended`` says why there are no more."""
        rows, metric = self.rows(), self.fixed["metric"]
        best = _best(rows, metric)
        return Tuned(
            best=self.fixed | {name: rows[best][name] for name in self.space},
            trials=rows,
            best_trial=best,
            importance=importance(self.study, metric, self.fixed["seed"]),
            gain=self._gain(best, len(rows) - 1, metric) if best else None,
            metric=metric,
            validation_posts=len(self.data.validation),
            problems=self.data.problems,
            ended=ended,
        )

    def _gain(self, best: int, rivals: int, metric: str) -> Difference:
        """Compare the best of ``rivals`` trials with the default recipe; the p-value is adjusted for their number."""
        posts, target = self.data.validation, self.target.fitted(self.data.training)
        truth = target.encode(posts)
        trials = finished_trials(self.study)

        def run(number: int) -> Run:
            predicted = np.array(trials[number].user_attrs["predicted"])
            return Run(0, self.fixed["seed"], np.arange(len(truth)), truth, predicted, len(self.data.training))

        score = target.measure(metric if metric in target.compared else target.compared[0])
        groups = np.array(identity_groups(posts))
        gain = paired_difference([run(best)], [run(0)], score, len(target.labels), groups)
        p_value = min(1.0, rivals * gain.p_value)
        return replace(gain, p_value=p_value, distinguishable=gain.distinguishable and p_value < 0.05)


def _best(rows: Sequence[Mapping[str, Any]], metric: str) -> int:
    """Return the number of the best trial, the earliest of equals."""
    return min((row for row in rows if not row["error"]), key=lambda row: rank(row, metric))["trial"]
