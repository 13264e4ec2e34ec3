"""Columns of numbers and categories to the input of the fields encoder, with statistics of the training posts."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from jointune.data.post import Post
from jointune.data.problems import Problem, raise_problems
from jointune.data.read import label_text
from jointune.errors import SettingsError
from jointune.modalities.batch import Arrays, Input, Preprocessor
from jointune.modalities.parts import Parts
from jointune.utils.wording import counted, listed

MOST_BINS = 16
"""Quantile bins of a number column."""

MOST_CATEGORIES = 1000
"""Categories of a column that are told apart, the most frequent ones; the rest count as unseen."""

_LARGEST = 1e100
"""The largest number that is learned from; the squares of larger ones have no room in a float."""

MISSING, UNSEEN = 0, 1
"""The codes of an empty cell, and of a category that no training post has. In number columns, bins begin at 1."""


@dataclass(frozen=True)
class FieldsPreprocessor(Preprocessor):
    """Numbers and categories of a post, encoded by what the training posts hold.

    A row is an array float32 [2 N + K]: for each of N number columns the standardised value (0 where it is missing),
    then their bins, then the codes of K category columns. A post that has none of the columns lacks the modality.

    Attributes:
        numbers: by column, ``mean``, ``std`` and the ``edges`` between quantile bins, ascending.
        categories: by column, the known categories in the order of their codes, from 2 on.
    """

    name: ClassVar[str] = "fields"

    numbers: Mapping[str, Mapping[str, Any]]
    categories: Mapping[str, Sequence[str]]

    @classmethod
    def fitted(cls, posts: Iterable[Post], numbers: Sequence[str], categories: Sequence[str]) -> "FieldsPreprocessor":
        """Learn means, deviations, bins and categories.

        Args:
            posts: the training posts.
            numbers: columns of numbers.
            categories: columns of categories.

        Raises:
            PostsError: a cell of a number column is no number.
            SettingsError: no training post has a value in a column.
        """
        posts = list(posts)
        statistics: dict[str, dict[str, Any]] = {}
        for column in numbers:
            parsed = [_number(post, column) for post in posts]
            raise_problems([value for value in parsed if isinstance(value, Problem)], f"column {column}")
            values = np.array([value for value in parsed if isinstance(value, float)])
            _refuse_empty(column, len(values), "number_columns")
            deviation = float(values.std()) if np.ptp(values) else 0.0  # rounding would leave a little of it
            edges = np.unique(np.quantile(values, np.linspace(0, 1, MOST_BINS + 1)[1:-1]))
            statistics[column] = {"mean": float(values.mean()), "std": deviation or 1.0, "edges": edges.tolist()}
        known: dict[str, list[str]] = {}
        for column in categories:
            counts = Counter(category for post in posts if (category := _text(post, column)) is not None)
            _refuse_empty(column, len(counts), "category_columns")
            known[column] = sorted(sorted(counts, key=lambda one: (-counts[one], one))[:MOST_CATEGORIES])
        return cls(statistics, known)

    def rows(self, posts: Iterable[Post]) -> list[np.ndarray | None]:
        """Encode posts; None for a post without a value in any column.

        Raises:
            PostsError: a cell of a number column is no number.
        """
        rows: list[np.ndarray | None] = []
        problems: list[Problem] = []
        for post in posts:
            values, bins, found = [], [], False
            for column, statistics in self.numbers.items():
                number = _number(post, column)
                if isinstance(number, Problem):
                    problems.append(number)
                    number = None
                found |= number is not None
                value = 0.0 if number is None else (number - statistics["mean"]) / statistics["std"]
                values.append(min(max(value, -10.0), 10.0))
                bins.append(
                    MISSING if number is None else 1 + int(np.searchsorted(statistics["edges"], number, "right"))
                )
            for column, known in self._codes.items():
                category = _text(post, column)
                found |= category is not None
                bins.append(MISSING if category is None else known.get(category, UNSEEN))
            rows.append(np.array([*values, *bins], dtype=np.float32) if found else None)
        raise_problems(problems, "fields")
        return rows

    @cached_property
    def _codes(self) -> dict[str, dict[str, int]]:
        """The code of each category, by column."""
        return {column: {name: code for code, name in enumerate(known, 2)} for column, known in self.categories.items()}

    def parts(self, post: Post, row: np.ndarray) -> Parts:
        """Divide a row into the columns in which the post has a value; a removed one counts as missing."""
        columns, numbers = [*self.numbers, *self.categories], len(self.numbers)
        codes = row[numbers:]
        present = np.flatnonzero(codes != MISSING)
        index = np.full(len(row), -1)
        index[numbers + present] = np.arange(len(present))
        index[:numbers] = index[numbers : 2 * numbers]

        def remove(hidden: np.ndarray) -> np.ndarray | None:
            # The mean of a number is 0, and so is the code of a missing value.
            return None if hidden.all() else np.where((index >= 0) & hidden[index], np.float32(MISSING), row)

        names = [f"{columns[number]} = {_text(post, columns[number])}" for number in present]
        return Parts("field", names, index, remove)

    def without(self, post: Post) -> Post:
        """Return a post without values in the columns."""
        columns = {*self.numbers, *self.categories}
        rest = {name: value for name, value in post.fields.items() if name not in columns}
        return post if self.rows([post])[0] is None else replace(post, fields=rest)

    @property
    def reads(self) -> list[Input]:
        """The columns, with their categories."""
        numbers = [Input(name, "number") for name in self.numbers]
        return numbers + [Input(name, "category", known) for name, known in self.categories.items()]

    def notes(self, posts: Iterable[Post], part: str) -> list[str]:
        """Describe what is missing in posts, and which categories no training post has; one sentence a column."""
        posts, called = list(posts), f"{part} post".lstrip()
        notes = []
        for column in (*self.numbers, *self.categories):
            empty = sum(_text(post, column) is None for post in posts)
            if empty:
                notes += [f"{column}: empty in {empty:,} of {counted(len(posts), called)}; counts as missing"]
        for column, known in self.categories.items():
            seen = Counter(category for post in posts if (category := _text(post, column)) is not None)
            if unseen := [name for name in seen if name not in set(known)]:
                notes.append(
                    f"{column}: {counted(sum(seen[name] for name in unseen), called)} with categories that are "
                    f"not learned ({listed(unseen, 5)}); they count as one"
                )
        return notes

    @property
    def sizes(self) -> list[int]:
        """The number of codes of each column, numbers first: of its bins or categories, of missing and of unseen."""
        bins = [len(statistics["edges"]) + 2 for statistics in self.numbers.values()]
        return bins + [len(known) + 2 for known in self.categories.values()]

    def collate(self, rows: Sequence[np.ndarray]) -> Arrays:
        """Stack rows: ``values`` float32 [B, N] and ``codes`` int64 [B, N + K]."""
        stacked = np.stack(rows)
        count = len(self.numbers)
        return {"values": stacked[:, :count], "codes": stacked[:, count:].astype(np.int64)}

    def examples(self) -> list[np.ndarray]:
        """Make four rows with the first and the last code of each column."""
        first = np.zeros(2 * len(self.numbers) + len(self.categories), dtype=np.float32)
        last = np.array([*[1.0] * len(self.numbers), *(size - 1 for size in self.sizes)], dtype=np.float32)
        return [first, last, first, last]

    def summary(self) -> str:
        """Describe the columns in a sentence."""
        columns = [*self.numbers, *self.categories]
        return f"Fields are read from the columns {listed(columns, len(columns))}."

    def config(self) -> dict[str, Any]:
        """Return the attributes as JSON values."""
        return {
            "numbers": {name: dict(statistics) for name, statistics in self.numbers.items()},
            "categories": {name: list(known) for name, known in self.categories.items()},
        }


def _refuse_empty(column: str, count: int, setting: str) -> None:
    if not count:
        raise SettingsError(
            f"no training post has a value in the column {column!r}", "correct its name", setting=setting
        )


def _text(post: Post, column: str) -> str | None:
    """Return a cell as a text; None where it is empty.

    Raises:
        PostsError: it holds a list or the like.
    """
    try:
        return label_text(post.fields.get(column)) or None
    except TypeError as reason:
        content = str(reason).removesuffix(" where a label is needed")
        raise_problems([Problem(post.where, column, f"it holds {content}", "give a number or a short text")], "fields")
        raise


def _number(post: Post, column: str) -> float | Problem | None:
    text = _text(post, column)
    if text is None:
        return None
    try:
        number = float({"True": "1", "False": "0"}.get(text, text))
    except ValueError:
        number = math.nan
    if abs(number) <= _LARGEST:
        return number
    shown = repr(text[:40])
    fault = f"{shown} is too large" if math.isfinite(number) else f"{shown} is no number"
    return Problem(post.where, column, fault, "correct the cell, or name the column as a category")
