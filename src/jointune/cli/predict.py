"""jointune predict."""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from jointune.config import check_settings
from jointune.data.problems import valid_policy
from jointune.data.read import Columns, PostsFile
from jointune.data.remote import is_address
from jointune.errors import SettingsError
from jointune.inference.load import check_options, columns_of, load_predictor
from jointune.modalities.text.text_fit import TextFitCounter
from jointune.output.resumable import Parts, refuse_outputs
from jointune.output.writers import added_columns, check_output, columns_of_earlier_scoring, make_layout
from jointune.utils.run_folder import locking
from jointune.utils.wording import counted, listed

if TYPE_CHECKING:
    from jointune.inference.predictor import Predictor
    from jointune.inference.scored import Scored


@locking("path")
def predict(
    bundle: BundleArgument,
    posts: Annotated[
        str,
        typer.Argument(
            metavar="POSTS",
            help="CSV, TSV, JSONL, JSON or Parquet file, a folder of such files, a saved Hugging Face dataset, or the "
            "http, https, s3 or gs address of a file.",
            show_default=False,
        ),
    ],
    path: Annotated[
        Path, typer.Option("--out", metavar="SCORED", help="A .parquet, .csv, .tsv or .jsonl file.", show_default=False)
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
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interrupt, an error or a kill.")] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Add a prediction, its confidence and the probability of each label to every row, in order.

    Where a table was scored before, the new columns replace those in SCORED; the table itself stays as it is.

    Finished parts of an unfinished run are kept beside SCORED, as SCORED.partial: --resume goes on from them, --force
    discards them. --on-bad-image skip leaves out every row that cannot be used, also a malformed one and one with
    neither text nor picture, and lists them in SCORED.skipped.csv.
    """
    policy = valid_policy(on_bad_image)
    if safe_csv and path.suffix.lower() not in (".csv", ".tsv"):
        raise SettingsError(f"--safe-csv is of .csv and .tsv files, and {path.name} is none: leave it out")
    if sets is not None and coverage is None:
        raise SettingsError("--sets is of prediction sets", "say how much they are to cover, such as --coverage 0.9")
    check_options(bundle, device, abstain, engine, coverage)
    check_settings({"max_images": max_images, "frames": frames})
    refuse_outputs(path, policy == "skip", resume, force, None if is_address(posts) else Path(posts))
    use = Columns(text_column or None, image_column or None, None, None, image_root, remote_images)
    file = PostsFile(posts, columns_of(bundle, use), encoding, not quiet)
    replaced = columns_of_earlier_scoring(file.table, prefix)
    kept = [name for name in file.columns if name not in set(replaced)]
    remedy = "rename it, or name the added columns otherwise, such as with --prefix new_"
    check_output(path, kept, added_columns([], prefix), remedy)
    total = file.count(strict=policy != "skip")
    predictor = load_predictor(bundle, device, abstain, engine, coverage, sets, ood).with_images(max_images, frames)
    added = [f"{prefix}{name}" for name in predictor.added_columns]
    check_output(path, kept, added, remedy)
    if replaced:
        out.print(
            f"note: the posts were scored before: {listed(replaced, len(replaced))} are replaced in {path.name}; "
            f"{file.path.name} keeps them, and --prefix new_ would keep both",
            style="yellow",
        )
    run = known_by(
        bundle,
        file,
        text_column=text_column,
        image_column=image_column,
        image_root=image_root,
        remote_images=remote_images,
        encoding=encoding,
        on_bad_image=policy,
        max_images=max_images,
        frames=frames,
        abstain=predictor.least_confidence,  # comes from a file of the bundle that may be edited
        coverage=coverage,
        sets=sets,
        ood=ood or None,
        prefix=prefix,
        safe_csv=safe_csv or None,
        device=device,
        engine=engine,
    )
    texts = {f"{prefix}{name}" for name in predictor.text_columns}
    layout = make_layout(path, file.table, added, replaced, safe_csv, texts)
    parts = Parts(path, layout, run, resume, on_problems=["--on-bad-image"])
    fit = TextFitCounter(predictor.text)
    score = partial(predictor.chunks, islice(file, parts.read, None), policy, file.path.name, fit=fit)
    rows = partial(_rows, predictor=predictor, added=added, left_out=replaced)
    written = write_parts(parts, path, total, policy, score, rows, ("predicting", not quiet), force)
    for note in predictor.notes_on_texts(fit):
        out.print(f"note: {note}.", style="yellow")
    out.print(f"wrote {path}: {counted(written, 'post')}")


def _rows(
    scored: "Sequence[Scored]", predictor: "Predictor", added: Sequence[str], left_out: Collection[str]
) -> Iterator[dict[str, Any]]:
    for entry in scored:
        fields = {name: value for name, value in entry.post.fields.items() if name not in left_out}
        yield {**fields, **dict(zip(added, predictor.cells(entry), strict=True))}
