"""Read files, folders and rows as posts; the one place that knows which column means what."""

import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jointune.data.image_cells import image_entries, image_source
from jointune.data.labels import absent
from jointune.data.post import ImageSource, Post, Posts, encodable
from jointune.data.problems import Problem, joint_problem, raise_problems
from jointune.data.remote import SCHEMES, can_fetch, download, is_address
from jointune.data.tables.encoding import known_encoding
from jointune.data.tables.open_table import FolderTable, open_table
from jointune.data.tables.saved_dataset import SavedDataset
from jointune.data.tables.table import Row, table_errors
from jointune.errors import PostsError, setting
from jointune.utils.files import sha256
from jointune.utils.progress import progress_bar
from jointune.utils.run_folder import scratch_folder
from jointune.utils.wording import listed, shortened

_LONGEST_LABEL = 1000


@dataclass(frozen=True)
class Columns:
    """The names of the columns that hold the parts of a post; None if there is no such column.

    Attributes:
        image: one column, or several with commas between their names.
        image_root: the folder that image paths are relative to and may not leave; by default the file's own folder,
            which they may leave.
        remote_images: whether images that are named by an address are fetched, wherever it leads.
        fields: further columns that are read; a post with a value in any of them needs neither text nor image.
    """

    text: str | None = "text"
    image: str | None = "image"
    label: str | None = "label"
    split: str | None = None
    image_root: Path | None = None
    remote_images: bool = False
    fields: tuple[str, ...] = ()

    def named(self, columns: Collection[str] = ()) -> dict[str, list[str]]:
        """Return the names of the columns, by ``text``, ``image``, ``label`` and ``split``, where there are any.

        Args:
            columns: that there are; see ``split_columns``.
        """
        named = {part: [name] for part in ("text", "image", "label", "split") if (name := getattr(self, part))}
        return named | ({"image": split_columns(self.image, columns)} if self.image else {})


def split_columns(name: str | None, columns: Collection[str]) -> list[str]:
    """Return the columns that a setting names: one that has the whole as its name, or those between its commas."""
    if not name or name in columns:
        return [name] if name else []
    return [part for one in name.split(",") if (part := one.strip())]


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
        with table_errors(self.path):
            wanted = [name for names in self.use.named().values() for name in names]
            self.table = open_table(self.path, known_encoding(encoding), wanted)
            self.columns = self.table.columns
            # The files of a saved dataset may change, as when the output is written among them.
            self._stamp = None if self._address or isinstance(self.table, SavedDataset) else self.stamp()
        for part, names in self.use.named(self.columns).items():
            for name in names:
                if name in self.columns:
                    continue
                argument = f"{part}_column"
                raise PostsError(
                    f"{self.path.name}: there is no column {name!r} (there are: "
                    f"{listed(self.columns, len(self.columns)) or 'none'})",
                    f"name the right one with {setting(argument)}"
                    + (f", or {setting(argument, '')} for none" if part != "split" else ""),
                    setting=argument,
                )

        if lacking := [name for name in self.use.fields if name not in self.columns]:
            raise PostsError(
                f"{self.path.name}: there is no column {lacking[0]!r} "
                f"(there are: {listed(self.columns, len(self.columns))})",
                "correct its name",
            )

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
            PostsError: the file is damaged, or ``strict`` and a row of it cannot be used.
        """
        if strict:
            # Where an image path leads makes no difference here, and to ask the disk each time takes long.
            use = replace(self.use, image_root=None)
            posts = (make_post(row, use, self._base) for row in self.table.untyped_rows())
            raise_problems(_useless(posts), self.path.name, skippable=True)
        return self.table.count()

    def read(self) -> Posts:
        """Read all posts into memory.

        Raises:
            PostsError: the file holds no post, or is damaged, or a row of it is of no use even without its image.
        """
        posts = Posts(self, self.path.name)
        if not posts:
            raise PostsError(f"{self.path.name}: no posts: the file has a header but no rows")
        raise_problems(_useless(posts), posts.name)
        return posts


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
) -> Posts:
    """Read posts into memory. Images are opened later, when they are used.

    Args:
        posts: a CSV, TSV, JSONL, JSON or Parquet file, a folder of such files, or a Hugging Face dataset saved to disk;
            the address of a file (extra ``remote``); or a data frame, a dataset, or a list of mappings.
        text_column: column of the texts; ``None`` if there are none.
        image_column: column of the images: paths relative to the file, or bytes, or a list of them; several columns
            with commas between their names; ``None`` if there are none.
        label_column: column of the labels; ``None`` if there are none.
        split_column: column that says ``train``, ``validation`` or ``test``.
        image_root: folder that image paths are relative to and may not leave.
        encoding: character encoding of text files; UTF-8 by default.
        field_columns: columns of numbers and categories; a row with a value in any needs neither text nor image.

    Returns:
        The posts; columns with other names are in their ``fields``.
        field_columns: columns of numbers and categories; a row with a value in any needs neither text nor image.

    Raises:
        PostsError: the posts cannot be read; the message names row, reason and remedy.
    """
    root = Path(image_root) if image_root else None
    columns = Columns(text_column, image_column, label_column, split_column, root, fields=tuple(field_columns))
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
    for column, convert in ((use.text, _text), (use.label, label_text), (use.split, label_text)):
        try:
            read.append(convert(values.get(column)) if column else None)
        except TypeError as reason:
            read.append(None)
            problem = Problem(where, f"column {column!r}", str(reason), "give a text or a number, or nothing")
    text, label, split = read
    images, image_problem = _images(row, use, base)
    # An earlier problem comes first: the post is of no use whatever on_bad_image does about the image.
    problem = problem or image_problem
    if problem is None and text is None and not images and all(absent(values.get(name)) for name in use.fields):
        problem = Problem(where, "the post", "has neither text nor picture", "give it one of them or remove the row")
    return Post(text, images, label, split, problem, where, values)


def _images(row: Row, use: Columns, base: Path | str) -> tuple[list[ImageSource], Problem | None]:
    """Return the images that a row names, in the order of its columns, and what is wrong with the others."""
    images: list[ImageSource] = []
    problems: dict[int, Problem] = {}
    number = 0
    remedy = "give the path of a picture file, or nothing"
    for column in split_columns(use.image, row.values):
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


def _text(value: Any) -> str | None:
    if absent(value):
        return None
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, bool | int | float | np.number):
        return str(value)
    raise TypeError(f"a {type(value).__name__} where a text is needed")


def label_text(value: Any) -> str | None:
    """Return a label as text; None for an empty cell.

    Raises:
        TypeError: the value cannot be a label.
    """
    if absent(value):
        return None
    if isinstance(value, Mapping | list | tuple | set | bytes | np.ndarray):
        raise TypeError(f"a {type(value).__name__} where a label is needed")
    if isinstance(value, float | np.floating) and np.isinf(value):
        raise TypeError("an infinite number where a label is needed")
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))  # whole numbers become floats in a column with gaps
    label = encodable(str(value).strip())
    if len(label) > _LONGEST_LABEL:
        raise TypeError(f"a text of {len(label):,} characters where a label is needed")
    return label
