"""jointune audit."""

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
from jointune.data.read import Columns
from jointune.utils.extras import check_installed
from jointune.utils.files import AUDIT_MARK
from jointune.utils.run_folder import RunFolder, locking
from jointune.utils.wording import counted


@locking("folder")
@takes_settings(("text_encoder", "image_encoder", "on_bad_image", "seed"))
@takes_columns
def audit(
    posts: PostsArgument,
    folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write.", show_default=False)],
    use: Columns = Columns(),  # noqa: B008 - immutable
    encoding: str | None = None,
    force: Force = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Find labels that are likely to be wrong, and posts that are there twice, and write a page and two tables.

    No model is trained but linear probes of the frozen encoders. With --split-column, near-duplicates across splits
    are told from those within one.
    """
    check_installed("cleanlab", "audit", "jointune audit")
    use = columns_to_learn_from(use, settings)
    RunFolder(folder, AUDIT_MARK, force=force, source=posts).refuse()
    read = read_whole(posts, use, encoding)

    from jointune import JointClassifier
    from jointune.audit.audit import audit as run

    found = run(read, folder, classifier=JointClassifier(**settings, **two_texts(use), progress=not quiet), force=force)
    say_affected(found.judged.problems, settings["on_bad_image"])
    out.print(f"{counted(found.likely_errors, 'label is', 'labels are')} likely to be wrong")
    out.print(f"{counted(len(found.pairs), 'pair')} of near-duplicates, {len(found.leaks):,} of them across splits")
    out.print(f"wrote {folder / AUDIT_MARK}")
