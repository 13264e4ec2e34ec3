"""Joint fine-tuning: the one training loop."""

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType, MappingProxyType, TracebackType
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import nn

from jointune.config import Config
from jointune.encoders.lora import RATE, is_update
from jointune.errors import InterruptedTraining
from jointune.model import JointModel
from jointune.targets.target import Target
from jointune.training.averaging import WeightAverage
from jointune.training.checkpoint import Checkpoints
from jointune.training.microbatches import Objective, batches_of, gradients
from jointune.training.training_set import TrainingSet
from jointune.utils.memory import trim_heap
from jointune.utils.progress import Bar, QuietBar

T = TypeVar("T")

_TRIM_EVERY = 16
"""Steps between two calls of ``trim_heap``."""


@dataclass(frozen=True)
class Validation:
    """The scores of a model on the validation posts.

    Attributes:
        score: to be maximised; the first of its numbers that differs decides.
        error: the standard error of the first.
        scores: to log.
        precision: ``bf16`` or ``fp32``, in which the posts were scored.
        shown: the names of the scores to print.
    """

    score: tuple[float, ...]
    error: float
    scores: dict[str, float]
    precision: str = "fp32"
    shown: tuple[str, ...] = ("accuracy", "macro_f1", "log_loss")


Validate = Callable[[JointModel], Validation]
"""Scores a model on the validation posts."""


def fine_tune(
    model: JointModel,
    training: TrainingSet,
    validate: Validate,
    config: Config,
    accelerator: Accelerator,
    target: Target,
    class_weights: np.ndarray | None = None,
    checkpoints: Checkpoints | None = None,
    resume: bool = False,
    start: Callable[[JointModel], dict[str, Any]] | None = None,
    bar: Bar = QuietBar(),  # noqa: B008 - it has no state
    began: float | None = None,
) -> list[dict[str, Any]]:
    """Train encoders, fusion and head together, and leave the last or the best validated weights in ``model``.

    The last are kept where none are better by more than ``config.prefer_last`` standard errors: few validation posts
    tell worse than experience when training is long enough (the one-standard-error rule of Breiman et al., 1984,
    section 3.4.3, with the schedule's end in place of the smallest tree). Where training stopped early, it is the best.

    AdamW (arXiv 1711.05101) with a linear warm-up, after which the rates fall. What is validated and kept is the
    average of the weights over about the last ``config.average_epochs``. With several ``config.average_runs``, all of
    this is repeated from the same start, and what is validated at the end of each is the average of those so far (model
    soups, arXiv 2203.05482). Every random draw follows from the seed and the step number alone, so that a resumed run
    repeats an uninterrupted one. The caller's random state must be guarded by it.

    Args:
        model: trained in place.
        training: the posts to learn from.
        validate: scores the model several times an epoch; training stops when it has not improved for
            ``config.patience`` epochs, or at the first time for 0.
        config: rates, schedule and the like.
        accelerator: places the model on one or several devices, and holds the trackers.
        target: whose loss is minimised.
        class_weights: weight of each class in the loss, float [C].
        checkpoints: where the state is kept after every validation and on an interrupt.
        resume: whether to go on from there.
        start: gives an untrained model weights that are worth validating before the first step; returns JSON values
            for their entry in the log.
        bar: shows steps, loss and the best score.
        began: the ``time.monotonic()`` from which the log counts seconds; by default, now.

    Returns:
        The training log: one entry a validation; ``kept`` says whether the weights are those that it found.

    Raises:
        InterruptedTraining: Ctrl-C; the state was saved first.
        OutputError: the disk is full.
        TooLittleMemoryError: the device has too little memory to train on one post, or to run a batch.
        BundleError: the saved state is damaged or of another run.
    """
    began = time.monotonic() if began is None else began
    device = accelerator.device
    model.to(device)
    saved = checkpoints.load() if checkpoints and resume else None
    chosen: dict[str, Any] = {}
    if start and not saved and accelerator.is_main_process:
        chosen = start(model)  # the other processes are given these weights when the model is wrapped
    optimizer = torch.optim.AdamW(_parameter_groups(model, config, len(training)), fused=device.type in ("cuda", "cpu"))
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32, device=device)
    objective = Objective(target, weights, config.label_smoothing)

    batches = len(batches_of(training, config, 0, accelerator))
    steps_per_epoch = batches * math.ceil(config.epoch_steps / batches)
    run_steps = steps_per_epoch * config.epochs
    total = run_steps * config.average_runs
    evaluate_at = _evaluation_steps(steps_per_epoch, config.evaluations_per_epoch)
    run = RunState()
    average = WeightAverage(model, steps_per_epoch * config.average_epochs, run_steps, config.average_runs)
    if saved:
        average.load_state_dict(saved.pop("average"))
        model.load_state_dict(saved.pop("model"))
        optimizer.load_state_dict(saved.pop("optimizer"))
        run = RunState(**saved)
        began -= run.seconds
    bar.start(total, run.step)

    def save() -> None:
        if checkpoints and accelerator.is_main_process:
            parts = {"model": model, "optimizer": optimizer, "average": average}
            checkpoints.save(vars(run) | {name: part.state_dict() for name, part in parts.items()})

    def check(more: Mapping[str, Any] = MappingProxyType({})) -> None:
        with average.applied():
            found = _on_main(lambda: validate(model), accelerator)
            run.seconds = time.monotonic() - began
            slack = config.prefer_last if run.step == total else 0.0
            verdict = run.validated(found, model, run.step / steps_per_epoch, optimizer.param_groups[0]["lr"], slack)
            run.log[-1] |= {**more, **average.described(run.step)}
            waited = run.step - run.kept_step
            run.stopped = config.average_runs == 1 and waited >= max(1, config.patience * steps_per_epoch)
        accelerator.log({k: v for k, v in run.log[-1].items() if isinstance(v, int | float)}, step=run.step)
        bar.line(_sentence(run.log[-1], verdict, found.shown))
        save()

    wrapped.train()
    with Interrupt() as interrupt:
        if start and not saved:
            check(chosen)
        # A run that died after its stop, such as while its bundle was saved, has no step left.
        last = run.step if run.stopped else total
        average.begin_run(run.step, optimizer)
        for loss in gradients(wrapped, training, objective, config, run.step, last, accelerator, bar):
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * _schedule(run.step % run_steps, run_steps, steps_per_epoch, config)
            accelerator.clip_grad_norm_(wrapped.parameters(), config.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

            run.stepped(loss)
            average.update(run.step)
            bar.note(str(run))
            bar.advance()
            if run.step % _TRIM_EVERY == 0:
                trim_heap()
            if (run.step % steps_per_epoch or steps_per_epoch) in evaluate_at:
                check()
                if run.stopped:
                    break
            average.begin_run(run.step, optimizer)
            if _anywhere(interrupt.asked, accelerator):
                save()
                raise InterruptedTraining("training was interrupted" + ("; its state is saved" if checkpoints else ""))
    if run.kept is not None:
        model.load_state_dict(run.kept, strict=False)
        return [entry | {"kept": entry["step"] == run.kept_step} for entry in run.log]
    return run.log


@dataclass
class RunState:
    """The progress of a run; with weights and optimizer, all that a resumed one needs.

    Attributes:
        step: steps done.
        kept_score: of the best validation so far, or of the last.
        kept_step: when that was.
        kept: the weights then that training can change, on the CPU.
        log: one entry a validation.
        loss_sum: training losses since the last validation, added up.
        loss_count: their number.
        seconds: since the run began, until the last validation; without those between an interrupt and a resumption.
        stopped: whether the last validation found that the scores no longer improve.
    """

    step: int = 0
    kept_score: tuple[float, ...] = (-math.inf,)
    kept_step: int = 0
    kept: dict[str, torch.Tensor] | None = None
    log: list[dict[str, Any]] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_count: int = 0
    seconds: float = 0.0
    stopped: bool = False

    def stepped(self, loss: float) -> None:
        """Count one step."""
        self.step += 1
        self.loss_sum += loss
        self.loss_count += 1

    def validated(self, found: Validation, model: JointModel, epoch: float, rate: float, slack: float) -> str:
        """Log a validation, and keep the weights if they are the best, or less than ``slack`` standard errors worse.

        Returns:
            Why they are kept, in a few words; empty where they are not.
        """
        loss = self.loss_sum / self.loss_count if self.loss_count else None
        when = {"step": self.step, "epoch": epoch, "seconds": self.seconds, "loss": loss, "learning_rate": rate}
        self.log.append(when | found.scores | {"precision": found.precision})
        self.loss_sum, self.loss_count = 0.0, 0
        near = slack > 0 and self.kept_score[0] - found.score[0] <= slack * found.error
        better = found.score > self.kept_score
        if better or near:
            self.kept_score, self.kept_step = found.score, self.step
            frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
            state = model.state_dict()
            self.kept = {name: value.detach().cpu().clone() for name, value in state.items() if name not in frozen}
        return "best so far" if better else "kept: none before is clearly better" if near else ""

    def __str__(self) -> str:
        best = f", best {abs(self.kept_score[0]):.4f}" if self.kept else ""
        return f"loss {self.loss_sum / self.loss_count:.4f}{best}"


def _on_main(work: Callable[[], T], accelerator: Accelerator) -> T:
    """Do ``work`` in one process and give the result to all, so that they decide alike."""
    found = [work() if accelerator.is_main_process else None]
    broadcast_object_list(found)
    result: Any = found[0]
    return result


def _anywhere(flag: bool, accelerator: Accelerator) -> bool:
    """Return whether any process has the flag set: Ctrl-C reaches them at different steps."""
    if accelerator.num_processes == 1:
        return flag
    return bool(accelerator.reduce(torch.tensor(float(flag), device=accelerator.device)) > 0)


def _is_pretrained(name: str, model: JointModel) -> bool:
    """Return whether a weight comes trained: of encoders, of the probe, and of parts of a fusion such as CLIP's."""
    parts = [f"fusion.{part}." for part in getattr(model.fusion, "pretrained", ())]
    parts += [f"encoders.{modality}." for modality, encoder in model.encoders.items() if encoder.pretrained]
    return name.startswith(("probe.", *parts))


def _parameter_groups(model: JointModel, config: Config, posts: int) -> list[dict[str, Any]]:
    """Group weights by rate: encoders and probe come trained, fusion and head do not. No decay for biases."""
    lowered = min(1.0, posts / config.full_rate_posts) ** 0.5 if config.full_rate_posts else 1.0
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = config.encoder_lr if _is_pretrained(name, model) else config.head_lr
            rate *= RATE if is_update(name) else 1
            groups.setdefault((rate, parameter.dim() > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": 0.0,  # until the first step sets it
            "peak_lr": lowered * rate,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (rate, decays), parameters in groups.items()
    ]


def _schedule(step: int, total: int, steps_per_epoch: int, config: Config) -> float:
    """Return the share of the peak rate: rising linearly over the warm-up, then falling.

    ``cosine``: half a cosine down to ``config.final_rate``. ``exponential``: 0.9 to the power of the epochs done, as in
    arXiv 2210.05790.
    """
    rising = round(total * config.warmup)
    if step < rising:
        return (step + 1) / rising
    if config.schedule == "exponential":
        return float(0.9 ** (step // steps_per_epoch))
    fallen = 0.5 * (1 - math.cos(math.pi * (step - rising) / max(1, total - rising)))
    return 1 - (1 - config.final_rate) * fallen


def _evaluation_steps(steps_per_epoch: int, evaluations: int) -> set[int]:
    return {math.ceil(steps_per_epoch * (k + 1) / evaluations) for k in range(evaluations)}


def _sentence(entry: dict[str, Any], verdict: str, shown: tuple[str, ...]) -> str:
    scores = "  ".join(f"{name} {entry[name]:.4f}" for name in shown if name in entry)
    loss = "" if entry["loss"] is None else f"  loss {entry['loss']:.4f}"
    validation = f"validation in {entry['precision']}: {scores}{f'  {verdict}' if verdict else ''}"
    return f"epoch {entry['epoch']:.1f}{loss}  {validation}"


class Interrupt:
    """While active, the first Ctrl-C (or a polite kill) is noted in ``asked``, the second one acts at once."""

    def __init__(self) -> None:
        self.asked = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        # Only the main thread may set handlers; elsewhere the owner of that thread decides.
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
