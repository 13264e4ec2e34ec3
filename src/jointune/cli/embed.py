"""jointune embed."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from jointune.cli.kept_parts import known_by, write_parts
from jointune.cli.options import (
    BundleArgument,
    Device,
    Encoding,
    Engine,
    Force,
    ImageColumn,
    ImageRoot,
    OnBad,
    PostsArgument,
    Quiet,
    TextColumn,
    out,
)
from jointune.data.post import Post
from jointune.data.problems import valid_policy
from jointune.data.read import Columns, PostsFile, label_text
from jointune.errors import PostsError, SettingsError
from jointune.inference.load import check_options, columns_of, load_predictor
from jointune.output.resumable import Parts, refuse_outputs
from jointune.output.vectors import ID, ROW, VECTOR, check_vectors_output, vectors_schema
from jointune.output.writers import Layout
from jointune.utils.run_folder import locking
from jointune.utils.wording import counted, listed

if TYPE_CHECKING:
    from jointune.inference.scored import Scored

_NUMBER = "\0row"
"""The field that carries a post's number; no column is named so."""


@locking("path")
def embed(
    bundle: BundleArgument,
    posts: PostsArgument,
    path: Annotated[
        Path, typer.Option("--out", metavar="VECTORS", help="A .parquet or .npz file.", show_default=False)
    ],
    of: Annotated[
        str,
        typer.Option(
            metavar="joint|MODALITY",
            help="joint: of all that a post has, as the fusion gives it; or of one modality, such as text or image.",
        ),
    ] = "joint",
    id_column: Annotated[
        str | None, typer.Option(help="Column that names each post, to be written too.", rich_help_panel="Columns")
    ] = None,
    text_column: TextColumn = "text",
    image_column: ImageColumn = "image",
    image_root: ImageRoot = None,
    encoding: Encoding = None,
    on_bad_image: OnBad = "error",
    device: Device = None,
    engine: Engine = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interrupt, an error or a kill.")] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Write a vector of each post, for search, clustering and duplicates.

    Each row has the number of the post in its table and its vector, in float32. A joint vector exists for every post; a
    modality's own is null (in .npz a row of NaN) where the post lacks the modality.

    Finished parts of an unfinished run are kept beside VECTORS, as VECTORS.partial: --resume goes on from them, --force
    discards them.
    """
    policy = valid_policy(on_bad_image)
    check_vectors_output(path)
    check_options(bundle, device, engine=engine)
    refuse_outputs(path, policy == "skip", resume, force, posts)
    use = Columns(text_column or None, image_column or None, None, None, image_root)
    file = PostsFile(posts, columns_of(bundle, use), encoding)
    if id_column is not None and id_column not in file.columns:
        raise SettingsError(
            f"--id-column {id_column}: {file.path.name} has no such column "
            f"(there are: {listed(file.columns, len(file.columns))})"
        )
    total = file.count(strict=policy != "skip")
    predictor = load_predictor(bundle, device, engine=engine)
    run = known_by(
        bundle,
        file,
        of=of,
        id_column=id_column,
        text_column=text_column,
        image_column=image_column,
        image_root=image_root,
        encoding=encoding,
        on_bad_image=policy,
        device=device,
        engine=engine,
    )
    schema = vectors_schema(id_column is not None)
    parts = Parts(path, Layout(path.suffix.lower(), schema.names, schema), run, resume, ["--on-bad-image"])
    score = partial(predictor.chunks, islice(_numbered(file), parts.read, None), policy, file.path.name, of=of)
    rows = partial(_rows, id_column=id_column)
    written = write_parts(parts, path, total, policy, score, rows, ("embedding", not quiet), force)
    out.print(f"wrote {path}: {counted(written, 'vector')}")


def _numbered(posts: Iterable[Post]) -> Iterator[Post]:
    return (replace(post, fields={**post.fields, _NUMBER: number}) for number, post in enumerate(posts, 1))


def _rows(scored: "list[Scored]", id_column: str | None) -> Iterator[dict[str, object]]:
    for entry in scored:
        vector = entry.probabilities
        row: dict[str, object] = {ROW: entry.post.fields[_NUMBER]}
        if id_column is not None:
            row[ID] = _name(entry.post, id_column)
        yield {**row, VECTOR: None if np.isnan(vector).any() else vector}


def _name(post: Post, column: str) -> str | None:
    try:
        return label_text(post.fields.get(column))
    except TypeError as reason:
        raise PostsError(f"{post.where}: column {column!r}: {reason}") from reason
