"""The settings of training, once: name, type, default, range, help and panel of each.

From here come the constructor of ``JointClassifier`` and its description, validation, the options of the command line,
what a bundle may hold, and the reference pages. To add a setting, add a field to ``Config`` and use it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any, Literal, Self, get_type_hints

import numpy as np

from jointune.data.problems import OnBadImage, valid_policy
from jointune.errors import SettingsError, setting
from jointune.fusion.registry import NAMED, FusionFactory, check_fusion
from jointune.modalities.image.ocr import check_ocr
from jointune.modalities.text.normalise import KINDS, valid_kinds
from jointune.targets.choice import TARGETS, chosen_target
from jointune.training.tracking import TRACKERS, check_trackers
from jointune.utils.extras import check_installed
from jointune.utils.value_types import fits, spoken

RECIPE = "Recipe"
"""The panel of the help that holds what most users leave as it is."""


@dataclass(frozen=True)
class Setting:
    """A row of the settings, apart from its name, type and default, which are the field's own.

    Attributes:
        help: a sentence or two, for the command line and the reference of Python alike.
        low: least value of a number.
        high: greatest value of a number; None for no limit.
        choices: values of a text.
        panel: where the help of the command line lists it; None for among the main options.
        metavar: how the command line writes its value, where that is not its type.
    """

    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    panel: str | None = RECIPE
    metavar: str | None = None


def _setting(default: Any, help: str, low: float | None = None, high: float | None = None, **more: Any) -> Any:  # noqa: A002
    return field(default=default, metadata={"setting": Setting(help, low, high, **more)})


@dataclass(eq=False, repr=False)
class Config:
    """The settings of training and their defaults; see ``SETTINGS`` for what each means and may be."""

    text_encoder: str = _setting(
        "minilm-l6", "Text encoder: minilm-l6, mpnet-base, a folder, or a Hugging Face id.", panel=None
    )
    image_encoder: str = _setting(
        "efficientnet-lite0",
        "Image encoder: efficientnet-lite0, efficientnet-lite2, a folder, a Hugging Face id, or timm:NAME.",
        panel=None,
    )
    audio_encoder: str | None = _setting(
        None,
        "Audio encoder, for a column of sounds: a folder or a Hugging Face id (Wav2Vec2, HuBERT, Whisper, AST).",
        panel=None,
    )
    fusion: str | FusionFactory = _setting(
        "gated",
        f"How both encoders' outputs become one vector: {', '.join(NAMED)}; with a width, such as gated:512. In Python "
        "also a class of one's own.",
        panel=None,
        metavar="NAME[:WIDTH]",
    )
    _: KW_ONLY
    target: str = _setting(
        "single",
        "What is asked of a post: one label; any number of labels (multi); one of several ordered labels, such as "
        "stars; or a number.",
        choices=tuple(TARGETS),
        panel=None,
    )
    label_order: Sequence[str] = _setting(
        (), "Labels of the target ordered, the lowest first; not needed for numbers.", panel=None, metavar="LABEL,..."
    )
    threshold: str | None = _setting(
        None,
        "Of the target single with two labels: answer the rarer one from the probability on that has its best F1 on "
        "the validation posts, or that reaches a recall.",
        panel=None,
        metavar="f1|recall=SHARE",
    )
    probe: bool = _setting(
        True, "Start from a linear probe on the frozen encoders, which stays beside fusion and head."
    )
    probe_depths: int = _setting(
        3,
        "Depths of each encoder whose pooled hidden states the probe sees: 1 is the last layer alone, more are spread "
        "evenly over the trained layers.",
        1,
    )
    train_layers: float | None = _setting(
        0.75,
        "Upper layers of each encoder that are trained: a number, a share below 1, or all (None in Python). The layers "
        "under them stay frozen. An encoder whose layers cannot be told apart, such as ALBERT, is trained as a whole.",
        0,
        metavar="K|SHARE|all",
    )
    lora: int | None = _setting(
        None,
        "Rank of low-rank updates that are trained in place of the encoders' linear layers and merged at the end: less "
        "memory; needs the extra lora. Encoders without linear layers are trained as ever.",
        1,
        metavar="RANK",
    )
    gradient_checkpointing: bool = _setting(False, "Compute layers twice a step: less memory, the same result.")
    compile_layers: bool = _setting(
        False, "Compile the encoders' layers with torch.compile; takes a minute or more, and a C++ compiler on a CPU."
    )
    epochs: int = _setting(2, "Most passes over the training posts; 0 trains the probe alone.", 0)
    epoch_steps: int = _setting(16, "Steps of an epoch at least; few posts are passed several times.", 1)
    batch_size: int = _setting(32, "Posts a step, on each device.", 1)
    micro_batch_size: int | None = _setting(
        None,
        "Posts that go through the model at once; by default 16 on a CPU and the whole batch elsewhere. Halved where "
        "memory does not suffice.",
        1,
    )
    encoder_lr: float = _setting(1e-4, "Peak learning rate of both encoders (AdamW).", 0, 10)
    head_lr: float = _setting(1e-3, "Peak learning rate of fusion, head and embeddings of missing modalities.", 0, 10)
    full_rate_posts: int = _setting(
        2000, "With fewer training posts, both rates are scaled by the root of their share in it; 0 for never.", 0
    )
    weight_decay: float = _setting(0.01, "AdamW's decoupled decay, of matrices only.", 0, 1000)
    schedule: str = _setting(
        "cosine",
        "How the rates fall after the warm-up: cosine to the final rate, or exponential, by 0.9 an epoch.",
        choices=("cosine", "exponential"),
    )
    warmup: float = _setting(0.2, "Share of all steps over which the rates rise.", 0, 1)
    final_rate: float = _setting(0.5, "Share of the peak rates that a cosine ends with.", 0, 1)
    max_grad_norm: float = _setting(1.0, "Gradients are clipped to this norm.", 1e-12)
    label_smoothing: float = _setting(0.0, "Share of the target that is spread over all labels.", 0, 1)
    class_weight: Literal["auto", "root", "balanced"] | dict[Any, float] | None = _setting(
        "auto",
        "Weigh labels in the loss: balanced by their rarity, root by its root, auto by its root with fewer than 2,000 "
        "training posts, or none. In Python also a weight a label, and None for none.",
        metavar="auto|root|balanced|none",
    )
    modality_dropout: float = _setting(
        0.2, "Chance that a training post with both modalities loses one of them for a step.", 0, 1
    )
    augment: bool = _setting(True, "Change training images at random, and crop them where there is a margin.")
    image_copies: int = _setting(
        0, "Changed copies of each training image (TrivialAugment) that steps draw from; 0 mirrors images only.", 0, 100
    )
    average_epochs: float = _setting(
        1.0, "Validate and keep weights averaged over about this many epochs; 0 for those of single steps.", 0
    )
    average_runs: int = _setting(
        1,
        "Fine-tune this many times from the same start, each time in another order, and average the weights of all: as "
        "many times the time, and less chance in the result. Patience ends none of several.",
        1,
    )
    evaluations_per_epoch: int = _setting(2, "Validations an epoch.", 1)
    patience: int = _setting(
        2, "Stop after this many epochs without a better score; 0 at the first validation without.", 0
    )
    prefer_last: float = _setting(
        1.0,
        "Keep the weights at the end unless earlier ones are better by more than this many standard errors of the "
        "validation score; 0 for the best ones.",
        0,
    )
    metric: str | None = _setting(
        None,
        "Validation score that chooses between weights: "
        + "; ".join(f"of {name}, {', '.join(kind.metric_names)}" for name, kind in TARGETS.items())
        + ". By default the first one.",
        metavar="NAME",
    )
    normalise: Sequence[str] = _setting(
        KINDS,
        f"What of posts' writing becomes plain text: {', '.join(KINDS)}; none for nothing.",
        metavar="KIND,...|none",
    )
    image_margin: bool = _setting(
        False,
        "Resize images with the margin that the image encoder was evaluated with, and cut it off; in training at "
        "random where images are augmented.",
    )
    max_tokens: int | None = _setting(
        None, "Cut texts to this many tokens; by default 128, or less where the encoder allows less.", 1
    )
    audio_seconds: float | None = _setting(
        None, "Seconds of a sound that are read; by default 10, or less where the encoder takes less.", 0.1, 600
    )
    precision: str = _setting(
        "auto",
        "Of training: bf16, fp32, or auto for bf16 where the device has it. Prediction is fp32.",
        choices=("auto", "bf16", "fp32"),
    )
    read_image_text: bool = _setting(
        False,
        "Read the text in images too (OCR), as a second segment of the text encoder; needs the extra ocr.",
        panel=None,
    )
    max_images: int = _setting(4, "Images of a post that are used, the first ones.", 1, 1000, panel=None)
    frames: int = _setting(1, "Frames of a moving image or video that are used, evenly spaced.", 1, 1000, panel=None)
    on_bad_image: OnBadImage = _setting(
        "error",
        "An image that cannot be read: stop, leave its post out, or go on without that image.",
        panel=None,
        metavar="error|skip|missing",
    )
    keep_vectors: int = _setting(
        10_000,
        "Vectors of at most this many training posts are kept in the bundle, to tell posts unlike them; 0 for none.",
        0,
    )
    track: str | None = _setting(
        None, f"Log to a tracker: {', '.join(TRACKERS)}.", panel=None, metavar="|".join(TRACKERS)
    )
    device: str | None = _setting(
        None, "Such as cpu or cuda:1; a GPU by default where there is one. Only for prediction.", panel=None
    )
    seed: int = _setting(0, "Of every random draw.", 0, 2**32 - 1)
    progress: bool = _setting(True, "Show progress bars on standard error.", panel=None)
    text_column: str | None = _setting(
        "text",
        "Column of the texts, or two that are read together (text,aspect); '' (None in Python) for none.",
        panel="Columns",
    )
    image_column: str | None = _setting(
        "image",
        "Column of the images: paths, bytes, or lists; columns as a,b; '' (None in Python) for none.",
        panel="Columns",
    )
    label_column: str = _setting(
        "label", "Column of the labels; of the target multi also several columns of 0 and 1.", panel="Columns"
    )
    audio_column: str | None = _setting(
        None, "Column of sounds or videos: paths or bytes; needs the extra audio and an audio encoder.", panel="Columns"
    )
    number_columns: Sequence[str] = _setting(
        (), "Columns of numbers to learn from, beside text and image.", panel="Columns", metavar="COLUMN,..."
    )
    category_columns: Sequence[str] = _setting(
        (), "Columns of categories to learn from, likewise.", panel="Columns", metavar="COLUMN,..."
    )

    @property
    def field_columns(self) -> tuple[str, ...]:
        """The columns of numbers and categories."""
        return (*self.number_columns, *self.category_columns)

    @classmethod
    def from_preset(cls, preset: str, **settings: Any) -> Self:
        """Make it with the settings of a preset.

        Args:
            preset: ``fast``, the probe alone; ``default``; or ``best``, the average of several trainings
                on changed copies of the images.
            settings: further arguments; they win over those of the preset.

        Raises:
            SettingsError: there is no such preset.
        """
        return cls(**preset_settings(preset) | settings)

    def validated(self) -> "Config":
        """Return a plain copy of the settings, NumPy's numbers as Python's, once all of them are possible.

        Raises:
            SettingsError: one of them is of the wrong type, out of range, or no choice.
            MissingExtraError: one of them needs a package that is not installed.
        """
        values = {name: getattr(self, name) for name in SETTINGS}
        check_types(values)
        check_settings(values)
        return Config(**{name: plain(value) for name, value in values.items()})


SETTINGS: dict[str, Setting] = {row.name: row.metadata["setting"] for row in fields(Config)}
"""The row of each setting, by name."""

DEFAULTS: dict[str, Any] = {row.name: row.default for row in fields(Config)}

TYPES: dict[str, Any] = get_type_hints(Config)

PRESETS = {"fast": {"epochs": 0}, "default": {}, "best": {"average_runs": 3, "image_copies": 4}}
"""Settings by the name under which they are chosen together."""


def check_types(settings: Mapping[str, Any]) -> None:
    """Check that each setting is of its type; NumPy's numbers count as Python's.

    Raises:
        SettingsError: one is not.
    """
    for name, value in settings.items():
        if not fits(value, TYPES[name]):
            raise SettingsError(f"{setting(name, value)}: give {spoken(TYPES[name])}", setting=name)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check that settings are possible: all that can be judged without torch, before posts or encoders are loaded.

    Args:
        settings: by name; other names, and settings that are not there, are passed over.

    Raises:
        SettingsError: one of them is out of range, or no choice.
        MissingExtraError: one of them needs a package that is not installed.
    """
    for name, row in SETTINGS.items():
        value = settings.get(name)
        if row.choices and name in settings and value not in row.choices:
            raise SettingsError(f"{setting(name, value)}: choose one of {', '.join(row.choices)}", setting=name)
        if value is None or row.low is None:
            continue
        if not value >= row.low or (row.high is not None and value > row.high):
            wanted = f"at least {row.low:g}" if row.high is None else f"between {row.low:.10g} and {row.high:.10g}"
            raise SettingsError(f"{setting(name, value)}: it must be {wanted}", setting=name)
    if not settings.get("epochs", 1) and not settings.get("probe", True):
        raise SettingsError(f"{setting('epochs', 0)} without a probe: nothing would be trained", setting="epochs")
    if isinstance(settings.get("fusion"), str):
        check_fusion(settings["fusion"])
    if "normalise" in settings:
        valid_kinds(settings["normalise"])
    if "on_bad_image" in settings:
        valid_policy(settings["on_bad_image"])
    check_trackers(settings.get("track"))
    chosen_target(settings)
    _check_columns(settings)
    if settings.get("audio_column"):
        check_installed("soundfile", "audio", setting("audio_column"))
        check_installed("soxr", "audio", setting("audio_column"))
    if "audio_encoder" in settings and bool(settings.get("audio_column")) != bool(settings["audio_encoder"]):
        given, lacking = ("audio_column", "audio_encoder")[:: 1 if settings.get("audio_column") else -1]
        raise SettingsError(
            f"{setting(given, settings[given])}: there is no {setting(lacking)} beside it", "give both", setting=lacking
        )
    if settings.get("lora") is not None:
        check_installed("peft", "lora", setting("lora"))
    if settings.get("read_image_text"):
        check_ocr()
    if str(settings.get("image_encoder", "")).startswith("timm:"):
        check_installed("timm", "timm", setting("image_encoder", settings["image_encoder"]))


def _check_columns(settings: Mapping[str, Any]) -> None:
    taken = {settings.get(f"{kind}_column"): f"the column of the {kind}" for kind in ("text", "image", "label")}
    taken |= dict.fromkeys(map(str.strip, (settings.get("text_column") or "").split(",")), "the column of the text")
    audio = settings.get("audio_column")
    if audio in taken and audio:
        reason = f"{setting('audio_column', audio)}: it is {taken[audio]} already"
        raise SettingsError(reason, "name a column of its own, such as a copy of it", setting="audio_column")
    taken[audio] = "the column of the sounds"
    for name in ("number_columns", "category_columns"):
        columns = settings.get(name, ())
        if isinstance(columns, str):
            raise SettingsError(f"{setting(name, columns)}: give a list of columns", setting=name)
        for column in columns:
            if column in taken:
                raise SettingsError(f"{setting(name, column)}: it is {taken[column]} already", setting=name)
            taken[column] = "a column of fields"


def preset_settings(preset: str) -> dict[str, Any]:
    """Return the settings of a preset.

    Raises:
        SettingsError: there is no such preset.
    """
    if preset not in PRESETS:
        raise SettingsError(f"{setting('preset', preset)}: choose one of {', '.join(PRESETS)}", setting="preset")
    return dict(PRESETS[preset])


def check_names(names: Iterable[str]) -> None:
    """Check that there are settings of these names.

    Raises:
        SettingsError: there is one that is no setting.
    """
    for name in names:
        if name not in SETTINGS:
            raise SettingsError(f"{name}: no setting of JointClassifier (there are: {', '.join(sorted(SETTINGS))})")


def plain(value: Any) -> Any:
    """Convert a setting to what JSON can hold: NumPy's numbers to Python's, labels in keys to texts."""
    from jointune.data.read import label_text

    if isinstance(value, dict):
        return {label_text(key): plain(entry) for key, entry in value.items()}
    return value.item() if isinstance(value, np.generic) else value
