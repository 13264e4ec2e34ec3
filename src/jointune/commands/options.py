"""Options that several commands share, and how messages are printed."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from jointune.batches.normalise import KINDS
from jointune.counting import counted, visible_lines
from jointune.errors import SettingsError
from jointune.evaluation.metrics import Metrics
from jointune.evaluation.notes import untested
from jointune.posts.problems import Problem, affected
from jointune.posts.read import Columns

PostsArgument = Annotated[
    Path,
    typer.Argument(
        metavar="POSTS",
        help="CSV, TSV, JSONL, JSON or Parquet file, a folder of such files, or a saved Hugging Face dataset.",
        show_default=False,
    ),
]
BundleArgument = Annotated[
    str,
    typer.Argument(
        metavar="BUNDLE", help="Folder that training or export wrote, or a bundle's hub id.", show_default=False
    ),
]
TextEncoderName = Annotated[str, typer.Option(help="minilm-l6, a folder, or a Hugging Face id.")]
ImageEncoderName = Annotated[
    str, typer.Option(help="efficientnet-lite0, efficientnet-lite2, a folder, a Hugging Face id, or timm:NAME.")
]
Validation = Annotated[
    str, typer.Option(metavar="FILE|FRACTION", help="Validation posts, where no split column names them.")
]
TextColumn = Annotated[str, typer.Option(help="Column of the texts; '' for none.", rich_help_panel="Columns")]
ImageColumn = Annotated[
    str, typer.Option(help="Column of the pictures: paths, or bytes; '' for none.", rich_help_panel="Columns")
]
LabelColumn = Annotated[str, typer.Option(help="Column of the labels.", rich_help_panel="Columns")]
SplitColumn = Annotated[
    str | None, typer.Option(help="Column that says train, validation or test.", rich_help_panel="Columns")
]
OnlySplit = Annotated[str | None, typer.Option("--split", help="Only posts whose --split-column says this.")]
ImageRoot = Annotated[
    Path | None,
    typer.Option(help="Folder that picture paths are relative to and may not leave.", rich_help_panel="Columns"),
]
Encoding = Annotated[
    str | None, typer.Option(help="Character encoding of the file; UTF-8 by default.", rich_help_panel="Columns")
]
OnBad = Annotated[
    str,
    typer.Option(
        "--on-bad-image",
        metavar="error|skip|missing",
        help="A picture that cannot be read: stop, leave its post out, or go on without the picture.",
    ),
]
Abstain = Annotated[
    float | None,
    typer.Option(
        metavar="ACCURACY",
        help="Answer 'unsure' below the confidence that it took on the validation posts to be right so often.",
    ),
]
ReadImageText = Annotated[
    bool, typer.Option("--read-image-text", help="Read the text in pictures too; needs the extra ocr.")
]
Normalise = Annotated[
    str,
    typer.Option(
        metavar="KIND,...|none",
        help=f"What of posts' writing becomes plain text: {', '.join(KINDS)}.",
        show_default="all",
        rich_help_panel="Recipe",
    ),
]
ALL_KINDS = ",".join(KINDS)
Precision = Annotated[
    str,
    typer.Option(
        metavar="auto|bf16|fp32", help="Of training; auto is bf16 where the device has it.", rich_help_panel="Recipe"
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-host",
        metavar="NAME",
        help="Name or address under which it is asked, beside localhost; needed where others can reach it; repeatable.",
    ),
]
Device = Annotated[str | None, typer.Option(help="Such as cpu or cuda:1; a GPU by default where there is one.")]
Engine = Annotated[
    str | None,
    typer.Option("--engine", help="What runs an exported model: onnxruntime, or openvino, faster on many CPUs."),
]


class Terminal(Console):
    """Prints texts as they are: brackets are no markup, colons no emoji, and control characters shown, not obeyed."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """See ``rich.console.Console.print``."""
        super().print(*(visible_lines(one) if isinstance(one, str) else one for one in objects), **options)


out = Terminal()


def columns(
    text: str, image: str, label: str | None, split: str | None = None, image_root: Path | None = None
) -> Columns:
    """What the column options say."""
    return Columns(text or None, image or None, label or None, split or None, image_root)


def layers_option(said: str) -> float | None:
    """What --train-layers says.

    Raises:
        SettingsError: it is neither a number nor ``all``.
    """
    try:
        return None if said == "all" else float(said)
    except ValueError:
        raise SettingsError(f"--train-layers {said}: give a number of layers, a share of them, or all") from None


def say_affected(problems: list[Problem], policy: str) -> None:
    """List and count the posts that --on-bad-image skipped or stripped of their picture."""
    if problems:
        for problem in problems:
            out.print(f"{policy}: {problem}", style="yellow")
        out.print(f"{affected(len(problems), policy)} (--on-bad-image {policy}).", style="yellow")


def sentence(scores: Metrics) -> str:
    """The main scores in one line."""
    lacking = untested(scores)
    return f"{scores} on {counted(scores.n, 'post')}" + (f", {lacking}" if lacking else "")
