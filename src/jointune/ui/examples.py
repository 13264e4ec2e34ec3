"""Posts to try a model on: three of the demo posts, in which text and picture say different things."""

import csv
from pathlib import Path
from typing import NamedTuple

from jointune.demo import POSTS

_CHOSEN = ("post050", "post006", "post012")


class Example(NamedTuple):
    """A text and the picture that belongs to it."""

    text: str
    picture: Path


def examples() -> list[Example]:
    """The examples, in their order."""
    with open(POSTS, encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    return [Example(rows[name]["text"], POSTS.parent / rows[name]["image"]) for name in _CHOSEN]
