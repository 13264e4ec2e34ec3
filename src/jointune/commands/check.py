"""jointune check."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import typer

from jointune.batches.normalise import KINDS
from jointune.batches.text_fit import TextFit
from jointune.batches.tokens import TextPreprocessor
from jointune.commands.options import (
    Encoding,
    ImageColumn,
    ImageRoot,
    LabelColumn,
    PostsArgument,
    Quiet,
    SplitColumn,
    TextColumn,
    TextEncoderName,
    columns,
    out,
)
from jointune.errors import EncoderError, PostsError
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
    text_encoder: TextEncoderName = "minilm-l6",
    max_tokens: Annotated[int | None, typer.Option(help="The length that texts are cut to; 128 by default.")] = None,
    quiet: Quiet = False,
) -> None:
    """Find every row that cannot be used, with file, reason and remedy.

    Opens every picture and looks at every label; with --label-column '' labels are not looked at. Exits with 1 if
    there is anything to mend. Says how many texts would be cut, and how many words the text encoder does not know.
    """
    text = _tokenizer(text_encoder, max_tokens)
    try:
        file = PostsFile(posts, columns(text_column, image_column, label_column, split_column, image_root), encoding)
        total = file.count()
        if not total:
            raise PostsError(f"{posts.name}: no posts: the file has a header but no rows")
        labels: Counter[str | None] = Counter()
        parts: Counter[str] = Counter()
        texts: list[str] = []
        found = 0
        with progress_bar("checking", shown=not quiet) as bar:
            bar.start(total)

            def counted() -> Iterator[Post]:
                for post in file:
                    labels[post.label] += 1
                    parts["text"] += post.text is not None
                    texts.extend([post.text] if post.text else [])
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
    if texts and text:
        _say_how_texts_fit(texts, text, text_encoder)


def _tokenizer(text_encoder: str, max_tokens: int | None) -> TextPreprocessor | None:
    """What texts are cut by; None, with the reason printed, where it is not on this machine.

    Raises:
        SettingsError: the encoder takes no texts of so many tokens.
    """
    from jointune.encoders.tokenizer_alone import load_tokenizer

    try:
        return load_tokenizer(text_encoder, max_tokens, KINDS)
    except EncoderError as reason:
        out.print(f"Whether texts fit the text encoder is not checked: {reason}.")
        return None


def _say_how_texts_fit(texts: list[str], text: TextPreprocessor, text_encoder: str) -> None:
    """Say what the text encoder would not see of the texts, as training notes it."""
    fit = TextFit.of(text.encode(texts), texts, text)
    out.print(fit.summary())
    for note in fit.notes(text_encoder):
        out.print(f"note: {note}.", style="yellow")
