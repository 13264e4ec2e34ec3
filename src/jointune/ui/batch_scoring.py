"""A table of posts, with a zip of their pictures, to a scored table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from jointune.data.post import Post
from jointune.data.problems import Problem
from jointune.data.read import Columns, PostsFile
from jointune.data.tables.delimited import DelimitedTable
from jointune.errors import PostsError
from jointune.inference.predictor import Predictor
from jointune.output.writers import added_columns, check_output, columns_of_earlier_scoring, make_layout, open_writer
from jointune.ui.archive import Archive
from jointune.utils.wording import counted, listed

TEXT, IMAGE = "text", "image"
"""The columns, as ``jointune predict`` names them by default."""

_PREVIEWED = 20
"""Scored posts that are shown."""


@dataclass(frozen=True)
class ScoredTable:
    """What came of a table.

    Attributes:
        path: the scored table.
        answers: how many posts got each answer.
        first: the first posts with their answers and confidences.
        rows: how many rows the table had.
        problems: the rows that were left out, and why.
        without: ``text`` or ``image``, where no row could have any.
    """

    path: Path
    answers: dict[str, int]
    first: list[tuple[Post, str, float]]
    rows: int
    problems: list[Problem]
    without: str | None

    @property
    def sentences(self) -> list[str]:
        """The counts, in plain words."""
        scored = self.rows - len(self.problems)
        said = [f"{scored:,} of {_rows(self.rows)} scored."]
        if self.problems:
            said.append(f"{_rows(len(self.problems))} left out; the list below says why.")
        if self.without == IMAGE:
            said.append("No pictures: judged by the texts alone.")
        if self.without == TEXT:
            said.append("No texts: judged by the pictures alone.")
        return said


def score_table(
    predictor: Predictor,
    table: Path,
    pictures: Path | None,
    out: Path,
    progress: Callable[[int], object] = lambda _: None,
) -> ScoredTable:
    """Score each row of a CSV file; one that cannot be used is left out and does not fail the rest.

    Args:
        predictor: the model.
        table: with a column ``text``, ``image``, or both.
        pictures: a zip file; the column ``image`` holds paths in it. Without one, no row has a picture.
        out: the CSV file to write, with the columns that ``jointune predict --safe-csv`` adds, or replaces.
        progress: called with the number of rows read so far.

    Raises:
        PostsError: the table or the zip file cannot be used at all.
        OutputError: the table has a column already that scoring adds, or the disk is full.
    """
    use, without = _columns(table, pictures is not None)
    file = PostsFile(table, use)
    added = added_columns(predictor.labels)
    earlier = frozenset(columns_of_earlier_scoring(file.table))
    check_output(out, [name for name in file.columns if name not in earlier], added)
    problems: list[Problem] = []
    read = 0
    answers = dict.fromkeys(predictor.labels, 0)
    first: list[tuple[Post, str, float]] = []

    def counted(posts: Iterator[Post]) -> Iterator[Post]:
        nonlocal read
        for post in posts:
            read += 1
            progress(read)
            yield post

    with open_writer(out, make_layout(out, file.table, added, earlier, safe=True)) as writer:
        for entry in predictor.stream(counted(_with_pictures(file, pictures)), "skip", problems, table.name):
            answer, confidence = predictor.answer(entry.probabilities)
            answers[answer] = answers.get(answer, 0) + 1
            if len(first) < _PREVIEWED:
                first.append((entry.post, answer, confidence))
            fields = {name: value for name, value in entry.post.fields.items() if name not in earlier}
            writer.write({**fields, **dict(zip(added, predictor.cells(entry.probabilities), strict=True))})
        if not read:
            raise PostsError(f"{table.name}: no posts: the file has a header but no rows")
    return ScoredTable(out, answers, first, read, problems, without)


def _columns(table: Path, with_pictures: bool) -> tuple[Columns, str | None]:
    """Those that the table has, and the modality that no row can have."""
    there = DelimitedTable(table, "utf-8-sig", [TEXT, IMAGE]).columns
    if TEXT in there:
        shown = with_pictures and IMAGE in there
        return Columns(TEXT, IMAGE if shown else None, None), None if shown else IMAGE
    if IMAGE not in there:
        raise PostsError(
            f"{table.name}: no column {TEXT!r} and none {IMAGE!r} (there are: {listed(there, len(there))})",
            "rename one of them",
        )
    if not with_pictures:
        raise PostsError(f"{table.name}: it has pictures only, so add the zip file that holds them")
    return Columns(None, IMAGE, None), TEXT


def _with_pictures(file: PostsFile, pictures: Path | None) -> Iterator[Post]:
    if pictures is None:
        yield from file
        return
    with Archive(pictures) as archive:
        yield from (_with_picture(post, archive) for post in file)


def _with_picture(post: Post, archive: Archive) -> Post:
    if post.problem or post.image is None:
        return post
    # The path itself is never opened: it is a name to look up.
    found = archive.read(str(post.fields[IMAGE]), post.where)
    return replace(post, problem=found) if isinstance(found, Problem) else replace(post, image=found)


def _rows(count: int) -> str:
    return counted(count, "row")
