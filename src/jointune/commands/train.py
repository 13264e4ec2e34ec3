"""jointune train."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from jointune.batches.normalise import valid_kinds
from jointune.commands.options import (
    ALL_KINDS,
    Encoding,
    Force,
    ImageColumn,
    ImageEncoderName,
    ImageRoot,
    LabelColumn,
    Normalise,
    OnBad,
    PostsArgument,
    Precision,
    Quiet,
    ReadImageText,
    SplitColumn,
    TextColumn,
    TextEncoderName,
    Validation,
    columns,
    layers_option,
    out,
    say_affected,
    sentence,
)
from jointune.commands.parts import read_parts
from jointune.files import BUNDLE_MARK
from jointune.fusion.choice import NAMED
from jointune.run_folder import locking, refuse_existing
from jointune.training.recipe import check_settings
from jointune.training.unfinished import discard_unfinished, refuse_unfinished


@locking("bundle", training=True)
def train(
    posts: PostsArgument,
    bundle: Annotated[Path, typer.Option("--out", metavar="BUNDLE", help="Folder to write.", show_default=False)],
    text_encoder: TextEncoderName = "minilm-l6",
    image_encoder: ImageEncoderName = "efficientnet-lite0",
    fusion: Annotated[
        str,
        typer.Option(
            metavar="NAME[:WIDTH]",
            help=f"What makes one vector of both encoders' states: {', '.join(NAMED)}.",
        ),
    ] = "gated",
    validation: Validation = "0.1",
    text_column: TextColumn = "text",
    image_column: ImageColumn = "image",
    label_column: LabelColumn = "label",
    split_column: SplitColumn = None,
    image_root: ImageRoot = None,
    encoding: Encoding = None,
    read_image_text: ReadImageText = False,
    on_bad_image: OnBad = "error",
    probe: Annotated[
        bool, typer.Option(help="Start from a linear probe on the frozen encoders.", rich_help_panel="Recipe")
    ] = True,
    probe_depths: Annotated[
        int, typer.Option(help="Depths of each encoder that the probe looks at.", rich_help_panel="Recipe")
    ] = 3,
    train_layers: Annotated[
        str,
        typer.Option(
            metavar="K|SHARE|all", help="Upper layers of each encoder that are trained.", rich_help_panel="Recipe"
        ),
    ] = "0.75",
    lora: Annotated[
        int | None,
        typer.Option(
            metavar="RANK",
            help="Train low-rank updates of the encoders: less memory; needs the extra lora.",
            rich_help_panel="Recipe",
        ),
    ] = None,
    gradient_checkpointing: Annotated[
        bool,
        typer.Option("--gradient-checkpointing", help="Compute layers twice: less memory.", rich_help_panel="Recipe"),
    ] = False,
    compile_layers: Annotated[
        bool, typer.Option("--compile-layers", help="Compile the encoders' layers.", rich_help_panel="Recipe")
    ] = False,
    epochs: Annotated[int, typer.Option(help="Most passes over the posts.", rich_help_panel="Recipe")] = 2,
    epoch_steps: Annotated[
        int,
        typer.Option(help="Steps of an epoch at least; few posts are passed several times.", rich_help_panel="Recipe"),
    ] = 16,
    batch_size: Annotated[int, typer.Option(help="Posts a step.", rich_help_panel="Recipe")] = 32,
    micro_batch_size: Annotated[
        int | None,
        typer.Option(help="Posts at once; by default what is fastest and fits.", rich_help_panel="Recipe"),
    ] = None,
    encoder_lr: Annotated[float, typer.Option(help="Peak rate of both encoders.", rich_help_panel="Recipe")] = 1e-4,
    head_lr: Annotated[float, typer.Option(help="Peak rate of fusion and head.", rich_help_panel="Recipe")] = 1e-3,
    full_rate_posts: Annotated[
        int, typer.Option(help="Fewer posts than this lower the rates; 0 for never.", rich_help_panel="Recipe")
    ] = 2000,
    weight_decay: Annotated[float, typer.Option(help="AdamW's decay.", rich_help_panel="Recipe")] = 0.01,
    schedule: Annotated[
        str, typer.Option(metavar="cosine|exponential", help="How the rates fall.", rich_help_panel="Recipe")
    ] = "cosine",
    warmup: Annotated[float, typer.Option(help="Share of steps of rising rates.", rich_help_panel="Recipe")] = 0.2,
    final_rate: Annotated[
        float, typer.Option(help="Share of the peak rates that a cosine ends with.", rich_help_panel="Recipe")
    ] = 0.5,
    max_grad_norm: Annotated[float, typer.Option(help="Gradient clipping.", rich_help_panel="Recipe")] = 1.0,
    label_smoothing: Annotated[
        float, typer.Option(help="Share spread over all labels.", rich_help_panel="Recipe")
    ] = 0.0,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Weigh labels by their rarity.", rich_help_panel="Recipe")
    ] = False,
    modality_dropout: Annotated[
        float, typer.Option(help="Chance to hide one modality of a post.", rich_help_panel="Recipe")
    ] = 0.2,
    augment: Annotated[bool, typer.Option(help="Mirror pictures at random.", rich_help_panel="Recipe")] = True,
    average_epochs: Annotated[
        float, typer.Option(help="Average the weights over so many epochs; 0 for none.", rich_help_panel="Recipe")
    ] = 1.0,
    evaluations_per_epoch: Annotated[int, typer.Option(help="Validations an epoch.", rich_help_panel="Recipe")] = 2,
    patience: Annotated[
        int,
        typer.Option(
            help="Stop after so many epochs without a better score; 0 at the first validation without.",
            rich_help_panel="Recipe",
        ),
    ] = 2,
    prefer_last: Annotated[
        float,
        typer.Option(
            help="Keep the weights at the end if none are better by so many standard errors; 0 for the best.",
            rich_help_panel="Recipe",
        ),
    ] = 1.0,
    metric: Annotated[
        str,
        typer.Option(
            metavar="accuracy|macro_f1|weighted_f1|log_loss",
            help="What tells better from worse.",
            rich_help_panel="Recipe",
        ),
    ] = "accuracy",
    normalise: Normalise = ALL_KINDS,
    image_margin: Annotated[
        bool,
        typer.Option(help="Cut pictures as in the image encoder's evaluation.", rich_help_panel="Recipe"),
    ] = False,
    max_tokens: Annotated[
        int | None, typer.Option(help="Cut texts to this many tokens; 128 by default.", rich_help_panel="Recipe")
    ] = None,
    precision: Precision = "auto",
    seed: Annotated[int, typer.Option(help="Of every random draw.", rich_help_panel="Recipe")] = 0,
    track: Annotated[
        str | None, typer.Option(metavar="tensorboard|mlflow|wandb|trackio", help="Log to a tracker.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interrupt or a kill.")] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a text and an image encoder jointly, and write a bundle.

    The state of an unfinished run is kept beside BUNDLE, as BUNDLE.partial: --resume goes on from it, --force discards
    it.
    """
    arguments = dict(locals()) | {"train_layers": layers_option(train_layers), "normalise": valid_kinds(normalise)}
    check_settings(arguments)
    refuse_existing(bundle, force, BUNDLE_MARK, posts)
    partial = bundle.parent / f"{bundle.name}.partial"
    refuse_unfinished(partial, resume, force)
    use = columns(text_column, image_column, label_column, split_column, image_root)
    learned, held, test = read_parts(posts, split_column, validation, use, encoding)
    if not resume:
        discard_unfinished(partial)

    from jointune import JointClassifier

    classifier = JointClassifier(
        **_settings(JointClassifier, arguments), class_weight="balanced" if balanced else None, progress=not quiet
    )
    classifier.fit(learned, validation=held, test=test or None, checkpoint=partial, resume=resume)
    if not classifier.is_main_process_:
        return
    classifier.save(bundle, force)
    discard_unfinished(partial)
    say_affected(classifier.problems_, on_bad_image)
    for part, scores in (("validation", classifier.metrics_), ("test", classifier.test_metrics_)):
        if scores:
            out.print(f"{part} in fp32: {sentence(scores)}")
    out.print(f"wrote {bundle}")


def _settings(classifier: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    names = inspect.signature(classifier.__init__).parameters
    # The posts are read already; the bundle is to find other ones under the usual names.
    return {name: value for name, value in arguments.items() if name in names and not name.endswith("_column")}
