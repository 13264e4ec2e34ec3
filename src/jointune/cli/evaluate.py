"""jointune evaluate."""

import json
from pathlib import Path
from typing import Annotated

import typer

from jointune.cli.options import (
    BundleArgument,
    Device,
    Engine,
    Force,
    OnBad,
    OnlySplit,
    PostsArgument,
    Quiet,
    out,
    say_affected,
    sentence,
    takes_columns,
)
from jointune.cli.posts_options import read_split
from jointune.data.problems import Problem, valid_policy
from jointune.data.read import Columns
from jointune.inference.load import check_options, columns_of, load_predictor
from jointune.utils.files import atomic_file
from jointune.utils.run_folder import locking, refuse_existing
from jointune.utils.wording import visible


@locking("path")
@takes_columns
def evaluate(
    bundle: BundleArgument,
    posts: PostsArgument,
    path: Annotated[
        Path | None, typer.Option("--out", metavar="metrics.json", help="Where to write the scores.")
    ] = None,
    split: OnlySplit = None,
    use: Columns = Columns(),  # noqa: B008 - immutable
    encoding: str | None = None,
    on_bad_image: OnBad = "error",
    device: Device = None,
    engine: Engine = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Score a bundle on labelled posts, with 95 % intervals."""
    if path:
        refuse_existing(path, force, source=posts)
    policy = valid_policy(on_bad_image)
    check_options(bundle, device, engine=engine)
    labelled = read_split(posts, split, columns_of(bundle, use), encoding)

    from jointune.inference.evaluate import evaluate_predictor

    problems: list[Problem] = []
    metrics = evaluate_predictor(
        load_predictor(bundle, device, engine=engine), labelled, policy, problems, progress=not quiet
    )
    if path:  # before anything is printed: nobody may be listening
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps(metrics.to_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    say_affected(problems, policy)
    out.print(sentence(metrics))
    for label, scores in metrics.by_label().items():
        out.print(f"  {visible(label)}: {scores}")
    if path:
        out.print(f"wrote {path}")
