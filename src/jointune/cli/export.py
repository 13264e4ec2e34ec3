"""jointune export."""

from pathlib import Path
from typing import Annotated

import typer

from jointune.cli.options import Force, OnlySplit, out, takes_columns
from jointune.cli.posts_options import read_split
from jointune.data.post import Posts
from jointune.data.read import Columns
from jointune.errors import SettingsError
from jointune.inference.load import check_options, columns_of
from jointune.utils.files import EXPORT_MARK
from jointune.utils.run_folder import RunFolder, locking
from jointune.utils.wording import counted


@locking("path")
@takes_columns
def export(
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="Folder that training wrote, or its hub id.", show_default=False)
    ],
    path: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write.", show_default=False)],
    int8: Annotated[
        bool, typer.Option("--int8", help="8-bit integers: smaller and faster, a little less exact.")
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(metavar="POSTS", help="Posts to check the graph on, best labelled; the demo posts by default."),
    ] = None,
    split: OnlySplit = None,
    allow_loss: Annotated[
        float,
        typer.Option(
            metavar="POINTS",
            help="Points of accuracy that --int8 may cost, and percent of posts whose answer it may change.",
            min=0,
            max=100,
        ),
    ] = 1.0,
    use: Columns = Columns(),  # noqa: B008 - immutable
    encoding: str | None = None,
    force: Force = False,
) -> None:
    """Write a bundle as one ONNX graph that needs no torch, once it agrees with torch."""
    RunFolder(path, EXPORT_MARK, force=force, source=check).refuse()
    check_options(bundle)
    if split and not check:
        raise SettingsError(f"--split {split}: name the posts with --check")
    posts: Posts | None = None
    if check:
        posts = read_split(check, split, columns_of(bundle, use), encoding)

    from jointune import JointClassifier
    from jointune.export.exporter import export as write
    from jointune.export.exporter import report_table

    classifier = JointClassifier.load(bundle, device="cpu")
    classifier.set_params(progress=False)
    report = write(classifier, path, int8=int8, posts=posts, allow_loss=allow_loss, force=force)
    out.print(
        f"checked against torch on {counted(report['fp32']['posts'], 'post')} of {posts.name if posts else 'the demo'}:"
    )
    for line in report_table(report):
        out.print(line)
    out.print(f"wrote {path}")
