"""jointune check."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from jointune.cli.options import (
    ALL_KINDS,
    Normalise,
    OnBad,
    PostsArgument,
    Quiet,
    ReadImageText,
    TextEncoderName,
    Validation,
    columns_to_learn_from,
    out,
    takes_division,
    takes_settings,
)
from jointune.cli.posts_options import fraction_or_file
from jointune.data.divide import VALIDATION
from jointune.data.label_checks import split_notes, split_problems, training_problems
from jointune.data.labelling import Labelling
from jointune.data.post import Post, Posts
from jointune.data.problems import OnBadImage, Problem, valid_policy
from jointune.data.read import Columns, PostsFile
from jointune.data.split import group_notes
from jointune.errors import EncoderError, PostsError, SettingsError
from jointune.modalities.audio.waveform import DEFAULT_SECONDS, AudioPreprocessor
from jointune.modalities.check import check_posts
from jointune.modalities.fields.columns import FieldsPreprocessor
from jointune.modalities.image.first_images import FirstImages
from jointune.modalities.image.image_text import read_image_text as with_image_text
from jointune.modalities.image.ocr import check_ocr
from jointune.modalities.text.normalise import valid_kinds
from jointune.modalities.text.text_fit import TextFitCounter
from jointune.modalities.text.tokens import TextPreprocessor
from jointune.utils.progress import Bar, progress_bar
from jointune.utils.wording import counted, listed, shortened, visible

_SHOWN = 5
"""Problems of a kind that are listed one by one."""

_RATE = 16_000
"""Samples a second at which sounds are decoded, as most audio encoders take them."""

_KINDS = 50
"""Kinds of problems that are counted one by one."""


@takes_settings(
    (
        *("target", "label_order", "number_columns", "category_columns", "audio_column", "audio_seconds"),
        *("max_images", "frames"),
    )
)
@takes_division
def check(
    posts: PostsArgument,
    validation: Validation = "0.1",
    use: Columns = Columns(),  # noqa: B008 - immutable
    encoding: str | None = None,
    on_bad_image: OnBad = "error",
    every: Annotated[bool, typer.Option("--all", help="List every problem, also of a kind that is frequent.")] = False,
    text_encoder: TextEncoderName = "minilm-l6",
    max_tokens: Annotated[int | None, typer.Option(help="The length that texts are cut to; 128 by default.")] = None,
    normalise: Normalise = ALL_KINDS,
    read_image_text: ReadImageText = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Find every row that cannot be used, and every other problem for training, with reason and remedy.

    Opens every picture and checks every label; with --label-column '' no labels. Exits with 1 if there is a problem.
    With the options of jointune train, it refuses what that would refuse. Prints how many texts would be cut, and how
    many words the text encoder does not know.
    """
    policy = valid_policy(on_bad_image)
    use = columns_to_learn_from(use, settings)
    chosen = VALIDATION if use.split or not use.label else fraction_or_file(validation)
    if read_image_text:
        check_ocr()
    text = _tokenizer(text_encoder, max_tokens, valid_kinds(normalise))
    if text and read_image_text:
        _check_pairs(text_encoder, max_tokens, "read_image_text")
    findings = _Findings(every, use.labelling)
    try:
        files = [PostsFile(path, use, encoding) for path in (posts, chosen) if isinstance(path, Path)]
        if text and (second := files[0].use.second_text):
            text = replace(text, pair=(str(files[0].use.text), second))
            _check_pairs(text_encoder, max_tokens, "text_column")
        total = sum(file.count() for file in files)
        with progress_bar("checking", shown=not quiet) as bar:
            bar.start(total)
            first_images = FirstImages(settings["max_images"])
            reading = _Reading(policy, bool(use.label), read_image_text, first_images, settings["frames"])
            pairs = [_read(file, reading, findings, bar) for file in files]
        read, parts = zip(*pairs, strict=True)
        refusals: Iterable[Problem | PostsError] = ()
        if use.label:
            fraction = chosen if isinstance(chosen, float) else VALIDATION
            refusals = training_problems(read, parts, bool(use.split), fraction, asked=use.labelling)
        elif use.split:
            refusals = split_problems(parts[0])
        for refusal in refusals:
            findings.add(refusal)
        field_notes = _check_fields(parts, bool(use.split), settings)
        field_notes += _check_sounds(parts, bool(use.split), settings, findings)
    except (PostsError, SettingsError) as error:
        out.print(f"error: {error}", style="red")
        raise typer.Exit(1) from error
    if findings.problems:
        findings.print_problems(total, policy)
        raise typer.Exit(1)
    findings.print_usable(total, sum(map(len, parts)))
    if unused := [name for name in files[0].columns if name not in (*files[0].use.named().values(), *use.fields)]:
        out.print(f"columns not used: {listed(unused, len(unused))}")
    notes = [f"note: {note}" for note in [*first_images.notes, *field_notes, *group_notes(parts[0])]] + (
        split_notes(parts[0], use.labelling) if use.split else []
    )
    if note := use.labelling.likeness(findings.labels):
        notes.append(f"note: {note}")
    for line in notes:
        out.print(line)
    posts_with_texts = [post for part in parts for post in part if post.text or post.image_text]
    if posts_with_texts and text:
        _print_text_fit(posts_with_texts, text, text_encoder)


def _check_fields(parts: Sequence[Posts], by_split: bool, settings: Mapping[str, Any]) -> list[str]:
    """Encode the fields of all posts as training would; return what it would note.

    Raises:
        PostsError: a cell is no number.
        SettingsError: a column has no value in the training posts.
    """
    numbers, categories = settings["number_columns"], settings["category_columns"]
    if not numbers and not categories:
        return []
    training, *held = [parts[0].in_split(split) for split in ("train", "validation")] if by_split else parts
    preprocessor = FieldsPreprocessor.fitted(training, numbers, categories)
    for part in parts:
        preprocessor.rows(part)
    return preprocessor.notes(training, "training") + [
        note for p in held for note in preprocessor.notes(p, "validation")
    ]


def _check_sounds(
    parts: Sequence[Posts], by_split: bool, settings: Mapping[str, Any], findings: "_Findings"
) -> list[str]:
    """Decode the sounds of all posts; return what training would note."""
    if not settings["audio_column"]:
        return []
    preprocessor = AudioPreprocessor(settings["audio_column"], _RATE, settings["audio_seconds"] or DEFAULT_SECONDS)
    for part in parts:
        for problem in filter(None, map(preprocessor.problem, part)):
            findings.add(problem)
    return preprocessor.notes(parts[0].in_split("train") if by_split else parts[0], "training")


@dataclass
class _Reading:
    """How the posts of a file are read: policy, whether to learn from them, and what of their images."""

    policy: OnBadImage
    learning: bool
    image_text: bool
    first_images: FirstImages
    frames: int


def _read(file: PostsFile, how: _Reading, findings: "_Findings", bar: Bar) -> tuple[Posts, Posts]:
    """Return the readable posts of a file, without their images, and the usable ones; problems go to ``findings``."""
    readable: list[Post] = []

    def read() -> Iterator[Post]:
        for post in file:
            findings.count(post)
            if post.problem is None or post.problem.about_image:
                readable.append(replace(post, image=None, problem=None, fields={}, files={}))
            yield post
            bar.advance()

    usable: list[Post] = []
    posts = how.first_images.of(read())
    posts = with_image_text(posts, frames=how.frames) if how.image_text else posts
    for problem in check_posts(posts, how.policy, usable, how.learning, file.use.fields, how.frames):
        findings.add(problem)
    return Posts(readable, file.path.name), Posts(usable, file.path.name)


@dataclass
class _Findings:
    """Counts of posts and problems; problems are printed as they come, up to some of a kind."""

    every: bool
    asked: Labelling
    problems: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    texts: int = 0
    with_image: int = 0
    images: int = 0
    bad_images: int = 0

    def count(self, post: Post) -> None:
        """Count the label, the text and the image of a post."""
        self.labels.update([post.label] if post.label is not None else [])
        self.texts += post.text is not None
        self.with_image += post.image is not None
        self.images += len(post.images)

    def add(self, problem: Problem | PostsError) -> None:
        """Print a problem, unless there were many of its kind."""
        reason = problem.reason if isinstance(problem, Problem) else str(problem)
        kind = re.sub(r"'[^']*'|\d[\d,.]*", "…", reason)
        self.kinds[kind] += 1
        self.bad_images += isinstance(problem, Problem) and problem.about_image
        self.problems += 1
        if self.every or self.kinds[kind] <= _SHOWN:
            out.print(str(problem))

    def print_problems(self, total: int, policy: OnBadImage) -> None:
        """Print the number of problems, by kind if not each is listed, and how to do without repairing images."""
        out.print(f"{counted(self.problems, 'problem')} in {counted(total, 'post')}.")
        if self.problems > sum(min(number, _SHOWN) for number in self.kinds.values()):
            for kind, number in self.kinds.most_common(_KINDS):
                more = f" ({number - _SHOWN:,} are not listed; --all lists them)" if number > _SHOWN else ""
                out.print(f"  {number:,} times: {visible(shortened(kind))}{'' if self.every else more}")
            if len(self.kinds) > _KINDS:
                out.print(f"  and {len(self.kinds) - _KINDS:,} rarer kinds")
        if self.bad_images and policy == "error":
            out.print(
                "To train or score without mending pictures: --on-bad-image skip leaves such posts out, --on-bad-image "
                "missing goes on without the picture where there is a text."
            )

    def print_usable(self, total: int, usable: int) -> None:
        """Print the number of usable posts, texts, images and labels."""
        many = f"{total:,} posts, all usable" if usable == total else f"{usable:,} of {total:,} posts usable"
        labels = self.asked.summary(self.labels)
        parts = f"{self.texts:,} with a text, {self.with_image:,} with a picture"
        if self.images > self.with_image:
            parts += f" ({self.images:,} pictures)"
        out.print(f"{many}: {parts}{f'; {labels}' if labels else ''}.")


def _tokenizer(text_encoder: str, max_tokens: int | None, kinds: tuple[str, ...]) -> TextPreprocessor | None:
    """Load the text preprocessing; print the reason and return None if it is not on this machine.

    Raises:
        SettingsError: the encoder does not take texts of so many tokens.
    """
    from jointune.encoders.tokenizer_alone import load_tokenizer

    try:
        return load_tokenizer(text_encoder, max_tokens, kinds)
    except EncoderError as reason:
        out.print(f"Whether texts fit the text encoder is not checked: {reason}.")
        return None


def _check_pairs(text_encoder: str, max_tokens: int | None, needed_by: str) -> None:
    """Check that the text encoder takes a second text; needs torch, and says so without it.

    Raises:
        EncoderError: it does not.
        SettingsError: ``max_tokens`` leaves no room for two texts.
    """
    if find_spec("torch") is None:
        out.print("Whether the text encoder takes in a second text is not checked: torch is not installed.")
        return
    from jointune.encoders.checks import check_pairs
    from jointune.encoders.loading import load_text_encoder

    check_pairs(*load_text_encoder(text_encoder, max_tokens)[:2], text_encoder, needed_by)


def _print_text_fit(posts: list[Post], text: TextPreprocessor, text_encoder: str) -> None:
    """Print how many texts would be cut and how many words are unknown, as training does."""
    counter = TextFitCounter(text)
    counter.add(replace(text, with_image_text=True).rows(posts), posts)
    fit = counter.result()
    out.print(fit.summary())
    for note in fit.notes(text_encoder):
        out.print(f"note: {note}.", style="yellow")
