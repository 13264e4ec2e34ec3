"""jointune predict by parts: on a Ray cluster, or a share of the parts in this process."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from jointune.cli.options import out
from jointune.data.problems import affected
from jointune.data.remote import is_address
from jointune.errors import InterruptedWork, JointuneError, SettingsError, setting
from jointune.output.predicted_table import PredictOptions
from jointune.scale.input_parts import InputPart, input_parts, share_of
from jointune.scale.part_predictor import PartPredictor, described_run
from jointune.scale.part_worker import predict_on_cluster
from jointune.scale.ray_cluster import Workers, ray_cluster
from jointune.scale.scored_folder import FinishedPart, ScoredFolder
from jointune.utils.hub import local_folder
from jointune.utils.progress import progress_bar
from jointune.utils.run_folder import locked
from jointune.utils.wording import counted, option


def predict_parts(
    options: PredictOptions,
    posts: str,
    path: str,
    ray: str | None,
    workers: Workers | None,
    share: str | None,
    resume: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Score an input part by part into a folder; parts that are finished there are not scored again.

    Args:
        options: what is predicted.
        posts: path or address.
        path: of the output, likewise.
        ray: address of a cluster that scores all parts.
        workers: of the cluster.
        share: which parts to score here, such as ``0/8``, in place of a cluster.
        resume: whether to go on with the parts in the output.
        force: whether to remove them.
        quiet: whether to show no progress.
    """
    if ray and share:
        raise SettingsError("--ray and --part: the parts are scored by one or the other")
    if share and force:
        raise SettingsError("--force and --part: others may be writing there", f"remove {path} before all of them")
    folder = ScoredFolder(path)
    parts = input_parts(posts, options)
    chosen = share_of(parts, share) if share else parts
    bundle = local_folder(options.bundle)
    source = None if is_address(posts) else Path(posts)
    # Processes that score a share each write into one folder.
    with locked(folder.path) if ray and not folder.address else nullcontext():
        with ray_cluster(ray) if ray else nullcontext() as cluster:
            run = described_run(posts, options, bundle)
            folder.claim(run, resume or share is not None, force, source, alone=share is None)
            if workers is None:
                total = _show(map(PartPredictor(options, folder, options.load()).ensure, chosen), chosen, not quiet)
            else:
                # Closed before the connection is: it ends the workers.
                with closing(predict_on_cluster(cluster, chosen, options, folder, bundle, workers, option)) as work:
                    total = _show(work, chosen, not quiet)
        folder.close()
    _report(total, len(parts), folder, options)


def _show(work: Iterable[FinishedPart], parts: list[InputPart], shown: bool) -> list[int]:
    """Do the work under a progress bar; return the numbers of parts, of rows, and of posts with a problem."""
    total = [0, 0, 0]
    with _errors_say_what_is_finished(total, len(parts)), progress_bar("predicting", "parts", shown) as bar:
        bar.start(len(parts))
        for finished in work:
            total[:] = [total[0] + 1, total[1] + finished.rows, total[2] + finished.problems]
            bar.note(f"{total[1]:,} posts")
            bar.advance()
    return total


@contextmanager
def _errors_say_what_is_finished(total: list[int], parts: int) -> Iterator[None]:
    way_on = f"go on with the same command and {setting('resume', True)}"
    try:
        yield
    except KeyboardInterrupt:
        done = f"{total[0]:,} of {counted(parts, 'part is', 'parts are')} finished"
        raise InterruptedWork(f"scoring was interrupted; {done}") from None
    except JointuneError as error:
        if not total[0]:
            raise
        done = f"{total[0]:,} of {counted(parts, 'part is', 'parts are')} finished and kept"
        raise type(error)(f"{error}\n{done}: {way_on}") from error


def _report(total: list[int], parts: int, folder: ScoredFolder, options: PredictOptions) -> None:
    done, rows, problems = total
    if problems:
        where = f"{folder}/_problems lists them"
        out.print(
            f"{affected(problems, options.on_bad_image)} (--on-bad-image {options.on_bad_image}); {where}.",
            style="yellow",
        )
    of = "" if done == parts else f" of {parts:,}"
    out.print(f"wrote {folder}: {counted(done, 'part')}{of} with {counted(rows, 'post')}")
