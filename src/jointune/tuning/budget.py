"""How many trials a tuning may make, and for how long."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from jointune.counting import counted
from jointune.errors import SettingsError, setting
from jointune.progress import spoken

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
            raise SettingsError(f"{setting('trials', self.trials)}: it must be at least 1")
        if self.minutes is not None and not self.minutes > 0:
            raise SettingsError(f"{setting('time_limit', self.minutes)}: it must be more than 0 minutes")

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
