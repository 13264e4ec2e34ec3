"""jointune train."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from jointune.cli.options import (
    Force,
    PostsArgument,
    Preset,
    Quiet,
    Said,
    Validation,
    affected_lines,
    columns_to_learn_from,
    out,
    sentence,
    takes_division,
    takes_settings,
    two_texts,
    with_preset,
)
from jointune.cli.posts_options import fraction_or_file, read_if_file, read_training_posts
from jointune.cli.scale_options import Cpus, Gpus, Ray, WorkerNumber, chosen_workers
from jointune.config import SETTINGS
from jointune.data.post import Posts
from jointune.data.read import Columns, PostsFile
from jointune.inference.load import bundle_settings, check_options, columns_of
from jointune.scale.ray_cluster import check_cluster
from jointune.scale.ray_training import train_on_cluster
from jointune.training.start_settings import settings_of_start
from jointune.utils.files import BUNDLE_MARK
from jointune.utils.run_folder import TRAINING_STATE, RunFolder, locking, partial_folder
from jointune.utils.wording import option

_NOT_HERE = {"device", "progress", "text_column", "image_column", "label_column"}


@locking("bundle", training=True, unless="ray")
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
    ray: Ray = None,
    workers: WorkerNumber = None,
    cpus_per_worker: Cpus = None,
    gpus_per_worker: Gpus = None,
    use: Columns = Columns(),  # noqa: B008 - immutable
    encoding: str | None = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interrupt or a kill.")] = False,
    force: Force = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Fine-tune a text and an image encoder jointly, and write a bundle.

    The state of an unfinished run is kept beside BUNDLE, as BUNDLE.partial: --resume goes on from it, --force discards
    it. With --ray, the workers of a Ray cluster train together, --batch-size posts each at a time; BUNDLE and the
    pictures have to be where all of them find them.
    """
    cluster = chosen_workers(ray, workers, cpus_per_worker, gpus_per_worker)
    if ray is not None:
        check_cluster(ray)
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

    work = _Training(bundle, partial, {**settings, **two_texts(use), "progress": not quiet}, start, resume, force)
    posts_of_all = (learned, held, tested, older)
    if cluster is None:
        said = work(posts_of_all)
    else:
        said = train_on_cluster(str(ray), cluster, replace(work, resume=True), posts_of_all, not quiet, option)
    for line, style in said:
        out.print(line, style=style)


@dataclass(frozen=True)
class _Training:
    """A training whose posts are read; each of several processes calls it.

    Attributes:
        bundle: the folder to write.
        partial: the folder of the state.
        settings: of the classifier.
        start: the bundle to go on from.
        resume: whether to go on from the state.
        force: whether a bundle may be replaced.
    """

    bundle: Path
    partial: RunFolder
    settings: dict[str, Any]
    start: str | None
    resume: bool
    force: bool

    def __call__(self, posts: tuple[Posts, Posts | float | None, Posts | float | None, Posts | None]) -> Said:
        """Train, and write the bundle in the main process; return what to say, with the style of each line.

        Args:
            posts: to learn from, for validation and for testing, and older ones.
        """
        return self._run(*posts, bundle=self.bundle)

    @locking("bundle", training=True)
    def _run(
        self,
        learned: Posts,
        held: Posts | float | None,
        tested: Posts | float | None,
        older: Posts | None,
        bundle: Path,
    ) -> Said:
        from jointune import JointClassifier

        # The posts are read already; the bundle is to find other ones under the usual names.
        classifier = JointClassifier(**self.settings)
        parts: dict[str, Any] = {"validation": held, "test": tested, "start": self.start, "replay": older}
        classifier.fit(learned, **parts, checkpoint=self.partial.path, resume=self.resume)
        if not classifier.is_main_process_:
            return []
        classifier.save(bundle, self.force)
        self.partial.discard()
        said: Said = affected_lines(classifier.problems_, self.settings["on_bad_image"])
        for part, scores in (
            ("before, validation", classifier.start_metrics_),
            ("validation", classifier.metrics_),
            ("test", classifier.test_metrics_),
        ):
            if scores:
                said.append((f"{part} in fp32: {sentence(scores)}", None))
        return [*said, (f"wrote {bundle}", None)]
