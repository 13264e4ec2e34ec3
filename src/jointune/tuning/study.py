"""The Optuna study of a tuning: search space, storage, budget and importances."""

import functools
import math
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from jointune.errors import OutputError, SettingsError, setting
from jointune.fusion.registry import make_fusion
from jointune.targets.target import rank as better
from jointune.utils.extras import require
from jointune.utils.progress import spoken
from jointune.utils.wording import counted

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

FUSIONS = ("gated", "gated:512", "concat", "cross-attention")
"""The fusions and widths that are tried by default."""

TRIALS = 20
"""Default number of trials, if no time limit is set either."""

FEWEST_FOR_IMPORTANCE = 10
"""With fewer finished trials, no importances are computed."""

Space = dict[str, tuple[str, dict[str, Any]]]
"""Setting to the kind of its values and the arguments of ``Trial.suggest_<kind>``."""

SPACE: Space = {
    "encoder_lr": ("float", {"low": 1e-5, "high": 5e-4, "log": True}),
    "head_lr": ("float", {"low": 1e-4, "high": 1e-2, "log": True}),
    "fusion": ("categorical", {"choices": FUSIONS}),
    "train_layers": ("categorical", {"choices": (0.5, 0.75, None)}),
    "epochs": ("int", {"low": 1, "high": 6}),
    "modality_dropout": ("float", {"low": 0.0, "high": 0.5, "step": 0.05}),
    "label_smoothing": ("float", {"low": 0.0, "high": 0.2, "step": 0.02}),
    "weight_decay": ("float", {"low": 1e-3, "high": 0.3, "log": True}),
}
"""The settings that are searched unless they are fixed."""


def make_space(fusions: Sequence[str], fixed: Collection[str]) -> Space:
    """Return the search space of the settings that are not fixed.

    Raises:
        SettingsError: a name in ``fusions``, such as ``gated:512``, is not that of a fusion.
    """
    modalities = ["text", "image", *(["fields"] if {"number_columns", "category_columns"} & set(fixed) else [])]
    for fusion in fusions:
        make_fusion(fusion, dict.fromkeys(modalities, 64))  # a wrong name or width fails before anything is trained
    space = SPACE | {"fusion": ("categorical", {"choices": tuple(dict.fromkeys(fusions))})}
    return {name: values for name, values in space.items() if name not in fixed}


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Round numbers to three significant digits."""
    return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in values.items()}


def open_study(path: Path | None, resumed: bool = False) -> "Study":
    """Open the study stored at ``path``, or create it; without a path it is kept in memory.

    Raises:
        OutputError: the file is damaged or cannot be written, or is missing though ``resumed``.
    """
    if resumed and path is not None and not (path.is_file() and path.stat().st_size):
        raise OutputError(f"{path} is missing or empty: begin anew with {setting('force', True)}")
    optuna, storage = require("optuna", "tune", "tuning"), None
    with optuna_session():
        if path is not None:
            # The path goes straight to sqlite: question marks and braces in it would mean something in a URL.
            connect = functools.partial(sqlite3.connect, path, check_same_thread=False)
            storage = optuna.storages.RDBStorage(f"sqlite:///{path.name}", engine_kwargs={"creator": connect})
        return optuna.create_study(  # type: ignore[no-any-return]
            storage=storage, study_name="jointune", direction="maximize", load_if_exists=True
        )


@contextmanager
def optuna_session() -> Iterator[None]:
    """Turn errors of the study's storage into an ``OutputError`` that says how to go on, and silence Optuna's logging.

    Its verbosity is global, and restored when the block ends.
    """
    logging = require("optuna", "tune", "tuning").logging
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
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
    finally:
        logging.set_verbosity(verbosity)


def prepare_study(study: "Study", default: Mapping[str, Any]) -> None:
    """Fail trials whose process died, and enqueue the default recipe if no trial has finished."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    if not finished_trials(study) and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(dict(default))


def finished_trials(study: "Study") -> "list[FrozenTrial]":
    """Return the trials that ended, well or with an error of their own, but not those that were interrupted."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))
    return [trial for trial in trials if trial.state == TrialState.COMPLETE or "error" in trial.user_attrs]


def objective_value(scores: Mapping[str, float], metric: str, tie: str = "log_loss") -> float:
    """Return the value to maximise: the metric, with ties broken by another score, of which less is better."""
    if metric == tie:
        return -scores[tie]
    # The other score counts less than a single post, so it decides only ties.
    return better(metric, scores[metric]) + 1e-6 * math.exp(-scores[tie])


def importance(study: "Study", metric: str, seed: int) -> dict[str, float]:
    """Return each setting's share of the variance of the metric between trials, the greatest first.

    By fANOVA: Hutter, Hoos and Leyton-Brown (2014), "An efficient approach for assessing hyperparameter importance".
    Empty if fewer than ``FEWEST_FOR_IMPORTANCE`` trials succeeded, or if all scored the same.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    def score(trial: "FrozenTrial") -> float:
        return float(trial.user_attrs["scores"][metric])

    scores = [score(trial) for trial in finished_trials(study) if "error" not in trial.user_attrs]
    if len(scores) < FEWEST_FOR_IMPORTANCE or len(set(scores)) == 1:
        return {}
    try:
        return dict(get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed), target=score))
    except RuntimeError:  # the differences are too small for it
        return {}


@dataclass(frozen=True)
class Budget:
    """Limits of a tuning, resumed runs included.

    Attributes:
        trials: number of trials, the default recipe included; None for no limit.
        minutes: total time; None for no limit.

    Raises:
        SettingsError: a limit is out of range.
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

    def exhausted(self, durations: Sequence[float], elapsed: float) -> str | None:
        """Return a sentence that says why no further trial may start, or None if one may.

        Args:
            durations: seconds of each finished trial. The first trial may start under any limit.
            elapsed: seconds that the tuning has taken so far.
        """
        if self.trials is not None and len(durations) >= self.trials:
            return f"all {counted(self.trials, 'trial is', 'trials are')} done"
        if self.minutes is not None and durations and elapsed + mean(durations) > 60 * self.minutes:
            return (
                f"the time limit of {self.minutes:g} {'minute' if self.minutes == 1 else 'minutes'} leaves no time for "
                f"another trial, which takes {spoken(mean(durations))} on average"
            )
        return None

    def remaining(self, durations: Sequence[float], elapsed: float) -> float:
        """Estimate the seconds that further trials will take, once one has finished; see ``exhausted``."""
        limits = [] if self.minutes is None else [60 * self.minutes - elapsed]
        if self.trials is not None:
            limits.append((self.trials - len(durations)) * mean(durations))
        return max(min(limits), 0.0)
