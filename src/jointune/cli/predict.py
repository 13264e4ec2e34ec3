"""jointune predict."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from jointune.cli.kept_parts import known_by, write_parts
from jointune.cli.options import (
    Abstain,
    BundleArgument,
    Coverage,
    Device,
    Encoding,
    Engine,
    Force,
    Frames,
    ImageColumn,
    ImageRoot,
    MaxImages,
    OnBad,
    Ood,
    Quiet,
    Sets,
    TextColumn,
    out,
)
from jointune.cli.predict_parts import predict_parts
from jointune.cli.scale_options import Cpus, Gpus, Part, Ray, WorkerNumber, chosen_workers
from jointune.data.problems import valid_policy
from jointune.data.read import Columns
from jointune.data.remote import is_address
from jointune.errors import SettingsError, setting
from jointune.modalities.text.text_fit import TextFitCounter
from jointune.output.predicted_table import PredictedTable, PredictOptions
from jointune.output.resumable import Parts, refuse_outputs
from jointune.utils.run_folder import locking
from jointune.utils.wording import counted, listed


def predict(
    bundle: BundleArgument,
    posts: Annotated[
        str,
        typer.Argument(
            metavar="POSTS",
            help="CSV, TSV, JSONL, JSON or Parquet file, a folder of such files, a saved Hugging Face dataset, or the "
            "http, https, s3 or gs address of a file; with --ray or --part also the s3 or gs address of a folder.",
            show_default=False,
        ),
    ],
    scored: Annotated[
        str,
        typer.Option(
            "--out",
            metavar="SCORED",
            help="A .parquet, .csv, .tsv or .jsonl file; with --ray or --part a folder, or an s3 or gs address.",
            show_default=False,
        ),
    ],
    text_column: TextColumn = "text",
    image_column: ImageColumn = "image",
    image_root: ImageRoot = None,
    remote_images: Annotated[
        bool,
        typer.Option(
            "--remote-images",
            help="Fetch pictures that the posts name by address, wherever it leads.",
            rich_help_panel="Columns",
        ),
    ] = False,
    encoding: Encoding = None,
    prefix: Annotated[
        str,
        typer.Option(
            help="Of the names of the added columns, such as new_, where the posts have columns of these names.",
            rich_help_panel="Columns",
        ),
    ] = "",
    safe_csv: Annotated[
        bool,
        typer.Option(
            "--safe-csv", help="In .csv and .tsv, put a ' before a text that a spreadsheet would take for a formula."
        ),
    ] = False,
    on_bad_image: OnBad = "error",
    max_images: MaxImages = None,
    frames: Frames = None,
    abstain: Abstain = None,
    coverage: Coverage = None,
    sets: Sets = None,
    ood: Ood = False,
    device: Device = None,
    engine: Engine = None,
    ray: Ray = None,
    workers: WorkerNumber = None,
    cpus_per_worker: Cpus = None,
    gpus_per_worker: Gpus = None,
    part: Part = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interrupt, an error or a kill.")] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Add a prediction, its confidence and the probability of each label to every row, in order.

    Where a table was scored before, the new columns replace those in SCORED; the table itself stays as it is.

    Finished parts of an unfinished run are kept beside SCORED, as SCORED.partial: --resume goes on from them, --force
    discards them. --on-bad-image skip leaves out every row that cannot be used, also a malformed one and one with
    neither text nor picture, and lists them in SCORED.skipped.csv.

    With --ray, the workers of a Ray cluster score each table of a folder, or each 5,000 rows of a single table, into a
    table of the folder SCORED. --part does so for a share of them, without Ray. --resume scores what is not finished
    there.
    """
    by_parts = ray is not None or part is not None
    if safe_csv and not by_parts and Path(scored).suffix.lower() not in (".csv", ".tsv"):
        raise SettingsError(f"--safe-csv is of .csv and .tsv files, and {Path(scored).name} is none: leave it out")
    options = PredictOptions(
        bundle,
        Columns(text_column or None, image_column or None, None, None, image_root, remote_images),
        encoding,
        valid_policy(on_bad_image),
        max_images,
        frames,
        abstain,
        coverage,
        sets,
        ood,
        device,
        engine,
        prefix,
        safe_csv,
    )
    cluster = chosen_workers(ray, workers, cpus_per_worker, gpus_per_worker)
    options.check()
    if by_parts:
        predict_parts(options, posts, scored, ray, cluster, part, resume, force, quiet)
    else:
        _predict_whole(Path(scored), posts, options, resume, force, quiet)


@locking("path")
def _predict_whole(path: Path, posts: str, options: PredictOptions, resume: bool, force: bool, quiet: bool) -> None:
    """Score an input into one file."""
    policy = options.on_bad_image
    refuse_outputs(path, policy == "skip", resume, force, None if is_address(posts) else Path(posts))
    table = PredictedTable(options.open(posts, not quiet), options)
    file, replaced = table.file, table.replaced
    table.check(path)
    total = file.count(strict=policy != "skip")
    predictor = options.load()
    table.check(path, predictor)
    if replaced:
        out.print(
            f"note: the posts were scored before: {listed(replaced, len(replaced))} are replaced in {path.name}; "
            f"{file.path.name} keeps them, and --prefix new_ would keep both",
            style="yellow",
        )
    # The least confidence comes from a file of the bundle that may be edited.
    settings = options.described() | {setting("abstain"): predictor.least_confidence}
    run = known_by(options.bundle, file) | settings
    parts = Parts(path, table.layout(path, predictor), run, resume, on_problems=["--on-bad-image"])
    fit = TextFitCounter(predictor.text)
    score = partial(table.chunks, predictor, parts.read, fit=fit)
    rows = partial(table.rows, predictor=predictor)
    written = write_parts(parts, path, total, policy, score, rows, ("predicting", not quiet), force)
    for note in predictor.notes_on_texts(fit):
        out.print(f"note: {note}.", style="yellow")
    out.print(f"wrote {path}: {counted(written, 'post')}")
