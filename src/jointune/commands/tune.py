"""jointune tune."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from jointune.commands.options import (
    Encoding,
    Force,
    ImageColumn,
    ImageEncoderName,
    ImageRoot,
    LabelColumn,
    OnBad,
    PostsArgument,
    Precision,
    Quiet,
    ReadImageText,
    SplitColumn,
    TextColumn,
    TextEncoderName,
    Validation,
    columns,
    layers_option,
    out,
    say_affected,
)
from jointune.commands.parts import read_parts
from jointune.extras import check_installed
from jointune.files import TUNING_MARK
from jointune.fusion.choice import check_fusion
from jointune.posts.problems import valid_policy
from jointune.run_folder import locking, refuse_existing
from jointune.training.recipe import check_settings
from jointune.tuning.budget import Budget

_FIX = "Fixed instead of searched"


@locking("folder")
def tune(
    posts: PostsArgument,
    folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write.", show_default=False)],
    trials: Annotated[
        int | None, typer.Option(help="How many trainings; 20 where neither this nor --time-limit is given.")
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="No trial starts that would likely end later.")
    ] = None,
    text_encoder: TextEncoderName = "minilm-l6",
    image_encoder: ImageEncoderName = "efficientnet-lite0",
    fusions: Annotated[
        str, typer.Option(metavar="NAME[:WIDTH],...", help="The fusions to choose among.")
    ] = "gated,gated:512,concat,cross-attention",
    metric: Annotated[
        str, typer.Option(metavar="accuracy|macro_f1|weighted_f1|log_loss", help="What to search for.")
    ] = "accuracy",
    validation: Validation = "0.1",
    balanced: Annotated[bool, typer.Option("--balanced", help="Weigh labels by their rarity.")] = False,
    batch_size: Annotated[int | None, typer.Option(help="Posts a step; as for `jointune train` by default.")] = None,
    micro_batch_size: Annotated[int | None, typer.Option(help="Posts at once; less takes less memory.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Cut texts to this many tokens.")] = None,
    precision: Precision = "auto",
    read_image_text: ReadImageText = False,
    on_bad_image: OnBad = "error",
    seed: Annotated[int, typer.Option(help="Of every training and of the search.")] = 0,
    epochs: Annotated[int | None, typer.Option(help="Most passes over the posts.", rich_help_panel=_FIX)] = None,
    encoder_lr: Annotated[float | None, typer.Option(help="Peak rate of both encoders.", rich_help_panel=_FIX)] = None,
    head_lr: Annotated[float | None, typer.Option(help="Peak rate of fusion and head.", rich_help_panel=_FIX)] = None,
    train_layers: Annotated[
        str | None,
        typer.Option(
            metavar="K|SHARE|all", help="Upper layers of each encoder that are trained.", rich_help_panel=_FIX
        ),
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(help="AdamW's decay.", rich_help_panel=_FIX)] = None,
    modality_dropout: Annotated[
        float | None, typer.Option(help="Chance to hide one modality of a post.", rich_help_panel=_FIX)
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(help="Share spread over all labels.", rich_help_panel=_FIX)
    ] = None,
    text_column: TextColumn = "text",
    image_column: ImageColumn = "image",
    label_column: LabelColumn = "label",
    split_column: SplitColumn = None,
    image_root: ImageRoot = None,
    encoding: Encoding = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on; trials and minutes spent earlier count.")] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Search for the settings that suit the posts best, and say whether they beat the default recipe.

    Every finished trial is stored at once. Posts that the split column marks as test are not used.
    """
    arguments = dict(locals())
    settings, policy = _settings(arguments), valid_policy(on_bad_image)
    names = [name.strip() for name in fusions.split(",")]
    check_installed("optuna", "tune", "tuning")
    check_settings(settings | {"metric": metric, "seed": seed})
    for name in names:
        check_fusion(name, "fusions")
    Budget(trials, time_limit)
    refuse_existing(folder, force, TUNING_MARK, resume=resume)
    use = columns(text_column, image_column, label_column, split_column, image_root)
    learned, held, _ = read_parts(posts, split_column, validation, use, encoding)

    from jointune import tune as search
    from jointune.tuning.result import InterruptedTuning, Tuned

    def say(tuned: Tuned) -> None:
        say_affected(tuned.problems, on_bad_image)
        out.print(tuned.summary())
        out.print("\nTo train with the best settings:")
        out.print(shlex.join(_train(arguments, tuned.options)))
        out.print(f"\nwrote {folder / 'report.md'}")

    try:
        tuned = search(
            learned,
            validation=held,
            out=folder,
            trials=trials,
            time_limit=time_limit,
            resume=resume,
            force=force,
            fusions=names,
            metric=metric,
            on_bad_image=policy,
            seed=seed,
            progress=not quiet,
            **settings,
        )
    except InterruptedTuning as stopped:
        if stopped.tuned:
            say(stopped.tuned)
        raise
    say(tuned)


def _settings(arguments: dict[str, Any]) -> dict[str, Any]:
    """The settings of all trials; those that were not given keep their defaults, or are searched."""
    names = (
        "text_encoder",
        "image_encoder",
        "batch_size",
        "micro_batch_size",
        "max_tokens",
        "precision",
        "epochs",
        "encoder_lr",
        "head_lr",
        "weight_decay",
        "modality_dropout",
        "label_smoothing",
    )
    given = {name: arguments[name] for name in names if arguments[name] is not None}
    if arguments["train_layers"] is not None:
        given["train_layers"] = layers_option(arguments["train_layers"])
    flags = {"read_image_text": True} if arguments["read_image_text"] else {}
    return given | flags | ({"class_weight": "balanced"} if arguments["balanced"] else {})


def _train(arguments: dict[str, Any], options: list[str]) -> list[str]:
    """The words of the command that trains the best settings on the same posts."""
    folder: Path = arguments["folder"]
    words = ["jointune", "train", str(arguments["posts"]), "--out", str(folder.with_name(f"{folder.name}-best"))]
    usual = {"text_column": "text", "image_column": "image", "label_column": "label", "validation": "0.1"}
    for name in ("split_column", "validation", "text_column", "image_column", "label_column", "image_root", "encoding"):
        if arguments[name] != usual.get(name) and not (name == "validation" and arguments["split_column"]):
            words += [f"--{name.replace('_', '-')}", str(arguments[name])]
    return words + options
