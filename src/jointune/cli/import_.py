"""jointune import."""

import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from jointune.cli.options import Force, out
from jointune.data.post import SPLITS, Post
from jointune.datasets.public_sets import SETS, find_set, load_public, write_posts
from jointune.output.writers import check_output
from jointune.utils.run_folder import locking, refuse_existing
from jointune.utils.wording import counted, listed


@locking("path")
def import_(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(SETS)}.", show_default=False)],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where the set lies, as published.", show_default=False)
    ],
    path: Annotated[
        Path, typer.Option("--out", metavar="POSTS", help="A .parquet, .csv, .tsv or .jsonl file.", show_default=False)
    ],
    label_rule: Annotated[
        str | None,
        typer.Option(
            metavar="multisentinet|text|image|paper",
            help="MVSA: how votes on text and picture make a label; multisentinet by default.",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Memotion: which label to take: overall_sentiment (by default), humour, sarcasm, offensive or "
            "motivational."
        ),
    ] = None,
    keep_very: Annotated[
        bool, typer.Option("--keep-very", help="Memotion: do not merge very_positive into positive, and so on.")
    ] = False,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Draw as many posts of each label as the rarest one has.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of that draw.")] = 42,
    keep_unlabelled: Annotated[
        bool, typer.Option("--keep-unlabelled", help="Write posts without a label too, with an empty one.")
    ] = False,
    on_missing: Annotated[
        str,
        typer.Option(
            metavar="error|skip",
            help="A post whose text or picture is not there, or whose row is malformed: stop, or leave the post out.",
        ),
    ] = "error",
    encoding: Annotated[
        str | None,
        typer.Option(help="Character encoding of texts that are not UTF-8; by default the set's own, or a guess."),
    ] = None,
    force: Force = False,
) -> None:
    """Make a table of posts of a public data set in its published layout.

    Pictures are not copied: the table names them where they are.
    """
    for file in ("", *find_set(name).files):
        refuse_existing(path, force, source=folder / file)
    check_output(path, [], [])
    options = {"label_rule": label_rule, "task": task, "keep_very": keep_very}
    posts, left_out = load_public(name, folder, on_missing, keep_unlabelled, balanced, seed, encoding, **options)
    write_posts(path, posts)

    out.print(f"wrote {path}: {_counts(posts)}")
    splits = [split for split in SPLITS if any(post.split == split for post in posts)]
    for split in splits:
        out.print(f"  {split}: {_counts(post for post in posts if post.split == split)}")
    for reason, count in left_out.items():
        out.print(f"left out: {reason}: {count:,}")
    next_options = ["--split-column", "split"] if splits else []
    if any(post.label is None for post in posts):
        next_options += ["--label-column", ""]
    out.print(f"next: {shlex.join(['jointune', 'check', str(path), *next_options])}")


def _counts(posts: Iterable[Post]) -> str:
    labels = Counter(post.label or "(no label)" for post in posts)
    named = listed((f"{label} {count:,}" for label, count in labels.most_common()), len(labels))
    return f"{counted(labels.total(), 'post')}: {named}"
