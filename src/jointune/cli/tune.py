"""jointune tune."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from jointune.cli.options import (
    Encoding,
    Force,
    ImageColumn,
    ImageRoot,
    LabelColumn,
    PostsArgument,
    Quiet,
    SplitColumn,
    TextColumn,
    Validation,
    columns,
    out,
    say_affected,
    takes_settings,
)
from jointune.cli.posts_options import read_parts
from jointune.config import check_settings
from jointune.fusion.registry import check_fusion
from jointune.tuning.study import FUSIONS, SPACE, Budget
from jointune.utils.extras import check_installed
from jointune.utils.files import TUNING_MARK
from jointune.utils.run_folder import RunFolder, locking


@locking("folder")
@takes_settings(
    ("text_encoder", "image_encoder", "metric", "precision", "on_bad_image", "seed"),
    ("class_weight", "read_image_text", "batch_size", "micro_batch_size", "max_tokens"),
)
@takes_settings((), [name for name in SPACE if name != "fusion"], "Fixed instead of searched")
def tune(
    posts: PostsArgument,
    folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write.", show_default=False)],
    trials: Annotated[
        int | None, typer.Option(help="How many trainings; 20 where neither this nor --time-limit is given.")
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="No trial starts that would likely end later.")
    ] = None,
    fusions: Annotated[str, typer.Option(metavar="NAME[:WIDTH],...", help="The fusions to choose among.")] = ",".join(
        FUSIONS
    ),
    validation: Validation = "0.1",
    text_column: TextColumn = "text",
    image_column: ImageColumn = "image",
    label_column: LabelColumn = "label",
    split_column: SplitColumn = None,
    image_root: ImageRoot = None,
    encoding: Encoding = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on; trials and minutes spent earlier count.")] = False,
    force: Force = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Search for the settings that suit the posts best, and say whether they beat the default recipe.

    Every finished trial is stored at once. Posts that the split column marks as test are not used.
    """
    arguments = dict(locals())
    names = [name.strip() for name in fusions.split(",")]
    check_installed("optuna", "tune", "tuning")
    check_settings(settings)
    for name in names:
        check_fusion(name, "fusions")
    Budget(trials, time_limit)
    RunFolder(folder, TUNING_MARK, resume=resume, force=force).refuse()
    use = columns(text_column, image_column, label_column, split_column, image_root)
    learned, held, _ = read_parts(posts, split_column, validation, use, encoding)

    from jointune import tune as search
    from jointune.tuning.result import InterruptedTuning, Tuned

    def say(tuned: Tuned) -> None:
        say_affected(tuned.problems, settings["on_bad_image"])
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
            progress=not quiet,
            **settings,
        )
    except InterruptedTuning as stopped:
        if stopped.tuned:
            say(stopped.tuned)
        raise
    say(tuned)


def _train(arguments: dict[str, Any], options: list[str]) -> list[str]:
    """The words of the command that trains the best settings on the same posts."""
    folder: Path = arguments["folder"]
    words = ["jointune", "train", str(arguments["posts"]), "--out", str(folder.with_name(f"{folder.name}-best"))]
    usual = {"text_column": "text", "image_column": "image", "label_column": "label", "validation": "0.1"}
    for name in ("split_column", "validation", "text_column", "image_column", "label_column", "image_root", "encoding"):
        if arguments[name] != usual.get(name) and not (name == "validation" and arguments["split_column"]):
            words += [f"--{name.replace('_', '-')}", str(arguments[name])]
    return words + options
