"""jointune check."""

from collections import Counter
from collections.abc import Iterator

import typer

from jointune.commands.options import (
    Encoding,
    ImageColumn,
    ImageRoot,
    LabelColumn,
    PostsArgument,
    Quiet,
    SplitColumn,
    TextColumn,
    columns,
    out,
)
from jointune.errors import PostsError
from jointune.posts.check import check_posts
from jointune.posts.post import Post
from jointune.posts.read import PostsFile
from jointune.progress import progress_bar


def check(
    posts: PostsArgument,
    text_column: TextColumn = "text",
    image_column: ImageColumn = "image",
    label_column: LabelColumn = "label",
    split_column: SplitColumn = None,
    image_root: ImageRoot = None,
    encoding: Encoding = None,
    quiet: Quiet = False,
) -> None:
    """Find every row that cannot be used, with file, reason and remedy.

    Opens every picture and looks at every label; with --label-column '' labels are not looked at. Exits with 1 if
    there is anything to mend.
    """
    try:
        file = PostsFile(posts, columns(text_column, image_column, label_column, split_column, image_root), encoding)
        total = file.count()
        if not total:
            raise PostsError(f"{posts.name}: no posts: the file has a header but no rows")
        labels: Counter[str | None] = Counter()
        parts: Counter[str] = Counter()
        found = 0
        with progress_bar("checking", shown=not quiet) as bar:
            bar.start(total)

            def counted() -> Iterator[Post]:
                for post in file:
                    labels[post.label] += 1
                    parts["text"] += post.text is not None
                    parts["picture"] += post.image is not None
                    yield post
                    bar.advance()

            for problem in check_posts(counted(), labelled=bool(label_column), split=bool(split_column)):
                found += 1
                out.print(str(problem))
    except PostsError as error:
        out.print(f"error: {error}", style="red")
        raise typer.Exit(1) from error
    if found:
        out.print(f"{found} problem{'s' if found > 1 else ''} in {total:,} posts.")
        raise typer.Exit(1)
    counts = ", ".join(f"{label} {count:,}" for label, count in labels.most_common() if label is not None)
    out.print(
        f"{total:,} posts, all usable: {parts['text']:,} with a text, {parts['picture']:,} with a picture"
        + (f"; labels: {counts}." if counts else "."),
    )
