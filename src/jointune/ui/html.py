"""Sentences to HTML. They hold names from users' files, so that all of them are escaped."""

from collections.abc import Sequence
from html import escape

from jointune.posts.problems import Problem

_LISTED = 100
"""Problems that are shown; a page with many thousands of lines helps nobody."""


def said(sentences: Sequence[str]) -> str:
    """Each sentence on a line of its own, the first one larger."""
    return "".join(f"<p>{escape(line)}</p>" for sentence in sentences for line in sentence.splitlines())


def listed(problems: Sequence[Problem]) -> str:
    """The rows that were left out, one a line; empty where there are none."""
    if not problems:
        return ""
    lines = [str(problem) for problem in problems[:_LISTED]]
    if len(problems) > _LISTED:
        lines.append(f"and {len(problems) - _LISTED:,} more; `jointune check` lists all of them")
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def card_body(card: str) -> str:
    """A model card without the block of metadata at its beginning, which is for machines."""
    if card.startswith("---\n"):
        _, _, card = card.removeprefix("---\n").partition("\n---\n")
    return card.strip() or "This model has no card."
