"""Let ``jointune predict`` and ``embed`` score a few posts at a time, so that short tables have many parts."""

from collections.abc import Callable
from dataclasses import replace

from jointune.inference.load import load_predictor
from jointune.inference.predictor import Predictor


def loading_with(chunk_posts: int) -> Callable[..., Predictor]:
    """Return a function that stands in for the command's ``load_predictor``; no option sets the size of a chunk."""
    return lambda *arguments, **named: replace(load_predictor(*arguments, **named), chunk_posts=chunk_posts)
