"""jointune check."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from jointune.cli.options import (
    ALL_KINDS,
    Encoding,
    ImageColumn,
    ImageRoot,
    LabelColumn,
    Normalise,
    OnBad,
    PostsArgument,
    Quiet,
    ReadImageText,
    SplitColumn,
    TextColumn,
    TextEncoderName,
    Validation,
    columns,
    out,
)
from jointune.cli.posts_options import fraction_or_file
from jointune.data.divide import VALIDATION
from jointune.data.label_checks import split_notes, split_problems, training_problems
from jointune.data.labels import several_labels
from jointune.data.post import Post, Posts
from jointune.data.problems import OnBadImage, Problem, valid_policy
from jointune.data.read import PostsFile
from jointune.errors import EncoderError, PostsError
from jointune.modalities.check import check_posts
from jointune.modalities.image.image_text import read_image_text as with_image_text
from jointune.modalities.image.ocr import check_ocr
from jointune.modalities.text.normalise import valid_kinds
from jointune.modalities.text.text_fit import TextFitCounter
from jointune.modalities.text.tokens import TextPreprocessor
from jointune.utils.progress import Bar, progress_bar
from jointune.utils.wording import counted, listed, shortened, visible

_SHOWN = 5
"""Problems of a kind that are listed one by one."""

_KINDS = 50
"""Kinds of problems that are counted one by one."""


def check(
    posts: PostsArgument,
    validation: Validation = "0.1",
    text_column: TextColumn = "text",
    image_column: ImageColumn = "image",
    label_column: LabelColumn = "label",
    split_column: SplitColumn = None,
    image_root: ImageRoot = None,
    encoding: Encoding = None,
    on_bad_image: OnBad = "error",
    every: Annotated[bool, typer.Option("--all", help="List every problem, also of a kind that is frequent.")] = False,
    text_encoder: TextEncoderName = "minilm-l6",
    max_tokens: Annotated[int | None, typer.Option(help="The length that texts are cut to; 128 by default.")] = None,
    normalise: Normalise = ALL_KINDS,
    read_image_text: ReadImageText = False,
    quiet: Quiet = False,
) -> None:
    """Find every row that cannot be used, and whatever else training would refuse, with reason and remedy.

    Opens every picture and looks at every label; with --label-column '' labels are not looked at. Exits with 1 if
    there is anything to mend. Given the options that jointune train is given, it refuses what that would refuse. Says
    how many texts would be cut, and how many words the text encoder does not know.
    """
    use = columns(text_column, image_column, label_column, split_column, image_root)
    policy = valid_policy(on_bad_image)
    chosen = VALIDATION if split_column or not label_column else fraction_or_file(validation)
    if read_image_text:
        check_ocr()
    text = _tokenizer(text_encoder, max_tokens, valid_kinds(normalise))
    if text and read_image_text:
        _see_two_texts_told_apart(text_encoder, max_tokens)
    found = _Found(every)
    try:
        files = [PostsFile(path, use, encoding) for path in (posts, chosen) if isinstance(path, Path)]
        total = sum(map(_count, files))
        with progress_bar("checking", shown=not quiet) as bar:
            bar.start(total)
            read, parts = zip(
                *(_usable(file, policy, bool(label_column), read_image_text, found, bar) for file in files), strict=True
            )
        refusals: Iterable[Problem | PostsError] = ()
        if label_column:
            fraction = chosen if isinstance(chosen, float) else VALIDATION
            refusals = training_problems(read, parts, bool(split_column), fraction)
        elif split_column:
            refusals = split_problems(parts[0])
        for refusal in refusals:
            found.add(refusal)
    except PostsError as error:
        out.print(f"error: {error}", style="red")
        raise typer.Exit(1) from error
    if found.problems:
        found.summarise(total, policy)
        raise typer.Exit(1)
    found.say_usable(total, sum(map(len, parts)))
    if unused := [name for name in files[0].columns if name not in use.named()]:
        out.print(f"columns not used: {listed(unused, len(unused))}")
    notes = split_notes(parts[0]) if split_column else []
    if note := several_labels(found.labels):
        notes.append(f"note: {note}")
    for line in notes:
        out.print(line)
    posts_with_texts = [post for part in parts for post in part if post.text or post.image_text]
    if posts_with_texts and text:
        _say_how_texts_fit(posts_with_texts, text, text_encoder)


def _count(file: PostsFile) -> int:
    count = file.count()
    if not count:
        raise PostsError(f"{file.path.name}: no posts: the file has a header but no rows")
    return count


def _usable(
    file: PostsFile, policy: OnBadImage, learning: bool, image_text: bool, found: "_Found", bar: Bar
) -> tuple[Posts, Posts]:
    """The posts of a file that can be read, without their pictures, and those of them that can be used.

    What is wrong with others is added to ``found``.
    """
    readable: list[Post] = []

    def read() -> Iterator[Post]:
        for post in file:
            found.count(post)
            if post.problem is None or post.problem.about_image:
                readable.append(replace(post, image=None, problem=None, fields={}))
            yield post
            bar.advance()

    usable: list[Post] = []
    posts = with_image_text(read()) if image_text else read()
    for problem in check_posts(posts, policy, usable, learning):
        found.add(problem)
    return Posts(readable, file.path.name), Posts(usable, file.path.name)


@dataclass
class _Found:
    """What was found so far; problems are printed as they come, up to some of a kind."""

    every: bool
    problems: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    texts: int = 0
    pictures: int = 0
    bad_pictures: int = 0

    def count(self, post: Post) -> None:
        """Take note of what a post has."""
        self.labels.update([post.label] if post.label is not None else [])
        self.texts += post.text is not None
        self.pictures += post.image is not None

    def add(self, problem: Problem | PostsError) -> None:
        """Print a problem, unless there were many of its kind."""
        reason = problem.reason if isinstance(problem, Problem) else str(problem)
        kind = re.sub(r"'[^']*'|\d[\d,.]*", "…", reason)
        self.kinds[kind] += 1
        self.bad_pictures += isinstance(problem, Problem) and problem.about_image
        self.problems.append(reason)
        if self.every or self.kinds[kind] <= _SHOWN:
            out.print(str(problem))

    def summarise(self, total: int, policy: OnBadImage) -> None:
        """Count the problems, by their reasons where not each is listed, and say how to do without mending them."""
        count = len(self.problems)
        out.print(f"{counted(count, 'problem')} in {counted(total, 'post')}.")
        if count > sum(min(number, _SHOWN) for number in self.kinds.values()):
            for kind, number in self.kinds.most_common(_KINDS):
                more = f" ({number - _SHOWN:,} are not listed; --all lists them)" if number > _SHOWN else ""
                out.print(f"  {number:,} times: {visible(shortened(kind))}{'' if self.every else more}")
            if len(self.kinds) > _KINDS:
                out.print(f"  and {len(self.kinds) - _KINDS:,} rarer kinds")
        if self.bad_pictures and policy == "error":
            out.print(
                "To train or score without mending pictures: --on-bad-image skip leaves such posts out, --on-bad-image "
                "missing goes on without the picture where there is a text."
            )

    def say_usable(self, total: int, usable: int) -> None:
        """Say how many posts can be used, and what they have."""
        many = f"{total:,} posts, all usable" if usable == total else f"{usable:,} of {total:,} posts usable"
        labels = listed((f"{label} {number:,}" for label, number in self.labels.most_common()), len(self.labels))
        parts = f"{self.texts:,} with a text, {self.pictures:,} with a picture"
        out.print(f"{many}: {parts}{f'; labels: {labels}' if labels else ''}.")


def _tokenizer(text_encoder: str, max_tokens: int | None, kinds: tuple[str, ...]) -> TextPreprocessor | None:
    """What texts are cut by; None, with the reason printed, where it is not on this machine.

    Raises:
        SettingsError: the encoder takes no texts of so many tokens.
    """
    from jointune.encoders.tokenizer_alone import load_tokenizer

    try:
        return load_tokenizer(text_encoder, max_tokens, kinds)
    except EncoderError as reason:
        out.print(f"Whether texts fit the text encoder is not checked: {reason}.")
        return None


def _see_two_texts_told_apart(text_encoder: str, max_tokens: int | None) -> None:
    """Have the text encoder itself tell whether it takes in the text in pictures; say so where torch is missing.

    Raises:
        EncoderError: it does not.
        SettingsError: ``max_tokens`` leaves no room for two texts.
    """
    if find_spec("torch") is None:
        out.print("Whether the text encoder takes in the text in pictures is not checked: torch is not installed.")
        return
    from jointune.encoders.checks import check_pairs
    from jointune.encoders.loading import load_text_encoder

    check_pairs(*load_text_encoder(text_encoder, max_tokens)[:2], text_encoder)


def _say_how_texts_fit(posts: list[Post], text: TextPreprocessor, text_encoder: str) -> None:
    """Say what the text encoder would not see of the posts' texts, as training notes it."""
    counter = TextFitCounter(text)
    counter.add(replace(text, with_image_text=True).rows(posts), posts)
    fit = counter.result()
    out.print(fit.summary())
    for note in fit.notes(text_encoder):
        out.print(f"note: {note}.", style="yellow")
