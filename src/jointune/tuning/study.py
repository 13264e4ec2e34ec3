"""Optuna's study: which trial comes next, and what the finished ones gave."""

import functools
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from jointune.errors import OutputError, SettingsError, setting
from jointune.utils.extras import require
from jointune.utils.progress import spoken
from jointune.utils.wording import counted

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

FEWEST_FOR_IMPORTANCE = 10
"""Finished trials below which nothing is said of which settings mattered."""


def open_study(path: Path | None, resumed: bool = False) -> "Study":
    """The study that is stored at ``path``, a new one where there is none; in memory alone without ``path``.

    Args:
        path: of Optuna's database.
        resumed: whether it must be there.

    Raises:
        OutputError: the file is damaged or missing, or cannot be written.
    """
    if resumed and path is not None and not (path.is_file() and path.stat().st_size):
        raise OutputError(f"{path} is missing or empty: begin anew with {setting('force', True)}")
    optuna = require("optuna", "tune", "tuning")
    said = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with _clear_errors():
            storage = None if path is None else _stored_at(path)
            return optuna.create_study(  # type: ignore[no-any-return]
                storage=storage, study_name="jointune", direction="maximize", load_if_exists=True
            )
    finally:
        optuna.logging.set_verbosity(said)


def _stored_at(path: Path) -> "RDBStorage":
    from optuna.storages import RDBStorage

    # The path goes straight to sqlite: question marks and braces in it would mean something in an address.
    connect = functools.partial(sqlite3.connect, path, check_same_thread=False)
    return RDBStorage(f"sqlite:///{path.name}", engine_kwargs={"creator": connect})


def finished_trials(study: "Study") -> "list[FrozenTrial]":
    """Those that ended, in order: well, or with an error of their own. Not those whose process died."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))
    return [trial for trial in trials if trial.state == TrialState.COMPLETE or "error" in trial.user_attrs]


def begin_trial(
    study: "Study", space: "Mapping[str, BaseDistribution]", default: Mapping[str, Any], seed: int
) -> "Trial":
    """The next trial: the default recipe first, then what Optuna's sampler proposes.

    The sampler's draws follow from the seed and the number of finished trials alone, so that a trial whose process
    died is proposed again, and a resumed search goes where an uninterrupted one would have gone.

    Raises:
        OutputError: the study's file is damaged or cannot be written.
    """
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    with _clear_errors():
        for died in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(died.number, state=TrialState.FAIL)
        done = len(finished_trials(study))
        if not done and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            study.enqueue_trial(dict(default))
        study.sampler = TPESampler(seed=(seed * 1_000_003 + done) % 2**32)
        return study.ask(dict(space))


def end_trial(study: "Study", trial: "Trial", value: float | None, **attributes: Any) -> None:
    """Store what a trial gave.

    Args:
        study: it is of.
        trial: the trial.
        value: to be maximised; None for a trial that failed.
        attributes: JSON values to keep with it; ``error`` for one that failed.

    Raises:
        OutputError: the study's file cannot be written.
    """
    from optuna.trial import TrialState

    with _clear_errors():
        for name, content in attributes.items():
            trial.set_user_attr(name, content)
        study.tell(trial, value, TrialState.FAIL if value is None else TrialState.COMPLETE)


def objective(scores: Mapping[str, float], metric: str) -> float:
    """What is maximised: the metric; where it ties, the likelihood of the true labels decides, as in training."""
    if metric == "log_loss":
        return -scores["log_loss"]
    # Less than what one post more or less changes, so that it decides nothing but ties.
    return scores[metric] + 1e-6 * math.exp(-scores["log_loss"])


def importance(study: "Study", metric: str, seed: int) -> dict[str, float]:
    """How much each setting mattered: its share of the variance of the metric between trials, greatest first.

    By fANOVA: Hutter, Hoos and Leyton-Brown (2014), "An efficient approach for assessing hyperparameter importance".
    Empty where there are fewer than ``FEWEST_FOR_IMPORTANCE`` finished trials, or where all scored the same.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    def score(trial: "FrozenTrial") -> float:
        return float(trial.user_attrs["scores"][metric])

    scores = [score(trial) for trial in finished_trials(study) if "error" not in trial.user_attrs]
    if len(scores) < FEWEST_FOR_IMPORTANCE or len(set(scores)) == 1:
        return {}
    try:
        return dict(get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed), target=score))
    except RuntimeError:  # differences that are too small for it
        return {}


@contextmanager
def _clear_errors() -> Iterator[None]:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as reason:
        cause: BaseException = reason
        while cause.__cause__:
            cause = cause.__cause__
        raise OutputError(
            f"the study of this tuning cannot be read or written: {cause}",
            f"free the disk and use {setting('resume', True)}, or begin anew with {setting('force', True)}",
        ) from reason


TRIALS = 20
"""Number of trials where neither a number nor a time is given."""


@dataclass(frozen=True)
class Budget:
    """What may be spent on a tuning, resumptions included.

    Attributes:
        trials: their number, the default recipe's included; None for as many as there is time for.
        minutes: of time; None for as long as the trials take.

    Raises:
        SettingsError: one of them is out of range.
    """

    trials: int | None
    minutes: float | None

    def __post_init__(self) -> None:
        if self.trials is not None and self.trials < 1:
            raise SettingsError(f"{setting('trials', self.trials)}: it must be at least 1", setting="trials")
        if self.minutes is not None and not self.minutes > 0:
            raise SettingsError(
                f"{setting('time_limit', self.minutes)}: it must be more than 0 minutes", setting="time_limit"
            )

    def spent(self, durations: Sequence[float], elapsed: float) -> str | None:
        """Why no further trial may start, in a sentence; None where one may.

        Args:
            durations: of the finished trials, in seconds. The first trial starts whatever the limit is.
            elapsed: seconds that the tuning took so far.
        """
        if self.trials is not None and len(durations) >= self.trials:
            return f"all {counted(self.trials, 'trial is', 'trials are')} done"
        if self.minutes is not None and durations and elapsed + mean(durations) > 60 * self.minutes:
            unit = "minute" if self.minutes == 1 else "minutes"
            return (
                f"the time limit of {self.minutes:g} {unit} leaves no time for another trial, which takes "
                f"{spoken(mean(durations))} on average"
            )
        return None

    def left(self, durations: Sequence[float], elapsed: float) -> float:
        """Seconds that the further trials may take, at least one being finished; see ``spent``."""
        left = [] if self.minutes is None else [60 * self.minutes - elapsed]
        if self.trials is not None:
            left.append((self.trials - len(durations)) * mean(durations))
        return max(min(left), 0.0)
