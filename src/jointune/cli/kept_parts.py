"""Messages of commands that keep finished parts and go on from them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jointune.cli.options import out
from jointune.data.problems import OnBadImage, affected
from jointune.errors import InterruptedWork, JointuneError, PostsError
from jointune.output.resumable import Parts, skipped_file
from jointune.utils.wording import counted

_GO_ON = "go on with the same command and --resume"

_LISTED = 20
"""Skipped posts that are printed; the file beside the output lists all."""


@contextmanager
def errors_say_what_is_kept(parts: Parts, total: int, policy: OnBadImage) -> Iterator[None]:
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


def print_affected(parts: Parts, path: Path, policy: str) -> int:
    """List and count the posts that were skipped, or used without their image, and return their number."""
    count = 0
    for count, problem in enumerate(parts.problems(), 1):
        if policy == "missing" or count <= _LISTED:
            out.print(f"{policy}: {problem}", style="yellow")
    if count:
        where = f"; {skipped_file(path)} lists them" if policy == "skip" else ""
        out.print(f"{affected(count, policy)} (--on-bad-image {policy}){where}.", style="yellow")
    return count
