"""jointune train."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jointune.cli.options import (
    Force,
    PostsArgument,
    Preset,
    Quiet,
    Validation,
    columns_to_learn_from,
    out,
    say_affected,
    sentence,
    takes_division,
    takes_settings,
    two_texts,
    with_preset,
)
from jointune.cli.posts_options import fraction_or_file, read_if_file, read_training_posts
from jointune.config import SETTINGS
from jointune.data.read import Columns, PostsFile
from jointune.inference.load import bundle_settings, check_options, columns_of
from jointune.training.start_settings import settings_of_start
from jointune.utils.files import BUNDLE_MARK
from jointune.utils.run_folder import TRAINING_STATE, RunFolder, locking, partial_folder

_NOT_HERE = {"device", "progress", "text_column", "image_column", "label_column"}


@locking("bundle", training=True)
@takes_settings(name for name in SETTINGS if name not in _NOT_HERE)
@takes_division
def train(
    context: typer.Context,
    posts: PostsArgument,
    bundle: Annotated[Path, typer.Option("--out", metavar="BUNDLE", help="Folder to write.", show_default=False)],
    preset: Preset = "default",
    validation: Validation = "0.1",
    test: Annotated[
        str | None,
        typer.Option(metavar="FILE|FRACTION", help="Test posts, scored once at the end, likewise; none by default."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="BUNDLE",
            help="Go on from this trained model: its encoders, fusion and settings of architecture are kept.",
        ),
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="POSTS", help="Older posts, to be learned from beside the new ones.")
    ] = None,
    use: Columns = Columns(),  # noqa: B008 - immutable
    encoding: str | None = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interrupt or a kill.")] = False,
    force: Force = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Fine-tune a text and an image encoder jointly, and write a bundle.

    The state of an unfinished run is kept beside BUNDLE, as BUNDLE.partial: --resume goes on from it, --force discards
    it.
    """
    settings = with_preset(context, preset, settings)
    if start:
        check_options(start)
        settings = settings_of_start(settings, bundle_settings(start), start)
    use = columns_to_learn_from(use, settings)
    if start:
        use = columns_of(start, use)
    RunFolder(bundle, BUNDLE_MARK, force=force, source=posts).refuse()
    contents = (TRAINING_STATE, f".{TRAINING_STATE}.*")
    partial = RunFolder(partial_folder(bundle), TRAINING_STATE, contents, resume, force)
    partial.refuse()
    chosen_test = fraction_or_file(test, "test") if test is not None else None
    learned, held = read_training_posts(posts, validation, use, encoding)
    tested = read_if_file(chosen_test, use, encoding)
    older = PostsFile(replay, use, encoding).read() if replay else None
    if not resume:
        partial.discard()

    from jointune import JointClassifier

    # The posts are read already; the bundle is to find other ones under the usual names.
    classifier = JointClassifier(**settings, **two_texts(use), progress=not quiet)
    classifier.fit(
        learned, validation=held, test=tested, checkpoint=partial.path, resume=resume, start=start, replay=older
    )
    if not classifier.is_main_process_:
        return
    classifier.save(bundle, force)
    partial.discard()
    say_affected(classifier.problems_, settings["on_bad_image"])
    for part, scores in (
        ("before, validation", classifier.start_metrics_),
        ("validation", classifier.metrics_),
        ("test", classifier.test_metrics_),
    ):
        if scores:
            out.print(f"{part} in fp32: {sentence(scores)}")
    out.print(f"wrote {bundle}")
