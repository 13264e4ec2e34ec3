"""jointune audit."""

from dataclasses import replace
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
    takes_columns,
    takes_settings,
    two_texts,
)
from jointune.cli.posts_options import read_whole
from jointune.data.read import Columns, PostsFile
from jointune.inference.load import check_options, columns_of, load_predictor
from jointune.utils.extras import check_installed
from jointune.utils.files import AUDIT_MARK
from jointune.utils.run_folder import RunFolder, locking
from jointune.utils.wording import counted


@locking("folder")
@takes_settings(("text_encoder", "image_encoder", "read_image_text", "on_bad_image", "seed"))
@takes_columns
def audit(
    posts: PostsArgument,
    folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write.", show_default=False)],
    bundle: Annotated[
        str | None,
        typer.Option(
            metavar="BUNDLE",
            help="Audit this model, too, or this exported one, on the posts that it was not trained on: where it is "
            "weak or too sure, and what it loses by typos, blur and the like.",
        ),
    ] = None,
    unlabelled: Annotated[
        Path | None,
        typer.Option(metavar="POSTS", help="Posts without labels, to be listed in the order in which to label them."),
    ] = None,
    use: Columns = Columns(),  # noqa: B008 - immutable
    encoding: str | None = None,
    force: Force = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Find labels that are likely to be wrong, posts that are there twice, and where models fail; write a page.

    No model is trained but linear probes of the frozen encoders. With --split-column, near-duplicates across splits
    are told from those within one. With --read-image-text, images in which a label's name is read are counted.
    """
    check_installed("cleanlab", "audit", "jointune audit")
    use = columns_to_learn_from(use, settings)
    RunFolder(folder, AUDIT_MARK, force=force, source=posts).refuse()
    if bundle:
        check_options(bundle)
        use = columns_of(bundle, use)
        if use.second_text:  # the probes read both, too
            use = replace(use, text=f"{use.text},{use.second_text}", second_text=None)
    read = read_whole(posts, use, encoding)
    more = PostsFile(unlabelled, replace(use, label=None, split=None), encoding).read() if unlabelled else None

    from jointune import JointClassifier
    from jointune.audit.audit import audit as run

    predictor = load_predictor(bundle) if bundle else None
    classifier = JointClassifier(**settings, **two_texts(use), progress=not quiet)
    found = run(read, folder, classifier=classifier, predictor=predictor, unlabelled=more, force=force)
    say_affected(found.judged.problems, settings["on_bad_image"])
    out.print(f"{counted(found.likely_errors, 'label is', 'labels are')} likely to be wrong")
    out.print(f"{counted(len(found.pairs), 'pair')} of near-duplicates, {len(found.leaks):,} of them across splits")
    out.print(f"wrote {folder / AUDIT_MARK}")
