"""Read files, folders and rows as posts; the one place that knows which column means what."""

import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jointune.data.image_cells import image_entries, image_source
from jointune.data.labelling import ONE_LABEL, Labelling
from jointune.data.labels import absent, label_text
from jointune.data.post import FileSource, ImageSource, Post, Posts
from jointune.data.problems import Problem, joint_problem, raise_problems
from jointune.data.remote import SCHEMES, can_fetch, download, is_address
from jointune.data.tables.encoding import known_encoding
from jointune.data.tables.open_table import FolderTable, open_table
from jointune.data.tables.saved_dataset import SavedDataset
from jointune.data.tables.table import Row, table_errors
from jointune.data.text_columns import text_columns
from jointune.data.times import Time, read_time
from jointune.errors import PostsError, SettingsError, setting
from jointune.utils.files import sha256
from jointune.utils.progress import progress_bar
from jointune.utils.run_folder import scratch_folder
from jointune.utils.wording import encodable, listed, shortened


@dataclass(frozen=True)
class Columns:
    """The names of the columns that hold the parts of a post; None if there is no such column.

    Attributes:
        text: a column, or two of them, such as ``text,aspect``, until ``matched`` tells them apart.
        second_text: the second of two columns of texts.
        image: a column, or several of them, such as ``photo1,photo2``, until ``matched`` tells them apart.
        more_images: those behind the first of several columns of images.
        image_root: the folder that image paths are relative to and may not leave; by default the file's own folder,
            which they may leave.
        remote_images: whether images that are named by an address are fetched, wherever it leads.
        group: names the group of a post, which is never divided, such as an author or a thread.
        time: when it was posted.
        fields: further columns that are read; a post with a value in any of them needs neither text nor image.
        files: likewise columns that name files, as the column of the image does.
        labelling: how labels are read.
    """

    text: str | None = "text"
    image: str | None = "image"
    label: str | None = "label"
    split: str | None = None
    image_root: Path | None = None
    remote_images: bool = False
    group: str | None = None
    time: str | None = None
    fields: tuple[str, ...] = ()
    second_text: str | None = None
    more_images: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    labelling: Labelling = ONE_LABEL

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of the labels: one, or several where the labelling has it so."""
        return self.labelling.label_columns(self.label) if self.label else ()

    @property
    def images(self) -> tuple[str, ...]:
        """The columns of the images."""
        return (self.image, *self.more_images) if self.image else ()

    def named(self) -> dict[str, str]:
        """Return the name of each column that has one, by part of a post, such as ``text`` and ``label``.

        Of several columns of labels or of images, the second is ``label 2`` or ``image 2``.
        """
        labels = {f"label {number}".removesuffix(" 1"): name for number, name in enumerate(self.labels, 1)}
        images = {f"image {number}": name for number, name in enumerate(self.more_images, 2)}
        parts = ("text", "second_text", "image", "split", "group", "time")
        others = {part: name for part in parts if (name := getattr(self, part))}
        return others | images | labels

    def matched(self, columns: Collection[str]) -> "Columns":
        """Return the columns by the names that a table has: a name with a comma in it is one column or two.

        Raises:
            SettingsError: there would be more than two columns of texts, one of them twice, or one of other content.
        """
        if self.image and self.image not in columns:
            image, *more = [name for part in self.image.split(",") if (name := part.strip())] or [self.image]
            if more:
                return replace(self, image=image, more_images=tuple(more)).matched(columns)
        texts = text_columns(self.text, columns)
        if len(texts) < 2:
            return self
        if other := next((part for part in ("image", "label", "split") if getattr(self, part) in texts), None):
            raise SettingsError(
                f"{setting('text_column', self.text)}: {getattr(self, other)!r} is the column of the {other}",
                "name two columns of texts",
                setting="text_column",
            )
        return replace(self, text=texts[0], second_text=texts[1])


class PostsFile:
    """A table of posts that is read as a stream, as often as asked; see ``read_posts`` for its kinds.

    Args:
        path: a file, a folder, or an address, whose file is copied to a temporary folder first.
        columns: the names of the columns.
        encoding: character encoding of text formats; UTF-8 by default.
        progress: whether to show a bar while a file is copied.

    Raises:
        PostsError: there is no such file, its format is not known, or a column is missing.
        MissingExtraError: the package that reads the format, or fetches the address, is not installed.
    """

    def __init__(
        self, path: str | Path, columns: Columns | None = None, encoding: str | None = None, progress: bool = False
    ) -> None:
        self.use = columns or Columns()
        self._address = path if isinstance(path, str) and is_address(path) else None
        self.path = self._copy(self._address, progress) if self._address else Path(path).expanduser()
        wanted = [*self.use.named().values(), *f"{self.use.text},{self.use.image}".split(",")]
        with table_errors(self.path):
            self.table = open_table(self.path, known_encoding(encoding), wanted)
            self.columns = self.table.columns
            # The files of a saved dataset may change, as when the output is written among them.
            self._stamp = None if self._address or isinstance(self.table, SavedDataset) else self.stamp()
        self.use = self.use.matched(self.columns)
        for part, name in self.use.named().items():
            if name not in self.columns:
                argument = f"{part.removeprefix('second_').split()[0]}_column"
                remedy = f"name the right one with {setting(argument)}"
                remedy += f", or {setting(argument, '')} for none" if part in ("text", "image", "label") else ""
                raise no_column(self.path.name, name, self.columns, remedy, argument)
        check_fields((*self.use.fields, *self.use.files), self.columns, self.path.name)

    def __iter__(self) -> Iterator[Post]:
        for row in self.table.rows():
            yield make_post(row, self.use, self._base)
        with table_errors(self.path):
            if self._stamp is not None and self.stamp() != self._stamp:
                raise PostsError(f"{self.path.name}: changed while it was read", "start again when it stays as it is")

    @property
    def _base(self) -> Path | str:
        """The folder or address that image paths are relative to."""
        return self._address or (self.path if self.path.is_dir() else self.path.parent)

    def _copy(self, address: str, progress: bool) -> Path:
        if not can_fetch(address):
            raise PostsError(f"{address}: not an address to read posts from", f"use one of {', '.join(SCHEMES)}")
        # Tables are read more than once and Parquet from its end, and every pass must see the same posts.
        stack = ExitStack()
        folder = stack.enter_context(scratch_folder("posts"))
        weakref.finalize(self, stack.close)
        with progress_bar(f"reading {address}", "MB", progress) as bar:
            return download(address, folder, bar)

    def stamp(self) -> object:
        """Return JSON values by which a resumed run recognises the file; images beside it do not count."""
        if self._address:
            return sha256(self.path)
        if isinstance(self.table, FolderTable):
            files = [table.path for table in self.table.tables]
        else:
            files = sorted(file for file in self.path.rglob("*") if file.is_file()) or [self.path]
        return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]

    def count(self, strict: bool = False) -> int:
        """Return the number of posts; reads the whole file if its format does not store the number, but no image.

        Args:
            strict: whether a row that is of no use even without its image is an error. Parquet files and saved
                datasets are not searched for such rows: their images would be read as well.

        Raises:
            PostsError: the file holds no post, or is damaged, or ``strict`` and a row of it cannot be used.
        """
        if strict:
            # Where an image path leads makes no difference here, and to ask the disk each time takes long.
            use = replace(self.use, image_root=None)
            posts = (make_post(row, use, self._base) for row in self.table.untyped_rows())
            raise_problems(_useless(posts), self.path.name, skippable=True)
        if not (number := self.table.count()):
            raise no_posts(self.path.name)
        return number

    def read(self) -> Posts:
        """Read all posts into memory.

        Raises:
            PostsError: the file holds no post, or is damaged, or a row of it is of no use even without its image.
        """
        posts = Posts(self, self.path.name)
        if not posts:
            raise no_posts(self.path.name)
        raise_problems(_useless(posts), posts.name)
        return posts


def no_posts(name: str) -> PostsError:
    """Make the error for a table without rows."""
    return PostsError(f"{name}: no posts: the file has a header but no rows", "add rows, or name another table")


def no_column(posts: str, name: str, columns: Collection[str], remedy: str, argument: str | None = None) -> PostsError:
    """Make the error for posts that lack a column."""
    present = listed(list(columns), len(columns)) or "none"
    return PostsError(f"{posts}: there is no column {name!r} (there are: {present})", remedy, setting=argument)


def check_fields(fields: Iterable[str], columns: Collection[str], posts: str) -> None:
    """Check that posts have the columns of numbers and categories that a model reads.

    Args:
        fields: the names of those columns.
        columns: of the posts.
        posts: what messages call them.

    Raises:
        PostsError: they lack one.
    """
    for name in fields:
        if name not in columns:
            raise no_column(
                posts, name, columns, "correct its name, or add it with empty cells where no value is known"
            )


def read_posts(
    posts: Any,
    *,
    text_column: str | None = "text",
    image_column: str | None = "image",
    label_column: str | None = "label",
    split_column: str | None = None,
    image_root: str | Path | None = None,
    encoding: str | None = None,
    field_columns: Sequence[str] = (),
    file_columns: Sequence[str] = (),
    group_column: str | None = None,
    time_column: str | None = None,
) -> Posts:
    """Read posts into memory. Images are opened later, when they are used.

    Args:
        posts: a CSV, TSV, JSONL, JSON or Parquet file, a folder of such files, or a Hugging Face dataset saved to disk;
            the address of a file (extra ``remote``); or a data frame, a dataset, or a list of mappings.
        text_column: column of the texts, or two columns of texts that are read together, such as ``text,aspect``;
            ``None`` if there are none.
        image_column: column of the images: paths relative to the file, or bytes, or a list of them; several columns
            with commas between their names; ``None`` if there are none.
        label_column: column of the labels; ``None`` if there are none.
        split_column: column that says ``train``, ``validation`` or ``test``.
        image_root: folder that image paths are relative to and may not leave.
        encoding: character encoding of text files; UTF-8 by default.
        field_columns: columns of numbers and categories; a row with a value in any needs neither text nor image.
        file_columns: likewise columns of the paths or bytes of other files, such as sounds.
        group_column: column of authors, threads or the like; posts of a group are never divided between learning,
            validation and test.
        time_column: column of dates or numbers; the latest posts validate and test.

    Returns:
        The posts; columns with other names are in their ``fields``.

    Raises:
        PostsError: the posts cannot be read; the message names row, reason and remedy.
    """
    root = Path(image_root) if image_root else None
    columns = Columns(
        text_column,
        image_column,
        label_column,
        split_column,
        root,
        group=group_column,
        time=time_column,
        fields=tuple(field_columns),
        files=tuple(file_columns),
    )
    if isinstance(posts, str | Path):
        return PostsFile(posts, columns, encoding).read()
    from jointune.data.records import as_posts

    read = as_posts(posts, use=columns, labelled=label_column not in (None, "label"))
    raise_problems(_useless(read), read.name)
    return read


def _useless(posts: Iterator[Post] | Posts) -> list[Problem]:
    """Return the problems of posts that are of no use even without their image."""
    return [post.problem for post in posts if post.problem and not post.problem.about_image]


def make_post(row: Row, use: Columns, base: Path | str) -> Post:
    """Make the post of a row, or one with a problem; image paths are relative to ``base``."""
    where, values, problem = row
    if problem:
        return Post(problem=problem, where=where)
    read: list[str | None] = []
    kinds = [(use.text, _text), (use.second_text, _text), (use.label, use.labelling.read)]
    kinds += [(column, label_text) for column in (use.split, use.group)]
    for column, convert in kinds:
        try:
            read.append(convert(_cell(values, column, use)) if column else None)
        except TypeError as reason:
            read.append(None)
            remedy = use.labelling.wanted if column == use.label else "give a text or a number, or nothing"
            problem = Problem(where, f"column {column!r}", str(reason), remedy)
    text, second_text, label, split, group = read
    time: Time | None = None
    try:
        time = read_time(values.get(use.time)) if use.time else None
    except ValueError as reason:
        remedy = "write it as 2024-05-31 or 2024-05-31 18:30, or as a number"
        problem = problem or Problem(where, f"column {use.time!r}", str(reason), remedy)
    images, image_problem = _images(row, use, base)
    # An earlier problem comes first: the post is of no use whatever on_bad_image does about the image.
    problem = problem or image_problem
    files: dict[str, FileSource] = {}
    for column in use.files:
        try:
            source = image_source(values.get(column), base, use.image_root, use.remote_images)
            if isinstance(source, Image.Image):
                raise TypeError("a picture where the path of another file is needed")
            files |= {} if source is None else {column: source}
        except (TypeError, ValueError, OSError) as reason:
            what = shortened(str(values.get(column)))
            problem = problem or Problem(where, what, str(reason), f"give {column} the path of a file, or nothing")
    post = Post(text, images, label, split, problem, where, values, None, group, time, second_text, files)
    if problem is None and post.empty and all(absent(values.get(name)) for name in use.fields):
        problem = Problem(where, "the post", "has neither text nor picture", "give it one of them or remove the row")
        return replace(post, problem=problem)
    return post


def _images(row: Row, use: Columns, base: Path | str) -> tuple[list[ImageSource], Problem | None]:
    """Return the images that a row names, in the order of its columns, and what is wrong with the others."""
    images: list[ImageSource] = []
    problems: dict[int, Problem] = {}
    number = 0
    remedy = "give the path of a picture file, or nothing"
    for column in use.images:
        cell = row.values.get(column)
        try:
            entries = image_entries(cell, use.image_root or base)
        except ValueError as reason:
            entries = []
            number += 1
            problems[number] = Problem(row.where, shortened(str(cell)), str(reason), remedy, about_image=True)
        for entry in entries:
            number += 1
            try:
                image = image_source(entry, base, use.image_root, use.remote_images)
                images += [] if image is None else [image]
            except (TypeError, ValueError, OSError) as reason:  # OSError: a path that is too long
                what = shortened(str(entry))
                problems[number] = Problem(row.where, what, str(reason), remedy, about_image=True)
    return images, joint_problem(row.where, problems, number)


def _cell(values: Mapping[str, Any], column: str, use: Columns) -> Any:
    """Return the value of a column, or, of several columns of labels, those of all by their names."""
    several = use.labels if column == use.label and len(use.labels) > 1 else ()
    return {name: values.get(name) for name in several} or values.get(column)


def _text(value: Any) -> str | None:
    if absent(value):
        return None
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, bool | int | float | np.number):
        return str(value)
    raise TypeError(f"a {type(value).__name__} where a text is needed")
