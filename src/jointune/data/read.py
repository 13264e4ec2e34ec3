"""Files, folders and Python records to posts; the one place that knows which column means what."""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from jointune.data.labels import absent
from jointune.data.post import ImageSource, Post, Posts, RemoteImage, encodable
from jointune.data.problems import Problem, raise_problems
from jointune.data.remote import SCHEMES, beside, can_fetch, download, is_address
from jointune.data.tables.delimited import DelimitedTable
from jointune.data.tables.encoding import known_encoding
from jointune.data.tables.folder import FolderTable
from jointune.data.tables.json_array import open_json
from jointune.data.tables.json_lines import JsonlTable
from jointune.data.tables.parquet import ParquetTable
from jointune.data.tables.saved_dataset import SavedDataset, is_saved_dataset
from jointune.data.tables.table import MOST_COLUMNS, Row, Table, clear_read_errors
from jointune.errors import PostsError, setting
from jointune.utils.files import sha256
from jointune.utils.progress import progress_bar
from jointune.utils.run_folder import scratch_folder
from jointune.utils.wording import listed, shortened

_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
_MOST_IN_LABEL = 1000
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")


@dataclass(frozen=True)
class Columns:
    """Which column holds what; ``None`` where the posts have no such column.

    Attributes:
        text: the post's text.
        image: its picture: a path relative to the file, or the bytes of a picture file.
        label: its label.
        split: ``train``, ``validation`` or ``test``.
        image_root: the folder that picture paths are relative to and may not leave; the file's own folder, which they
            may leave, by default.
        remote_images: whether pictures that are named by an address are fetched, wherever it leads.
    """

    text: str | None = "text"
    image: str | None = "image"
    label: str | None = "label"
    split: str | None = None
    image_root: Path | None = None
    remote_images: bool = False

    def named(self) -> list[str]:
        """The columns that there must be."""
        return [name for name in (self.text, self.image, self.label, self.split) if name]


class PostsFile:
    """A table of posts that is read as a stream, as often as asked.

    Args:
        path: a CSV, TSV, JSONL, JSON or Parquet file, a folder of such files, or a Hugging Face dataset saved to disk;
            or the address of a file, which is copied to a temporary folder first.
        columns: which column holds what.
        encoding: character encoding of CSV, TSV, JSONL and JSON files; UTF-8 by default.
        progress: whether to show a bar while a file is copied.

    Raises:
        PostsError: there is no such file, its format is not known, or a column is missing.
        MissingExtraError: what reads the format, or talks to the address, is not installed.
    """

    def __init__(
        self, path: str | Path, columns: Columns | None = None, encoding: str | None = None, progress: bool = False
    ) -> None:
        self.use = columns or Columns()
        self._address = path if isinstance(path, str) and is_address(path) else None
        self.path = self._copy(self._address, progress) if self._address else Path(path).expanduser()
        with clear_read_errors(self.path):
            self.table = _open_table(self.path, known_encoding(encoding), self.use.named())
            self.columns = self.table.columns
            # What lies beside the tables of a saved dataset may change, as where the output is written among them.
            self._stamp = None if self._address or isinstance(self.table, SavedDataset) else self.stamp()
        for name, option in _options(self.use).items():
            if name not in self.columns:
                raise PostsError(
                    f"{self.path.name}: there is no column {name!r} (there are: "
                    f"{listed(self.columns, len(self.columns)) or 'none'}); "
                    f"name the right one with {setting(option)}"
                    + (f", or {setting(option, '')} for none" if option != "split_column" else "")
                )

    def __iter__(self) -> Iterator[Post]:
        for row in self.table.rows():
            yield make_post(row, self.use, self._base)
        with clear_read_errors(self.path):
            if self._stamp is not None and self.stamp() != self._stamp:
                raise PostsError(f"{self.path.name}: changed while it was read", "start again when it stays as it is")

    @property
    def _base(self) -> Path | str:
        """What paths of pictures are relative to."""
        return self._address or (self.path if self.path.is_dir() else self.path.parent)

    def _copy(self, address: str, progress: bool) -> Path:
        if not can_fetch(address):
            raise PostsError(f"{address}: not an address to read posts from", f"use one of {', '.join(SCHEMES)}")
        # Tables are read more than once and Parquet from its end; and so every pass sees the same posts.
        stack = ExitStack()
        folder = stack.enter_context(scratch_folder("posts"))
        weakref.finalize(self, stack.close)  # when this is let go of, or the process ends
        with progress_bar(f"reading {address}", "MB", progress) as bar:
            return download(address, folder, bar)

    def stamp(self) -> object:
        """By which a resumed run knows the file again, as JSON values; pictures beside it do not count."""
        if self._address:
            return sha256(self.path)
        if isinstance(self.table, FolderTable):
            files = [table.path for table in self.table.tables]
        else:
            files = sorted(file for file in self.path.rglob("*") if file.is_file()) or [self.path]
        return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]

    def count(self, strict: bool = False) -> int:
        """The number of posts; reads the whole file where its format has no other way to tell, but no picture.

        Args:
            strict: whether a row that is of no use even without its picture is an error. In Parquet files and saved
                datasets such rows are not looked for: their pictures would be read as well.

        Raises:
            PostsError: the file is damaged, or ``strict`` and a row of it cannot be used.
        """
        if strict:
            raise_problems(list(self._useless_rows()), self.path.name, skippable=True)
        return self.table.count()

    def _useless_rows(self) -> Iterator[Problem]:
        # Where a path leads makes no difference here, and to ask the disk each time takes long.
        use = replace(self.use, image_root=None)
        for row in self.table.untyped_rows():
            problem = make_post(row, use, self._base).problem
            if problem and not problem.about_image:
                yield problem

    def read(self) -> Posts:
        """All posts, in memory.

        Raises:
            PostsError: the file holds no post, or is damaged, or a row of it is of no use even without its picture.
        """
        posts = Posts(self, self.path.name)
        if not posts:
            raise PostsError(f"{self.path.name}: no posts: the file has a header but no rows")
        raise_problems([post.problem for post in posts if post.problem and not post.problem.about_image], posts.name)
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
) -> Posts:
    """Read posts into memory. Pictures are opened later, where they are used.

    Args:
        posts: a CSV, TSV, JSONL, JSON or Parquet file, a folder of such files, or a Hugging Face dataset saved to disk;
            the address of a file (extra ``remote``); or a data frame, a dataset, or a list of mappings.
        text_column: column of the texts; ``None`` where there are none.
        image_column: column of the pictures: paths relative to the file, or bytes; ``None`` where there are none.
        label_column: column of the labels; ``None`` where there are none.
        split_column: column that says ``train``, ``validation`` or ``test``.
        image_root: folder that picture paths are relative to and may not leave.
        encoding: character encoding of text files; UTF-8 by default.

    Raises:
        PostsError: the posts cannot be read; the message names row, reason and remedy.
    """
    root = Path(image_root) if image_root else None
    columns = Columns(text_column, image_column, label_column, split_column, root)
    if isinstance(posts, str | Path):
        return PostsFile(posts, columns, encoding).read()
    from jointune.data.records import as_posts

    read = as_posts(posts, use=columns, labelled=label_column not in (None, "label"))
    raise_problems([post.problem for post in read if post.problem and not post.problem.about_image], read.name)
    return read


def _options(use: Columns) -> dict[str, str]:
    named = {use.text: "text_column", use.image: "image_column", use.label: "label_column", use.split: "split_column"}
    return {name: option for name, option in named.items() if name}


def _open_table(path: Path, encoding: str, wanted: list[str], in_folder: bool = False) -> Table:
    if path.is_dir() and not in_folder:
        if is_saved_dataset(path):
            return SavedDataset(path)
        files = sorted(
            file for file in path.iterdir() if file.suffix.lower() in _ENDINGS and not file.name.startswith(".")
        )
        # Beside tables, .json files rather describe them.
        files = [file for file in files if file.suffix.lower() != ".json"] or files
        if not files:
            raise PostsError(f"{path}: the folder holds no {', '.join(_ENDINGS)} file and no saved dataset")
        folder = FolderTable(path, [_open_table(file, encoding, wanted, in_folder=True) for file in files])
        _check_names(folder.columns, path.name)
        return folder
    if path.is_symlink() and not path.exists():
        raise PostsError(f"{path}: a link that leads to no file", "mend it or remove it")
    if not path.exists():
        raise PostsError(
            f"{path}: no such file", f"give a {', '.join(_ENDINGS)} file, a folder of them or a saved dataset"
        )
    if path.is_dir():
        raise PostsError(f"{path}: a folder within a folder of tables", "move its files up, or give it by itself")
    if not path.is_file():
        raise PostsError(f"{path}: a pipe or a device, and a table is read more than once", "write it to a file first")
    ending = path.suffix.lower()
    if not path.stat().st_size and ending in _ENDINGS:
        raise PostsError(f"{path.name}: the file is empty", "save it again")  # as are files that the system makes up
    table: Table
    if ending in (".csv", ".tsv"):
        table = DelimitedTable(path, encoding, wanted)
    elif ending in (".jsonl", ".ndjson"):
        table = JsonlTable(path, encoding)
    elif ending == ".json":
        table = open_json(path, encoding)
    elif ending == ".parquet":
        table = ParquetTable(path)
    elif ending in _PACKED:
        raise PostsError(f"{path.name}: a packed file", "unpack it, and give what was in it")
    else:
        raise PostsError(
            f"{path.name}: the ending {ending or '(none)'} is not known", f"use one of {', '.join(_ENDINGS)}"
        )
    _check_names(table.columns, path.name)
    return table


def _check_names(names: list[str], file: str) -> None:
    if len(names) > MOST_COLUMNS:
        raise PostsError(f"{file}: more than {MOST_COLUMNS:,} columns", "write only those that are of use")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise PostsError(f"{file}: two columns are named {shortened(name)!r}", "rename one of them")
        seen.add(name)


def make_post(row: Row, use: Columns, base: Path | str) -> Post:
    """The post of a row, with what is wrong with it; paths of pictures are relative to ``base``."""
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
    image: ImageSource | None = None
    try:
        image = _image(values.get(use.image), use, base) if use.image else None
    except (TypeError, ValueError, OSError) as reason:  # the last for a path that is too long
        remedy = "give the path of a picture file, or nothing"
        what = shortened(str(values.get(use.image or "")))
        # A post that is of no use without its picture either stays so whatever --on-bad-image says.
        problem = problem or Problem(where, what, str(reason), remedy, about_image=True)
    if problem is None and text is None and image is None:
        problem = Problem(where, "the post", "has neither text nor picture", "give it one of them or remove the row")
    return Post(text, image, label, split, problem, where, values)


def _text(value: Any) -> str | None:
    if absent(value):
        return None
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, bool | int | float | np.number):
        return str(value)
    raise TypeError(f"a {type(value).__name__} where a text is needed")


def label_text(value: Any) -> str | None:
    """A label as text; None for nothing.

    Raises:
        TypeError: it is of no kind that a label can be.
    """
    if absent(value):
        return None
    if isinstance(value, Mapping | list | tuple | set | bytes | np.ndarray):
        raise TypeError(f"a {type(value).__name__} where a label is needed")
    if isinstance(value, float | np.floating) and np.isinf(value):
        raise TypeError("an infinite number where a label is needed")
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))  # whole numbers become floats wherever a column has gaps
    label = encodable(str(value).strip())
    if len(label) > _MOST_IN_LABEL:
        raise TypeError(f"a text of {len(label):,} characters where a label is needed")
    return label


def _path(value: str | Path, base: Path | str) -> Path:
    """A path as it is written, or as Windows would take it where it has backslashes and no file is called so."""
    path = Path(value.strip() if isinstance(value, str) else value)
    if "\\" in str(path) and (isinstance(base, str) or not (base / path).exists()):
        return Path(PureWindowsPath(path).as_posix())
    return path


def _image(value: Any, use: Columns, base: Path | str) -> ImageSource | None:
    if isinstance(value, Mapping):  # how datasets and Parquet exports keep a picture
        value = value.get("bytes") or value.get("path")
    if isinstance(value, np.ndarray):
        return Image.fromarray(value)
    if isinstance(value, bytes | bytearray | memoryview | Image.Image):
        return value if isinstance(value, Image.Image) else bytes(value)
    if absent(value):
        return None
    if not isinstance(value, str | Path):
        raise TypeError(f"a {type(value).__name__} where a picture's path is needed")
    if isinstance(value, str) and is_address(value):
        if not use.remote_images:
            fetched = f"only predicting with {setting('remote_images', True)} would"
            raise ValueError(f"an address, not a path, and nothing is fetched ({fetched})")
        if not can_fetch(value.strip()):
            raise ValueError(f"an address of a kind that is not fetched; {', '.join(SCHEMES)} are")
        return RemoteImage(value.strip(), redirects=True)
    if "\0" in str(value):
        raise ValueError("the path holds a NUL character")
    root = use.image_root
    path = _path(value, root or base)
    if root is None:
        if isinstance(base, str):
            return RemoteImage(beside(base, str(path)), use.remote_images)
        return base / path
    inside = root / path
    try:
        leaves = not inside.resolve().is_relative_to(root.resolve())
    except RuntimeError as reason:  # Python 3.11 and 3.12 raise it
        raise ValueError("a loop of symbolic links") from reason
    if leaves:
        raise ValueError(f"leads outside {setting('image_root', str(root))}")
    return inside
