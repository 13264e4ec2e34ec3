"""Score a table of posts, with a zip of their images, to a table."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from jointune.data.image_cells import image_entries
from jointune.data.post import Post
from jointune.data.problems import Problem, joint_problem
from jointune.data.read import Columns, PostsFile, no_posts
from jointune.data.tables.delimited import DelimitedTable
from jointune.errors import PostsError
from jointune.inference.predictor import Predictor
from jointune.modalities.image.first_images import FirstImages
from jointune.output.writers import check_output, columns_of_earlier_scoring, make_layout, open_writer
from jointune.ui.uploads import Archive
from jointune.utils.wording import counted, listed

TEXT, IMAGE = "text", "image"
"""The columns, as ``jointune predict`` names them by default."""

_PREVIEWED = 20  # scored posts that are shown


@dataclass(frozen=True)
class ScoredTable:
    """The result of scoring a table.

    Attributes:
        path: the scored table.
        answers: how many posts got each label; none where labels are numbers.
        first: the first posts with their answers and confidences.
        rows: how many rows the table had.
        problems: the rows that were left out, and why.
        without: ``text`` or ``image``, if no row could have any.
        notes: what of the rows was not used.
    """

    path: Path
    answers: dict[str, int]
    first: list[tuple[Post, str, float | None]]
    rows: int
    problems: list[Problem]
    without: str | None
    notes: list[str]

    @property
    def sentences(self) -> list[str]:
        """The counts, in plain words."""
        sentences = [f"{self.rows - len(self.problems):,} of {counted(self.rows, 'row')} scored."]
        if self.problems:
            sentences.append(f"{counted(len(self.problems), 'row')} left out; the list below says why.")
        if self.without == IMAGE:
            sentences.append("No pictures: judged by the texts alone.")
        if self.without == TEXT:
            sentences.append("No texts: judged by the pictures alone.")
        return [*sentences, *(f"{note}." for note in self.notes)]


def score_table(
    predictor: Predictor, table: Path, images: Path | None, out: Path, on_row: Callable[[int], object] = lambda _: None
) -> ScoredTable:
    """Score each row of a CSV file; one that cannot be used is left out and does not fail the rest.

    Args:
        predictor: the model.
        table: with a column ``text``, or the two columns of texts that the model reads, ``image``, or both.
        images: a zip file; the column ``image`` holds paths in it. Without one, no row has an image.
        out: the CSV file to write, with the columns that ``jointune predict`` adds, or replaces, and its protection
            against formulas.
        on_row: called with the number of rows read so far.

    Raises:
        PostsError: the table or the zip file cannot be used at all.
        OutputError: the table already has a column that scoring adds, or the disk is full.
    """
    columns, without = _columns(table, images is not None, predictor)
    file = PostsFile(table, columns)
    added = predictor.added_columns
    earlier = frozenset(columns_of_earlier_scoring(file.table))
    check_output(out, [name for name in file.columns if name not in earlier], added)
    first_images = FirstImages(predictor.image.max_images)
    problems: list[Problem] = []
    rows = 0
    answers = dict.fromkeys(predictor.labels, 0)
    first: list[tuple[Post, str, float | None]] = []

    def posts(archive: Archive | None) -> Iterator[Post]:
        nonlocal rows
        for post in first_images.of(file):
            rows += 1
            on_row(rows)
            yield _with_files(post, archive) if archive else post

    with (
        Archive(images) if images else nullcontext() as archive,
        open_writer(out, make_layout(out, file.table, added, earlier, True, predictor.text_columns)) as writer,
    ):
        for scored in predictor.stream(posts(archive), "skip", problems, table.name):
            answer, confidence = predictor.answer(scored.probabilities)
            for part in predictor.target.parts(answer):
                answers[part] = answers.get(part, 0) + 1
            if len(first) < _PREVIEWED:
                first.append((scored.post, answer, confidence))
            cells = {name: value for name, value in scored.post.fields.items() if name not in earlier}
            writer.write(cells | dict(zip(added, predictor.cells(scored), strict=True)))
        if not rows:
            raise no_posts(table.name)
    return ScoredTable(out, answers, first, rows, problems, without, first_images.notes)


def _columns(table: Path, with_images: bool, predictor: Predictor) -> tuple[Columns, str | None]:
    """Return the columns to read, and the modality that no row can have."""
    text, second = predictor.text.pair or (TEXT, None)
    fields = tuple(predictor.columns)
    files = tuple(name for name, kind, _ in predictor.reads if kind == "file") if with_images else ()
    names = DelimitedTable(table, "utf-8-sig", [text, IMAGE]).columns
    if text in names:
        image = IMAGE if with_images and IMAGE in names else None
        found = Columns(text, image, None, fields=fields, second_text=second, files=files)
        return found, None if image else IMAGE
    if IMAGE not in names:
        raise PostsError(
            f"{table.name}: no column {text!r} and none {IMAGE!r} (there are: {listed(names, len(names))})",
            "rename one of them",
        )
    if not with_images:
        raise PostsError(f"{table.name}: it has pictures only", "add the zip file that holds them")
    return Columns(None, IMAGE, None, fields=fields, files=files), TEXT


def _with_files(post: Post, archive: Archive) -> Post:
    """Return a post with its files from the archive; its paths are never opened: they are names to look up."""
    if post.problem:
        return post
    names = image_entries(post.fields[IMAGE], Path())[: len(post.images)] if post.images else []
    read = {number: archive.read(str(name), post.where) for number, name in enumerate(names, 1)}
    problems = {number: content for number, content in read.items() if isinstance(content, Problem)}
    images = [content for content in read.values() if isinstance(content, bytes)]
    files = {column: archive.read(str(post.fields[column]), post.where) for column in post.files}
    bad_file = next((content for content in files.values() if isinstance(content, Problem)), None)
    problem = joint_problem(post.where, problems, len(names)) or bad_file
    kept = {column: content for column, content in files.items() if isinstance(content, bytes)}
    return replace(post, image=images, files=kept, problem=problem)
