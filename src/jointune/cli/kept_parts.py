"""The way of commands that keep finished parts and go on from them, and their messages."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointune import __version__
from jointune.cli.options import out
from jointune.data.problems import OnBadImage, affected
from jointune.data.read import PostsFile
from jointune.errors import InterruptedWork, JointuneError, PostsError
from jointune.output.resumable import Parts, skipped_file
from jointune.utils.files import MANIFEST, sha256
from jointune.utils.hub import local_folder
from jointune.utils.progress import progress_bar
from jointune.utils.wording import counted, option

if TYPE_CHECKING:
    from jointune.inference.predictor import Scored, ScoredChunk

_GO_ON = "go on with the same command and --resume"

_LISTED = 20
"""Skipped posts that are printed; the file beside the output lists all."""


def known_by(bundle: str, file: PostsFile, **settings: Any) -> dict[str, Any]:
    """Return by what a resumed run is known: the posts, the bundle, the version, and the settings of the command."""
    return {
        "posts": file.stamp(),
        "bundle": sha256(local_folder(bundle) / MANIFEST),  # which holds the digests of the other files
        "jointune": __version__,
        **{option(name): str(value) if isinstance(value, Path) else value for name, value in settings.items()},
    }


@contextmanager
def _errors_say_what_is_kept(parts: Parts, total: int, policy: OnBadImage) -> Iterator[None]:
    """Add to an error how many posts are kept for --resume; remove the folder of parts if no part is finished."""
    try:
        yield
    except KeyboardInterrupt:
        parts.discard_if_empty()
        raise InterruptedWork(
            f"scoring was interrupted; {parts.read:,} of {counted(total, 'post is', 'posts are')} kept"
        ) from None
    except JointuneError as error:
        if parts.discard_if_empty():
            raise
        kept = f"{parts.read:,} of {counted(total, 'post is', 'posts are')} scored and kept"
        way_on = _after_bad_posts(parts, policy) if isinstance(error, PostsError) else _GO_ON
        raise type(error)(f"{error}\n{kept}: {way_on}") from error


def _after_bad_posts(parts: Parts, policy: OnBadImage) -> str:
    """Return the remedy for an error of the posts that stopped the run: only changes that --resume accepts."""
    if policy == "skip":
        return "a file that was changed is scored from the beginning, with --force"
    mended = f"mend the picture files and {_GO_ON}"
    if parts.has_problems:
        return f"{mended}; with another --on-bad-image, or a table that was changed, begin anew with --force"
    return f"{mended}, or add --on-bad-image skip to it; with a table that was changed, begin anew with --force"


def write_parts(
    parts: Parts,
    path: Path,
    total: int,
    policy: OnBadImage,
    score: "Callable[[], Iterable[ScoredChunk]]",
    rows: "Callable[[list[Scored]], Iterable[dict[str, Any]]]",
    bar: tuple[str, bool],
    force: bool,
) -> int:
    """Write what is left of an output part by part, join the parts, and return the number of posts written.

    Args:
        parts: of the output.
        path: of the output.
        total: number of posts.
        policy: what was done about bad images.
        score: scores the posts that ``parts`` lacks.
        rows: makes the rows of scored posts.
        bar: what the progress bar says, and whether it is shown.
        force: whether the list of posts that an earlier run skipped is removed where none was.
    """
    what, shown = bar
    with _errors_say_what_is_kept(parts, total, policy):
        with progress_bar(what, shown=shown) as progress:
            progress.start(total, parts.read)
            for chunk in score():
                parts.add(chunk.read, rows(chunk.scored), chunk.problems)
                progress.advance(chunk.read)
        parts.join(total, with_skipped=policy == "skip")
    try:
        bad = _print_affected(parts, path, policy)
    finally:
        parts.discard()
    if force and policy == "skip" and not bad:
        skipped_file(path).unlink(missing_ok=True)
    return total - (bad if policy == "skip" else 0)


def _print_affected(parts: Parts, path: Path, policy: str) -> int:
    """List and count the posts that were skipped, or used without their image, and return their number."""
    count = 0
    for count, problem in enumerate(parts.problems(), 1):
        if policy == "missing" or count <= _LISTED:
            out.print(f"{policy}: {problem}", style="yellow")
    if count:
        where = f"; {skipped_file(path)} lists them" if policy == "skip" else ""
        out.print(f"{affected(count, policy)} (--on-bad-image {policy}){where}.", style="yellow")
    return count
