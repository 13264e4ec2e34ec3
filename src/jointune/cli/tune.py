"""jointune tune."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from jointune.cli.options import (
    Force,
    PostsArgument,
    Quiet,
    Validation,
    columns_to_learn_from,
    out,
    say_affected,
    takes_division,
    takes_settings,
    two_texts,
)
from jointune.cli.posts_options import read_training_posts
from jointune.cli.scale_options import Cpus, Gpus, Ray, chosen_workers
from jointune.data.divide import VALIDATION
from jointune.data.read import Columns
from jointune.fusion.registry import check_fusion
from jointune.scale.ray_cluster import Workers, check_cluster
from jointune.tuning.study import FUSIONS, SPACE, Budget
from jointune.utils.extras import check_installed
from jointune.utils.files import TUNING_MARK
from jointune.utils.run_folder import RunFolder, locking


@locking("folder")
@takes_settings(
    ("text_encoder", "image_encoder", "metric", "precision", "on_bad_image", "seed"),
    (
        *("target", "label_order", "threshold", "class_weight", "read_image_text", "max_images", "frames"),
        *("batch_size", "micro_batch_size", "max_tokens", "number_columns", "category_columns"),
        *("audio_column", "audio_encoder", "audio_seconds"),
    ),
)
@takes_settings((), [name for name in SPACE if name != "fusion"], "Fixed instead of searched")
@takes_division
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
    ray: Ray = None,
    cpus_per_worker: Cpus = None,
    gpus_per_worker: Gpus = None,
    use: Columns = Columns(),  # noqa: B008 - immutable
    encoding: str | None = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on; trials and minutes spent earlier count.")] = False,
    force: Force = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Search for the settings that suit the posts best, and say whether they beat the default recipe.

    Every finished trial is stored at once. Posts that the split column marks as test are not used. With --ray, as many
    trials run at a time as the cluster has room for.
    """
    workers = chosen_workers(ray, None, cpus_per_worker, gpus_per_worker) or Workers()
    if ray is not None:
        check_cluster(ray)
    names = [name.strip() for name in fusions.split(",")]
    check_installed("optuna", "tune", "tuning")
    use = columns_to_learn_from(use, settings)
    for name in names:
        check_fusion(name, "fusions")
    Budget(trials, time_limit)
    RunFolder(folder, TUNING_MARK, resume=resume, force=force).refuse()
    learned, held = read_training_posts(posts, validation, use, encoding)

    from jointune import tune as search
    from jointune.tuning.result import InterruptedTuning, Tuned

    def say(tuned: Tuned) -> None:
        say_affected(tuned.problems, settings["on_bad_image"])
        out.print(tuned.summary())
        out.print("\nTo train with the best settings:")
        out.print(shlex.join(_train(posts, folder, validation, use, encoding) + tuned.options))
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
            ray=ray,
            cpus_per_worker=workers.cpus,
            gpus_per_worker=workers.gpus,
            **settings,
            **two_texts(use),
        )
    except InterruptedTuning as stopped:
        if stopped.tuned:
            say(stopped.tuned)
        raise
    say(tuned)


def _train(posts: Path, folder: Path, validation: str, use: Columns, encoding: str | None) -> list[str]:
    """Return the words of a command that trains on the same posts."""
    words = ["jointune", "train", str(posts), "--out", str(folder.with_name(f"{folder.name}-best"))]
    usual = Columns()
    for flag, value, default in (
        ("--split-column", use.split, usual.split),
        ("--group-column", use.group, usual.group),
        ("--time-column", use.time, usual.time),
        ("--validation", str(VALIDATION) if use.split else validation, str(VALIDATION)),
        ("--text-column", usual.text if two_texts(use) else use.text, usual.text),  # two are in the best settings
        ("--image-column", use.image, usual.image),
        ("--label-column", use.label, usual.label),
        ("--image-root", use.image_root, usual.image_root),
        ("--encoding", encoding, None),
    ):
        if value != default:
            words += [flag, str(value or "")]
    return words
