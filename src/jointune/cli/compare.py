"""jointune compare."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jointune.cli.options import (
    Force,
    PostsArgument,
    Quiet,
    columns_to_learn_from,
    out,
    say_affected,
    takes_division,
    takes_settings,
    two_texts,
)
from jointune.cli.posts_options import read_whole
from jointune.cli.scale_options import Cpus, Gpus, Ray, chosen_workers
from jointune.comparison.methods import METHODS, Setup, chosen_methods, valid_budgets
from jointune.data.read import Columns
from jointune.errors import SettingsError
from jointune.scale.ray_cluster import Workers, check_cluster
from jointune.utils.files import COMPARISON_MARK
from jointune.utils.run_folder import RunFolder, locking
from jointune.utils.wording import counted


@locking("report")
@takes_settings(
    ("text_encoder", "image_encoder", "fusion", "metric", "on_bad_image"),
    (
        *("target", "label_order", "threshold", "epochs", "read_image_text", "max_images", "frames"),
        *("number_columns", "category_columns", "audio_column", "audio_encoder", "audio_seconds"),
    ),
)
@takes_division
def compare(
    posts: PostsArgument,
    report: Annotated[Path, typer.Option("--out", metavar="REPORT_DIR", help="Folder to write.", show_default=False)],
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help=f"Any of {', '.join(METHODS)}. By default all but mual and splitting; the two of CLIP where --clip "
            "is given.",
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Number of folds, 5 by default, where no split column is named.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each method on each fold.")] = 1,
    label_budgets: Annotated[
        str, typer.Option(metavar="8,16,...,all", help="Numbers of training posts a label.")
    ] = "all",
    clip: Annotated[str | None, typer.Option(help="A CLIP checkpoint: a folder, or a Hugging Face id.")] = None,
    visualbert: Annotated[
        str | None, typer.Option(help="A VisualBERT checkpoint; the text encoder by default.")
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(metavar="TEMPLATE|FILE", help="For clip-zero-shot: with {label}, or JSON from label to prompt."),
    ] = None,
    ray: Ray = None,
    cpus_per_worker: Cpus = None,
    gpus_per_worker: Gpus = None,
    use: Columns = Columns(),  # noqa: B008 - immutable
    encoding: str | None = None,
    resume: Annotated[bool, typer.Option("--resume", help="Run only the cells that REPORT_DIR lacks.")] = False,
    force: Force = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Compare methods on the same posts, folds, seeds and numbers of training posts, and write a report.

    Every finished cell is stored at once. The exit code is 1 where a cell crashed; --resume tries those again. With
    --ray, as many cells run at a time as the cluster has room for.
    """
    if use.split and folds is not None:
        raise SettingsError("--folds and --split-column: the posts are divided by one or the other")
    workers = chosen_workers(ray, None, cpus_per_worker, gpus_per_worker) or Workers()
    if ray is not None:
        check_cluster(ray)
    wanted, templates = _list(label_budgets), read_prompts(prompts)
    names = _list(methods) if methods is not None else None
    use = columns_to_learn_from(use, settings)
    settings |= two_texts(use)
    chosen_methods(names, Setup(settings, clip, visualbert, templates))
    valid_budgets(wanted)
    RunFolder(report, COMPARISON_MARK, resume=resume, force=force).refuse()
    read = read_whole(posts, use, encoding)

    from jointune import compare as run

    comparison = run(
        read,
        methods=names,
        folds=None if use.split else 5 if folds is None else folds,
        seeds=seeds,
        label_budgets=wanted,
        out=report,
        resume=resume,
        force=force,
        clip=clip,
        visualbert=visualbert,
        prompts=templates,
        progress=not quiet,
        ray=ray,
        cpus_per_worker=workers.cpus,
        gpus_per_worker=workers.gpus,
        **settings,
    )
    say_affected(list(comparison.problems), settings["on_bad_image"])
    if comparison.results:
        out.print(comparison.summary().text(out.width))
    out.print(f"wrote {report / 'report.html'}")
    if comparison.failures:
        for failure in comparison.failures:
            out.print(f"failed: {failure.cell}: {failure.reason}", style="red")
        out.print(
            f"{counted(len(comparison.failures), 'cell')} crashed; the same command with --resume tries again",
            style="red",
        )
        raise typer.Exit(1)


def _list(values: str) -> list[str]:
    return [value.strip() for value in values.split(",") if value.strip()]


def read_prompts(prompts: str | None) -> str | dict[str, str] | None:
    """Return a template with ``{label}`` as it is, or else the content of a JSON file."""
    if prompts is None or "{label}" in prompts:
        return prompts
    try:
        by_label = json.loads(Path(prompts).read_text(encoding="utf-8"))
    except (OSError, ValueError) as reason:
        raise SettingsError(
            f"--prompts {prompts}: neither a template with {{label}} nor a JSON file: {reason}"
        ) from reason
    if not isinstance(by_label, dict):
        raise SettingsError(f"--prompts {prompts}: the file must map each label to its prompt")
    return by_label
