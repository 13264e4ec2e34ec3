"""How to train: the settings of a run, checked when they are put together."""

from dataclasses import dataclass

from jointune.errors import SettingsError

METRICS = ("accuracy", "macro_f1", "weighted_f1", "log_loss")
"""What may tell better from worse weights."""

SCHEDULES = ("cosine", "exponential")
"""How the rates fall after the warm-up."""

_BOUNDS: dict[str, tuple[float, float | None]] = {
    "epochs": (0, None),
    "epoch_steps": (1, None),
    "batch_size": (1, None),
    "micro_batch_size": (1, None),
    "encoder_lr": (0, None),
    "head_lr": (0, None),
    "full_rate_posts": (0, None),
    "weight_decay": (0, None),
    "warmup": (0, 1),
    "final_rate": (0, 1),
    "max_grad_norm": (1e-12, None),
    "label_smoothing": (0, 1),
    "modality_dropout": (0, 1),
    "average_epochs": (0, None),
    "evaluations_per_epoch": (1, None),
    "patience": (0, None),
    "prefer_last": (0, None),
}


@dataclass(frozen=True)
class Recipe:
    """How to train; see ``JointClassifier`` for what each setting means.

    Raises:
        SettingsError: a setting is out of range.
    """

    epochs: int
    epoch_steps: int
    batch_size: int
    micro_batch_size: int | None
    encoder_lr: float
    head_lr: float
    full_rate_posts: int
    weight_decay: float
    schedule: str
    warmup: float
    final_rate: float
    max_grad_norm: float
    label_smoothing: float
    modality_dropout: float
    augment: bool
    average_epochs: float
    evaluations_per_epoch: int
    patience: int
    prefer_last: float
    metric: str
    precision: str
    seed: int

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and (not value >= low or (high is not None and value > high)):
                wanted = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
                raise SettingsError(f"{name}={value}: it must be {wanted}")
        if self.metric not in METRICS:
            raise SettingsError(f"metric={self.metric!r}: choose one of {', '.join(METRICS)}")
        if self.schedule not in SCHEDULES:
            raise SettingsError(f"schedule={self.schedule!r}: choose one of {', '.join(SCHEDULES)}")
        if self.precision not in ("auto", "bf16", "fp32"):
            raise SettingsError(f"precision={self.precision!r}: choose auto, bf16 or fp32")
