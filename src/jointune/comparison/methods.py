"""The methods that a comparison knows, by name; what to run is checked here without loading torch."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from jointune.data.post import Modality
from jointune.errors import SettingsError, setting
from jointune.targets.choice import chosen_target


class Estimator(Protocol):
    """The interface of every method: ``JointClassifier`` and all baselines."""

    classes_: np.ndarray

    def fit(self, posts: Any, *, validation: Any) -> Any:
        """Learn from posts; ``validation`` is for early stopping and selection."""

    def predict_proba(self, posts: Any) -> np.ndarray:
        """Return probabilities, float32 [N, C], columns in the order of ``classes_``.

        If there is a method ``answers``, it is called instead; it may return numbers, float32 [N, 1].
        """


@dataclass(frozen=True)
class Setup:
    """Settings that all methods of a comparison share.

    Attributes:
        settings: arguments of ``JointClassifier``: encoders, and what the user changed of the recipe.
        clip: a CLIP checkpoint, for the methods that need one.
        visualbert: a VisualBERT checkpoint, or any text encoder to start a single-stream model from.
        prompts: for CLIP without training: a template with ``{label}``, or a prompt for each label.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    clip: str | None = None
    visualbert: str | None = None
    prompts: str | dict[str, str] | None = None


@dataclass(frozen=True)
class Method:
    """A method.

    Attributes:
        about: its description in the report.
        make: makes an untrained predictor from a setup and a seed.
        needs: the field of the setup without which it cannot run.
        changes: its settings of ``JointClassifier`` that are not those of all methods.
        softmax: whether it needs a target whose answers are a softmax.
    """

    about: str
    make: Callable[[Setup, int], Estimator]
    needs: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    softmax: bool = False


PAPER: dict[str, Any] = {
    "fusion": "paper",
    "normalise": (),
    "probe": False,
    "train_layers": None,
    "epochs": 30,
    "epoch_steps": 1,
    "batch_size": 32,
    "encoder_lr": 3e-5,
    "head_lr": 3e-5,
    "full_rate_posts": 0,
    "schedule": "exponential",
    "warmup": 0.0,
    "modality_dropout": 0.0,
    "augment": False,
    "image_margin": True,
    "average_epochs": 0.0,
    "evaluations_per_epoch": 1,
    "patience": 2,
    "prefer_last": 0.0,
    "metric": "log_loss",
    "max_grad_norm": 1e9,
    "class_weight": None,
}
"""The settings of arXiv 2210.05790: AdamW at 3e-5, decay by 0.9 an epoch, batches of 32, 30 epochs at most, patience 2,
pictures resized to 256 and cropped to 224 at the centre, as the default image encoder does. From the authors' code: the
loss stops training. It watches that of the test fold; here it is that of the validation posts. Weight decay, the length
of texts and how token states are pooled are ours."""


VISUALBERT: dict[str, Any] = {"fusion": "single-stream", "probe": False, "train_layers": None}


def _classifier(setup: Setup, seed: int, **changes: Any) -> Any:
    # Imported here, so that a process that runs another method need not load torch.
    from jointune.classifier import JointClassifier

    return JointClassifier(**{**setup.settings, **changes, **UNKEPT, "seed": seed})


def _joint(about: str, **changes: Any) -> Method:
    return Method(about, lambda setup, seed: _classifier(setup, seed, **changes), changes=changes)


UNKEPT: dict[str, Any] = {"keep_vectors": 0}
"""For classifiers that are not saved."""

ONLY_TEXT_AND_IMAGE: dict[str, Any] = {"number_columns": (), "category_columns": ()}
"""For methods that know no other modality."""


def _without(hidden: Modality) -> Callable[[Setup, int], Estimator]:
    def make(setup: Setup, seed: int) -> Estimator:
        from jointune.baselines.one_modality import OneModality

        return OneModality(_classifier(setup, seed, **ONLY_TEXT_AND_IMAGE), hidden)

    return make


def _late(setup: Setup, seed: int) -> Estimator:
    from jointune.baselines.late import LateFusion

    return LateFusion(*(_classifier(setup, seed, **ONLY_TEXT_AND_IMAGE) for _ in range(2)))


def _visualbert(setup: Setup, seed: int) -> Estimator:
    changes = {"text_encoder": setup.visualbert} if setup.visualbert else {}
    return _classifier(setup, seed, **VISUALBERT, **ONLY_TEXT_AND_IMAGE, **changes)


def _clip(setup: Setup, seed: int) -> Estimator:
    from jointune.baselines.clip import clip_classifier

    assert setup.clip is not None, "checked before"
    rest = {k: v for k, v in setup.settings.items() if k not in ("text_encoder", "image_encoder", "fusion")}
    return clip_classifier(setup.clip, **{**rest, **ONLY_TEXT_AND_IMAGE, **UNKEPT}, seed=seed)


def _clip_zero_shot(setup: Setup, _: int) -> Estimator:
    from jointune.baselines.clip_zero_shot import ClipZeroShot

    assert setup.clip is not None, "checked before"
    shared = {name: setup.settings[name] for name in ("batch_size", "device") if name in setup.settings}
    return ClipZeroShot(setup.clip, setup.prompts, **shared)


METHODS: dict[str, Method] = {
    "joint": _joint("both encoders fine-tuned together with a fusion and a head, by jointune's recipe"),
    "joint-paper": _joint(
        "joint fine-tuning with the fusion and the rates of arXiv 2210.05790, of the encoders named here", **PAPER
    ),
    "frozen": _joint("logistic regression on the outputs of both encoders, which are not trained", epochs=0),
    "text": Method("the same recipe with every picture hidden", _without("image")),
    "image": Method("the same recipe with every text hidden", _without("text")),
    "late": Method(
        "the probabilities of text and image averaged with a weight, then calibrated, on validation posts",
        _late,
        softmax=True,
    ),
    "clip": Method("both encoders of a CLIP checkpoint fine-tuned together, by jointune's recipe", _clip, needs="clip"),
    "clip-zero-shot": Method(
        "a CLIP checkpoint with a prompt for each label, not trained, only calibrated",
        _clip_zero_shot,
        needs="clip",
        softmax=True,
    ),
    "visualbert": Method(
        "the image encoder's outputs enter the text encoder's layers as extra tokens (VisualBERT)",
        _visualbert,
        changes=VISUALBERT,
    ),
    "mual": _joint("jointune's recipe with cross-modal attention and a difference loss (MuAL)", fusion="mual"),
    "splitting": _joint(
        "jointune's recipe with shared and private parts of each modality, after MISA and the idea of SFVE",
        fusion="splitting",
    ),
}
"""In the order in which reports list them."""


def chosen_methods(names: list[str] | None, setup: Setup) -> dict[str, Method]:
    """Return the methods of these names; by default all that have what they need, but the two other fusions.

    Raises:
        SettingsError: there is no method of such a name, it needs a checkpoint that is not named, or it cannot do what
            is asked of the posts.
    """
    if names is None:
        names = [
            name
            for name in METHODS
            if name not in ("mual", "splitting") and not _lacks(METHODS[name], setup) and not _cannot(name, setup)
        ]
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        raise SettingsError(
            f"{setting('methods', ','.join(unknown))}: choose among {', '.join(METHODS)}", setting="methods"
        )
    for name in names:
        if lacking := _lacks(METHODS[name], setup):
            raise SettingsError(
                f"the method {name} needs a checkpoint",
                f"name one with {setting(lacking)} (a folder or a hub id)",
                setting=lacking,
            )
    for name in names:
        if reason := _cannot(name, setup):
            raise SettingsError(reason, f"leave {name} out", setting="methods")
    one_text = [name for name in names if name in ("clip", "clip-zero-shot")]
    for needed_by, second in (("read_image_text", "the text in pictures"), ("text_column", "the second text")):
        value = setup.settings.get(needed_by)
        if one_text and (value is True or (isinstance(value, str) and "," in value)):
            raise SettingsError(
                f"{needed_by}: the text encoder of CLIP takes one text, not two",
                f"leave out {' and '.join(one_text)}, or {second}",
                setting=needed_by,
            )
    return {name: METHODS[name] for name in dict.fromkeys(names)}


def _cannot(name: str, setup: Setup) -> str | None:
    """Return why a method cannot do what is asked of the posts; None if it can."""
    method, target = METHODS[name], chosen_target(setup.settings)
    metric = method.changes.get("metric", setup.settings.get("metric"))
    if (method.softmax and not target.softmax) or (metric or target.metric_names[0]) not in target.metric_names:
        return f"the method {name} cannot be asked for {setting('target', target.name)}"
    return None


def _lacks(method: Method, setup: Setup) -> str | None:
    return method.needs if method.needs and not getattr(setup, method.needs) else None


def valid_budgets(label_budgets: Iterable[int | str | None]) -> list[int | None]:
    """Return each label budget once, None for all training posts.

    Raises:
        SettingsError: there are none, or one is neither a number of posts nor ``all``.
    """
    budgets: list[int | None] = []
    for budget in label_budgets:
        whole = budget is None or budget == "all"
        if not whole and not (str(budget).isdecimal() and int(str(budget)) > 0):
            raise SettingsError(
                f"{setting('label_budgets')}: {budget!r} is neither a number of posts a label nor 'all'",
                setting="label_budgets",
            )
        budgets.append(None if whole else int(str(budget)))
    if not budgets:
        raise SettingsError(f"{setting('label_budgets')}: at least one is needed", setting="label_budgets")
    return list(dict.fromkeys(budgets))


def check_encoders(methods: Collection[str], setup: Setup, labels: Sequence[str]) -> None:
    """Load the encoders of these methods once, and check that each label has a prompt if prompts are needed.

    Raises:
        EncoderError: an encoder or a checkpoint cannot be found or loaded.
        SettingsError: a label has no prompt.
    """
    from jointune.baselines.clip_zero_shot import TEMPLATE, prompts_of
    from jointune.config import Config
    from jointune.encoders.loading import load_image_encoder, load_projections, load_text_encoder

    if of_clip := {"clip", "clip-zero-shot"} & set(methods):
        load_projections(str(setup.clip))
    if "clip-zero-shot" in of_clip:
        prompts_of(labels, TEMPLATE if setup.prompts is None else setup.prompts)
    if others := set(methods) - of_clip:
        shared = Config(**setup.settings)
        load_image_encoder(shared.image_encoder)
        if others != {"visualbert"} or not setup.visualbert:
            load_text_encoder(shared.text_encoder, shared.max_tokens)
    if "visualbert" in others and setup.visualbert:
        load_text_encoder(setup.visualbert)
