"""jointune predict."""

from pathlib import Path
from typing import Annotated

import typer

from jointune.commands.options import (
    BundleArgument,
    Device,
    Encoding,
    Force,
    ImageColumn,
    ImageRoot,
    OnBad,
    PostsArgument,
    Quiet,
    TextColumn,
    columns,
    out,
    say_affected,
)
from jointune.errors import PostsError
from jointune.files import refuse_existing
from jointune.posts.problems import Problem, valid_policy
from jointune.posts.read import PostsFile
from jointune.posts.write import added_columns, check_output, open_writer
from jointune.progress import progress_bar


def predict(
    bundle: BundleArgument,
    posts: PostsArgument,
    path: Annotated[
        Path, typer.Option("--out", metavar="SCORED", help="A .parquet, .csv, .tsv or .jsonl file.", show_default=False)
    ],
    text_column: TextColumn = "text",
    image_column: ImageColumn = "image",
    image_root: ImageRoot = None,
    encoding: Encoding = None,
    on_bad_image: OnBad = "error",
    device: Device = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Add a prediction, its confidence and the probability of each label to every row, in order."""
    refuse_existing(path, force, source=posts)
    policy = valid_policy(on_bad_image)
    file = PostsFile(posts, columns(text_column, image_column, None, None, image_root), encoding)
    check_output(path, file.columns, added_columns([]))
    total = file.count(strict=True)
    if not total:
        raise PostsError(f"{posts.name}: no posts: the file has a header but no rows")

    from jointune.scorer import load_scorer

    scorer = load_scorer(bundle, device)
    labels = scorer.labels
    added = added_columns(labels)
    check_output(path, file.columns, added)
    problems: list[Problem] = []
    with progress_bar("predicting", shown=not quiet) as bar, open_writer(path, file.table, added) as writer:
        bar.start(total)
        for scored in scorer.stream(file, policy, problems, posts.name):
            row = scored.probabilities
            best = int(row.argmax())
            numbers = [float(row[best]), *map(float, row)]
            writer.write({**scored.post.fields, **dict(zip(added, [labels[best], *numbers], strict=True))})
            bar.advance()
    say_affected(problems, policy)
    out.print(f"wrote {path}: {total - (len(problems) if policy == 'skip' else 0):,} posts")
