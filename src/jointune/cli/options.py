"""Options that several commands share, and how messages are printed."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from jointune.config import DEFAULTS, PRESETS, SETTINGS, TYPES, check_settings, preset_settings
from jointune.data.problems import Problem, affected, valid_policy
from jointune.data.read import Columns
from jointune.errors import SettingsError
from jointune.evaluation.notes import untested
from jointune.evaluation.score_table import ScoreTable
from jointune.modalities.modality import with_further_columns
from jointune.modalities.text.normalise import valid_kinds
from jointune.targets.choice import chosen_target
from jointune.utils.wording import counted, visible_lines
from jointune.utils.wording import option as spelled


def option(name: str, *, optional: bool = False, panel: str | None = None) -> Any:
    """Make the option of a setting.

    Args:
        name: of the setting.
        optional: whether the option has no default.
        panel: of the help; by default the setting's own.
    """
    row, default = SETTINGS[name], DEFAULTS[name]
    # A switch that is on by default has a counterpart that turns it off.
    return typer.Option(
        *([] if default is True else [spelled(name)]),
        help=row.help,
        metavar=row.metavar or "|".join(row.choices) or None,
        rich_help_panel=panel or row.panel,
        show_default="all" if name == "normalise" else not optional,
    )


PostsArgument = Annotated[
    Path,
    typer.Argument(
        metavar="POSTS",
        help="CSV, TSV, JSONL, JSON or Parquet file, a folder of such files, or a saved Hugging Face dataset.",
        show_default=False,
    ),
]
BundleArgument = Annotated[
    str,
    typer.Argument(
        metavar="BUNDLE", help="Folder that training or export wrote, or a bundle's hub id.", show_default=False
    ),
]
Validation = Annotated[
    str, typer.Option(metavar="FILE|FRACTION", help="Validation posts, where no split column names them.")
]
TextEncoderName = Annotated[str, option("text_encoder")]
TextColumn = Annotated[str, option("text_column")]
ImageColumn = Annotated[str, option("image_column")]
LabelColumn = Annotated[str, option("label_column")]
SplitColumn = Annotated[
    str | None, typer.Option(help="Column that says train, validation or test.", rich_help_panel="Columns")
]
GroupColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of authors, threads or the like, whose posts are never divided between learning and testing.",
        rich_help_panel="Columns",
    ),
]
TimeColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of dates or numbers; the latest posts validate and test, where no split column says which.",
        rich_help_panel="Columns",
    ),
]
OnlySplit = Annotated[str | None, typer.Option("--split", help="Only posts whose --split-column says this.")]
ImageRoot = Annotated[
    Path | None,
    typer.Option(help="Folder that picture paths are relative to and may not leave.", rich_help_panel="Columns"),
]
Encoding = Annotated[
    str | None, typer.Option(help="Character encoding of the file; UTF-8 by default.", rich_help_panel="Columns")
]
OnBad = Annotated[str, option("on_bad_image")]
MaxImages = Annotated[int | None, option("max_images", optional=True)]
Frames = Annotated[int | None, option("frames", optional=True)]
Abstain = Annotated[
    float | None,
    typer.Option(
        metavar="ACCURACY",
        help="Answer 'unsure' below the confidence that it took on the validation posts to be right so often.",
    ),
]
Coverage = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Add a set of labels, or for numbers an interval, that holds the truth of this share of posts, such as "
        "0.9.",
    ),
]
Sets = Annotated[
    str | None,
    typer.Option(
        metavar="lac|adaptive",
        help="Which sets: lac, the default, small on average; or adaptive, large for hard posts alone.",
    ),
]
Ood = Annotated[
    bool,
    typer.Option(
        "--ood",
        help="Say how unlike the training posts each post is, and whether its text, its image or their pairing.",
    ),
]
Preset = Annotated[
    str,
    typer.Option(
        metavar="|".join(PRESETS),
        help="Settings to start from; options that are given win. fast is the probe alone, quicker still once "
        "its encoders have seen the posts; best averages several trainings, with changed copies of the images, in "
        "three times the time: "
        + "; ".join(
            f"{preset} sets {', '.join(spelled(name, value) for name, value in values.items())}"
            for preset, values in PRESETS.items()
            if values
        )
        + ".",
    ),
]
ReadImageText = Annotated[bool, option("read_image_text")]
Normalise = Annotated[str, option("normalise")]
ALL_KINDS = ",".join(DEFAULTS["normalise"])
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-host",
        metavar="NAME",
        help="Name or address under which it is asked, beside localhost; needed where others can reach it; repeatable.",
    ),
]
Device = Annotated[str | None, option("device")]
Engine = Annotated[
    str | None,
    typer.Option("--engine", help="What runs an exported model: onnxruntime, or openvino, faster on many CPUs."),
]


class Terminal(Console):
    """Prints texts as they are: brackets are no markup, colons no emoji, and control characters shown, not obeyed."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """See ``rich.console.Console.print``."""
        super().print(*(visible_lines(one) if isinstance(one, str) else one for one in objects), **options)


out = Terminal()


def columns_to_learn_from(use: Columns, settings: Mapping[str, Any]) -> Columns:
    """Check settings, also against the columns of the posts; return the columns with those of the settings' fields."""
    check_settings({**settings, **{f"{part}_column": getattr(use, part) for part in ("text", "image", "label")}})
    return with_further_columns(replace(use, labelling=chosen_target(settings)), settings)


def two_texts(use: Columns) -> dict[str, Any]:
    """Return the setting that names two columns of texts, which have no usual names; nothing for one column."""
    return {"text_column": use.text} if "," in (use.text or "") else {}


def with_preset(context: typer.Context, preset: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with those of a preset in place of options that were not given.

    Raises:
        SettingsError: there is no such preset.
    """
    chosen = preset_settings(preset)
    sources = {name: context.get_parameter_source(name) for name in chosen}
    return {**settings, **{name: chosen[name] for name, source in sources.items() if _is_default(source)}}


Said = list[tuple[str, str | None]]
"""Lines to print, each with its style."""


def affected_lines(problems: list[Problem], policy: str) -> Said:
    """List and count the posts that --on-bad-image skipped or left without their picture."""
    lines = [f"{policy}: {problem}" for problem in problems]
    lines += [f"{affected(len(problems), policy)} (--on-bad-image {policy})."] if problems else []
    return [(line, "yellow") for line in lines]


def say_affected(problems: list[Problem], policy: str) -> None:
    """Print ``affected_lines``."""
    for line, style in affected_lines(problems, policy):
        out.print(line, style=style)


def sentence(scores: ScoreTable) -> str:
    """Return the main scores in one line."""
    without_posts = untested(scores)
    return f"{scores} on {counted(scores.n, 'post')}" + (f", {without_posts}" if without_posts else "")


def _is_default(source: Any) -> bool:
    return source is None or source.name in ("DEFAULT", "DEFAULT_MAP")


def _layers(value: str) -> float | None:
    try:
        return None if value == "all" else float(value)
    except ValueError:
        raise SettingsError(f"--train-layers {value}: give a number of layers, a share of them, or all") from None


def _names(value: str) -> tuple[str, ...]:
    return tuple(name for part in value.split(",") if (name := part.strip()))


_FORMS: dict[str, tuple[type, Any, Callable[[Any], Any]]] = {
    "fusion": (str, DEFAULTS["fusion"], str),
    "on_bad_image": (str, DEFAULTS["on_bad_image"], valid_policy),
    "train_layers": (str, str(DEFAULTS["train_layers"]), _layers),
    "normalise": (str, ALL_KINDS, valid_kinds),
    "number_columns": (str, "", _names),
    "category_columns": (str, "", _names),
    "label_order": (str, "", _names),
    "class_weight": (str, DEFAULTS["class_weight"], lambda value: None if value == "none" else value),
}
"""Settings whose options differ from Python's arguments: the option's type, its default, and the conversion."""

_COLUMN_OPTIONS: dict[str, tuple[Any, Any]] = {
    "text_column": (TextColumn, "text"),
    "image_column": (ImageColumn, "image"),
    "label_column": (LabelColumn, "label"),
    "split_column": (SplitColumn, None),
    "image_root": (ImageRoot, None),
}

COLUMNS_READ = {name: _COLUMN_OPTIONS[name] for name in ("text_column", "image_column", "image_root")}
"""The options of commands that need no labels."""

_Command = TypeVar("_Command", bound=Callable[..., None])


def takes_columns(command: _Command, options: Mapping[str, tuple[Any, Any]] = _COLUMN_OPTIONS) -> _Command:
    """Give a command the options on the columns of its posts, and pass it ``Columns`` as ``use``, and ``encoding``."""
    generated = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)
        for name, (annotation, default) in ({**options, "encoding": (Encoding, None)}).items()
    ]

    @functools.wraps(command)
    def run(*args: Any, **arguments: Any) -> None:
        named: dict[str, Any] = {
            name.removesuffix("_column"): arguments.pop(name, default) or None  # an empty name is none
            for name, (_, default) in options.items()
        }
        command(*args, use=Columns(**named), **arguments)

    own = inspect.signature(command).parameters.values()
    settings = [one for one in own if one.kind is one.VAR_KEYWORD]
    others = [one for one in own if one.name not in ("use", "encoding") and one not in settings]
    run.__signature__ = inspect.Signature(others + generated + settings)  # type: ignore[attr-defined]
    return run  # type: ignore[return-value]


def takes_division(command: _Command) -> _Command:
    """Give a command also the options on columns that decide how posts are divided; see ``takes_columns``."""
    dividing = {"group_column": (GroupColumn, None), "time_column": (TimeColumn, None)}
    return takes_columns(command, _COLUMN_OPTIONS | dividing)


def takes_settings(names: Iterable[str], optional: Iterable[str] = (), panel: str | None = None) -> Any:
    """Give a command an option for each of these settings, and pass it their values as ``**settings``.

    Args:
        names: settings whose options have the default of ``Config``.
        optional: settings that are passed only if the option is used.
        panel: of the help, for these.
    """
    left_open = tuple(optional)

    def decorate(command: _Command) -> _Command:
        generated = [_parameter(name) for name in names] + [_parameter(name, True, panel) for name in left_open]

        @functools.wraps(command)
        def run(*args: Any, **arguments: Any) -> None:
            for parameter in generated:
                name, value = parameter.name, arguments.pop(parameter.name, parameter.default)
                if name in left_open and (value is None or value is False):
                    continue
                arguments[name] = _FORMS[name][2](value) if name in _FORMS else value
            command(*args, **arguments)

        own = [one for one in inspect.signature(command).parameters.values() if one.kind is not one.VAR_KEYWORD]
        required = [one for one in own if one.default is one.empty]
        signature = inspect.Signature(required + generated + own[len(required) :])
        run.__signature__ = signature  # type: ignore[attr-defined]
        return run  # type: ignore[return-value]

    return decorate


def _parameter(name: str, optional: bool = False, panel: str | None = None) -> inspect.Parameter:
    kind, default, _ = _FORMS.get(name, (TYPES[name], DEFAULTS[name], None))
    if optional and kind is not bool:
        kind, default = kind | None, None
    annotation = Annotated[kind, option(name, optional=optional, panel=panel)]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)


def check_page(name: str, path: Path) -> None:
    """Check that the page an option names is an .html file.

    Raises:
        SettingsError: it is not.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise SettingsError(f"{name} {path}: the page is HTML: give it the ending .html")
