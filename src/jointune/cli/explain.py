"""jointune explain."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from jointune.cli.options import (
    COLUMNS_READ,
    BundleArgument,
    Device,
    Engine,
    Force,
    OnBad,
    Quiet,
    check_page,
    out,
    say_affected,
    takes_columns,
)
from jointune.data.post import Post, Posts
from jointune.data.problems import Problem, valid_policy
from jointune.data.read import Columns, PostsFile
from jointune.errors import PostsError, SettingsError
from jointune.explain.explainer import METHODS, Explainer
from jointune.explain.neighbours import Neighbours
from jointune.inference.load import check_options, columns_of, load_predictor
from jointune.output.pages.explanation_page import write_page
from jointune.utils.progress import progress_bar
from jointune.utils.run_folder import locking, refuse_existing
from jointune.utils.wording import counted

_MOST = 500
"""Posts of a page."""


@locking("path")
@partial(takes_columns, options=COLUMNS_READ)
def explain(
    bundle: BundleArgument,
    posts: Annotated[
        Path | None,
        typer.Argument(
            metavar="[POSTS]",
            help="Table of posts, as for predict; or give one post with --text and --image.",
            show_default=False,
        ),
    ] = None,
    path: Annotated[Path, typer.Option("--out", metavar="why.html", help="The page to write.")] = Path("why.html"),
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="The text of one post.")] = None,
    image: Annotated[Path | None, typer.Option(metavar="FILE", help="The picture of one post.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="LABEL", help="Explain this label too, beside the answer's own; repeatable."),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="|".join(METHODS),
            help="occlusion removes each word and region; gradients integrates gradients, and needs a bundle.",
        ),
    ] = METHODS[0],
    training: Annotated[
        Path | None,
        typer.Option(metavar="POSTS", help="The training posts: the nearest of them are shown with each post."),
    ] = None,
    use: Columns = Columns(),  # noqa: B008 - immutable
    encoding: str | None = None,
    on_bad_image: OnBad = "error",
    device: Device = None,
    engine: Engine = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Show why a model answers as it does: words, picture regions, and how much each modality decided.

    The page holds its pictures and loads nothing. An exported model explains itself without torch.
    """
    check_page("--out", path)
    refuse_existing(path, force, source=posts)
    policy = valid_policy(on_bad_image)
    check_options(bundle, device, engine=engine)
    chosen = _posts(posts, text, image, columns_of(bundle, replace(use, label=None)), encoding)
    predictor = load_predictor(bundle, device, engine=engine)
    explainer = Explainer(predictor, label or (), method)
    if training is not None:
        file = PostsFile(training, _labelled(training, bundle, use, encoding), encoding)
        explainer.neighbours = Neighbours.of(predictor, file.read(), policy, not quiet)
    problems: list[Problem] = []
    explained = []
    with progress_bar("explaining", shown=not quiet) as bar:
        bar.start(len(chosen))
        for one in explainer.explain(chosen, policy, problems, chosen.name):
            explained.append(one)
            bar.advance(1)
    say_affected(problems, policy)
    if not explained:
        raise PostsError(f"{chosen.name}: no post is left to explain")
    write_page(path, explained, method, Path(bundle).name)
    for one in explained[:1] if posts is None else ():
        out.print(one.sentence)
    out.print(f"wrote {path}: {counted(len(explained), 'post')}")


def _labelled(path: Path, bundle: str, use: Columns, encoding: str | None) -> Columns:
    """Return the columns of the training posts, with that of the labels where there is one."""
    unlabelled = columns_of(bundle, replace(use, label=None))
    known = set(PostsFile(path, unlabelled, encoding).columns)
    return columns_of(bundle, use) if known.issuperset(columns_of(bundle, use).labels) else unlabelled


def _posts(posts: Path | None, text: str | None, image: Path | None, use: Columns, encoding: str | None) -> Posts:
    alone = text is not None or image is not None
    if alone == (posts is not None):
        raise SettingsError("give a table of posts, or one post with --text and --image")
    if posts is None:
        if not (text and text.strip()) and image is None:
            raise PostsError("--text is empty: there is nothing to explain")
        return Posts([Post(text if text and text.strip() else None, image)], "the post")
    read = PostsFile(posts, use, encoding).read()
    if len(read) > _MOST:
        raise PostsError(f"{read.name}: {len(read):,} posts, and a page explains {_MOST} at most", "divide the table")
    return read
