"""Reasons why a post cannot be used, each in one line a person can act on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from jointune.errors import PostsError, SettingsError, setting
from jointune.utils.wording import counted, shortened, visible

OnBadImage = Literal["error", "skip", "missing"]
"""How to treat an image that cannot be read: stop, leave the post out, or use the post without that image.

``missing`` goes on with the other images of a post that has several. ``skip`` also leaves out posts that
cannot be used for another reason.
"""

_SHOWN = 20


@dataclass(frozen=True)
class Problem:
    """One unusable row.

    Attributes:
        where: the row, such as ``posts.csv row 7 (line 8)``.
        what: the file or column at fault.
        reason: what is wrong.
        remedy: what to do about it.
        about_image: whether only the image is at fault.
    """

    where: str
    what: str
    reason: str
    remedy: str
    about_image: bool = False

    def __str__(self) -> str:
        return visible(f"{self.where}: {shortened(self.what)}: {shortened(self.reason)}; {self.remedy}")


def joint_problem(where: str, problems: Mapping[int, Problem], images: int) -> Problem | None:
    """Return what is wrong with some of a post's ``images``, by their numbers from 1 on; None where nothing is."""
    if not problems:
        return None
    number, *others = sorted(problems)
    first = problems[number]
    what = first.what if images == 1 else f"picture {number} of {images}, {first.what}"
    more = f" (nor can {counted(len(others), 'other picture')} of it be used)" if others else ""
    return Problem(where, what, first.reason + more, first.remedy, about_image=True)


def affected(number: int, policy: str) -> str:
    """Say how many posts ``policy`` skipped or used without their image."""
    what = "left out" if policy == "skip" else "used without a picture"
    return f"{counted(number, 'post was', 'posts were')} {what}"


def raise_problems(problems: Sequence[Problem], name: str, skippable: bool = False) -> None:
    """Raise one ``PostsError`` that lists the first problems and counts all of them; do nothing without problems.

    The message advises the policy ``skip`` for problems of images, and, if ``skippable``, for all.
    """
    if not problems:
        return
    lines = [str(problems[0])]
    if len(problems) > 1:
        lines = [f"{counted(len(problems), 'post')} of {name} cannot be used:"]
        lines += [f"  {problem}" for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"  and {len(problems) - _SHOWN} more; `jointune check` counts all by their reason")
    if all(problem.about_image for problem in problems):
        lines.append(
            f"({setting('on_bad_image', 'skip')} leaves such posts out, "
            f"{setting('on_bad_image', 'missing')} goes on without the picture where there is a text)"
        )
    elif skippable:
        lines.append(f"({setting('on_bad_image', 'skip')} leaves such posts out)")
    if len(problems) == 1:
        reason = str(problems[0]).removesuffix(f"; {problems[0].remedy}")
        hint = lines[1:]
        raise PostsError(reason, "\n".join([problems[0].remedy, *hint]))
    raise PostsError("\n".join(lines))


def stops(problem: Problem, has_more: bool, policy: OnBadImage) -> bool:
    """Return whether a problem is an error under ``policy``; a post that ``has_more`` can do without a bad image."""
    return policy != "skip" and not (policy == "missing" and problem.about_image and has_more)


def valid_policy(policy: str) -> OnBadImage:
    """Return ``policy`` if it is one, or raise a ``SettingsError``."""
    if policy not in ("error", "skip", "missing"):
        raise SettingsError(f"{setting('on_bad_image', policy)}: choose error, skip or missing", setting="on_bad_image")
    return policy  # type: ignore[return-value]
