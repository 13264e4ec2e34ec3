"""Why a post cannot be used, in one line a person can act on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jointune.errors import PostsError, SettingsError, setting
from jointune.utils.wording import counted, shortened, visible

OnBadImage = Literal["error", "skip", "missing"]
"""What to do about a picture that cannot be read: stop, leave the post out, or go on as if it had no picture.

``skip`` leaves out posts that are of no use for another reason, too.
"""

_SHOWN = 20


@dataclass(frozen=True)
class Problem:
    """One unusable row.

    Attributes:
        where: the row, such as ``posts.csv row 7 (line 8)``.
        what: the file or column it is about.
        reason: what is wrong.
        remedy: what to do about it.
        about_image: whether it is only the picture that is wrong.
    """

    where: str
    what: str
    reason: str
    remedy: str
    about_image: bool = False

    def __str__(self) -> str:
        return visible(f"{self.where}: {shortened(self.what)}: {shortened(self.reason)}; {self.remedy}")


def affected(number: int, policy: str) -> str:
    """Say how many posts ``policy`` skipped or used without a picture."""
    what = "left out" if policy == "skip" else "used without a picture"
    return f"{counted(number, 'post was', 'posts were')} {what}"


def raise_problems(problems: Sequence[Problem], name: str, skippable: bool = False) -> None:
    """Raise one error that lists the first problems and counts all of them.

    Args:
        problems: what is wrong, by post.
        name: what messages call the posts.
        skippable: whether ``skip`` would have left the posts out whatever is wrong with them.

    Raises:
        PostsError: there is at least one problem.
    """
    if not problems:
        return
    if len(problems) == 1:
        raise PostsError(str(problems[0]) + _policy_hint(problems, skippable))
    lines = [f"{counted(len(problems), 'post')} of {name} cannot be used:"]
    lines += [f"  {problem}" for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"  and {len(problems) - _SHOWN} more; `jointune check` counts all by their reason")
    raise PostsError("\n".join(lines) + _policy_hint(problems, skippable))


def _policy_hint(problems: Sequence[Problem], skippable: bool) -> str:
    if all(problem.about_image for problem in problems):
        return (
            f"\n({setting('on_bad_image', 'skip')} leaves such posts out, "
            f"{setting('on_bad_image', 'missing')} goes on without the picture where there is a text)"
        )
    return f"\n({setting('on_bad_image', 'skip')} leaves such posts out)" if skippable else ""


def stops(problem: Problem, has_text: bool, policy: OnBadImage) -> bool:
    """Whether a problem is an error under ``policy``.

    Args:
        problem: what is wrong with a post.
        has_text: whether the post has a text, and so is something without its picture.
        policy: what to do about pictures that cannot be read.
    """
    return policy != "skip" and not (policy == "missing" and problem.about_image and has_text)


def valid_policy(policy: str) -> OnBadImage:
    """``policy`` itself, if it is one.

    Raises:
        SettingsError: it is not.
    """
    if policy not in ("error", "skip", "missing"):
        raise SettingsError(f"{setting('on_bad_image', policy)}: choose error, skip or missing", setting="on_bad_image")
    return policy  # type: ignore[return-value]
