"""Files, folders and Python records to posts; the one place that knows which column means what."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jointune.errors import PostsError
from jointune.posts.formats.delimited import DelimitedTable
from jointune.posts.formats.folder import FolderTable
from jointune.posts.formats.jsonl import JsonlTable
from jointune.posts.formats.parquet import ParquetTable
from jointune.posts.formats.saved_dataset import SavedDataset, is_saved_dataset
from jointune.posts.formats.table import Row, Table
from jointune.posts.post import Picture, Post, Posts
from jointune.posts.problems import Problem

_ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")


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
    """

    text: str | None = "text"
    image: str | None = "image"
    label: str | None = "label"
    split: str | None = None
    image_root: Path | None = None

    def named(self) -> list[str]:
        """The columns that there must be."""
        return [name for name in (self.text, self.image, self.label, self.split) if name]


class PostsFile:
    """A table of posts that is read as a stream, as often as asked.

    Args:
        path: a CSV, TSV, JSONL or Parquet file, a folder of such files, or a Hugging Face dataset saved to disk.
        columns: which column holds what.
        encoding: character encoding of CSV, TSV and JSONL files; UTF-8 by default.

    Raises:
        PostsError: there is no such file, its format is not known, or a column is missing.
    """

    def __init__(self, path: str | Path, columns: Columns | None = None, encoding: str | None = None) -> None:
        self.path = Path(path).expanduser()
        self.use = columns or Columns()
        self.table = _open_table(self.path, encoding, self.use.named())
        self.columns = self.table.columns
        for name, option in _options(self.use).items():
            if name not in self.columns:
                raise PostsError(
                    f"{self.path.name}: there is no column {name!r} (there are: {', '.join(self.columns) or 'none'}); "
                    f"name the right one with {option}"
                    + (f", or {option} '' for none" if option != "--split-column" else "")
                )

    def __iter__(self) -> Iterator[Post]:
        for row in self.table.rows():
            yield _post(row, self.use, self.path if self.path.is_dir() else self.path.parent)

    def count(self) -> int:
        """The number of posts; reads and checks the whole file, but no picture."""
        return self.table.count()

    def read(self) -> Posts:
        """All posts, in memory.

        Raises:
            PostsError: the file holds no post, or is damaged.
        """
        posts = Posts(self, self.path.name)
        if not posts:
            raise PostsError(f"{self.path.name}: no posts: the file has a header but no rows")
        return posts


def read_posts(
    path: str | Path,
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
        path: a CSV, TSV, JSONL or Parquet file, a folder of such files, or a Hugging Face dataset saved to disk.
        text_column: column of the texts; ``None`` where there are none.
        image_column: column of the pictures: paths relative to the file, or bytes; ``None`` where there are none.
        label_column: column of the labels; ``None`` where there are none.
        split_column: column that says ``train``, ``validation`` or ``test``.
        image_root: folder that picture paths are relative to and may not leave.
        encoding: character encoding of text files; UTF-8 by default.

    Raises:
        PostsError: the file cannot be read; the message names row, reason and remedy.
    """
    root = Path(image_root) if image_root else None
    columns = Columns(text_column, image_column, label_column, split_column, root)
    return PostsFile(path, columns, encoding).read()


def as_posts(posts: Any, labels: Iterable[Any] | None = None) -> Posts:
    """Posts from what Python users have at hand.

    Args:
        posts: ``Posts``, a path, an iterable of ``Post`` or of mappings with ``text``, ``image`` and ``label``, or a
            data frame with such columns.
        labels: one label a post, in place of their own.

    Raises:
        PostsError: something else was given, or the numbers of posts and labels differ.
    """
    if isinstance(posts, str | Path):
        posts = read_posts(posts)
    elif not isinstance(posts, Posts):
        if hasattr(posts, "to_dict") and hasattr(posts, "columns"):
            posts = posts.to_dict("records")
        elif isinstance(posts, Mapping):
            raise PostsError("a single mapping where several posts are needed: give a list, such as [{'text': ...}]")
        posts = Posts(_from_python(number, entry) for number, entry in enumerate(posts, 1))
    if labels is None:
        return posts
    given = list(labels)
    if len(given) != len(posts):
        raise PostsError(f"{len(given)} labels for {len(posts)} posts")
    return Posts((_with_label(post, label) for post, label in zip(posts, given, strict=True)), posts.name)


def _from_python(number: int, entry: Any) -> Post:
    if isinstance(entry, Post):
        return entry
    if not isinstance(entry, Mapping):
        raise PostsError(f"post {number}: a {type(entry).__name__} where a mapping with text and image is needed")
    return _post(Row(f"post {number}", entry), Columns(split="split"), Path())


def _with_label(post: Post, label: Any) -> Post:
    from dataclasses import replace

    return replace(post, label=_label(label))


def _options(use: Columns) -> dict[str, str]:
    named = {
        use.text: "--text-column",
        use.image: "--image-column",
        use.label: "--label-column",
        use.split: "--split-column",
    }
    return {name: option for name, option in named.items() if name}


def _open_table(path: Path, encoding: str | None, wanted: list[str]) -> Table:
    if path.is_dir():
        if is_saved_dataset(path):
            return SavedDataset(path)
        files = sorted(
            file for file in path.iterdir() if file.suffix.lower() in _ENDINGS and not file.name.startswith(".")
        )
        if not files:
            raise PostsError(f"{path}: the folder holds no {', '.join(_ENDINGS)} file and no saved dataset")
        return FolderTable(path, [_open_table(file, encoding, wanted) for file in files])
    if not path.exists():
        raise PostsError(
            f"{path}: no such file; give a {', '.join(_ENDINGS)} file, a folder of them or a saved dataset"
        )
    ending = path.suffix.lower()
    try:
        if ending in (".csv", ".tsv"):
            return DelimitedTable(path, encoding, wanted)
        if ending == ".jsonl":
            return JsonlTable(path, encoding)
        if ending == ".parquet":
            return ParquetTable(path)
    except PermissionError as reason:
        raise PostsError(f"{path}: permission denied; correct the file's permissions") from reason
    except LookupError as reason:
        raise PostsError(f"{path.name}: {reason}; give --encoding a name that Python knows, such as cp1252") from reason
    raise PostsError(f"{path.name}: the ending {ending or '(none)'} is not known; use one of {', '.join(_ENDINGS)}")


def _post(row: Row, use: Columns, base: Path) -> Post:
    where, values = row
    problem: Problem | None = None
    text: str | None = None
    image: Picture | None = None
    try:
        text = _text(values.get(use.text)) if use.text else None
    except TypeError as reason:
        remedy = "give a text, or nothing"
        problem = Problem(where, f"column {use.text!r}", str(reason), remedy)
    try:
        image = _image(values.get(use.image), use.image_root, base) if use.image else None
    except (TypeError, ValueError) as reason:
        remedy = "give the path of a picture file, or nothing"
        problem = Problem(where, str(values.get(use.image or ""))[:200], str(reason), remedy, about_image=True)
    if problem is None and text is None and image is None:
        problem = Problem(where, "the post", "has neither text nor picture", "give it one of them or remove the row")
    label = _label(values.get(use.label)) if use.label else None
    split = _label(values.get(use.split)) if use.split else None
    return Post(text, image, label, split, problem, where, values)


def _absent(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def _text(value: Any) -> str | None:
    if _absent(value):
        return None
    if isinstance(value, str):
        # A lone surrogate (half an emoji, escaped in JSON) has no UTF-8 form and would stop the tokenizer.
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, bool | int | float | np.number):
        return str(value)
    raise TypeError(f"a {type(value).__name__} where a text is needed")


def _label(value: Any) -> str | None:
    if _absent(value):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))  # whole numbers become floats wherever a column has gaps
    return str(value).strip()


def _image(value: Any, root: Path | None, base: Path) -> Picture | None:
    if isinstance(value, Mapping):  # how datasets and Parquet exports keep a picture
        value = value.get("bytes") or value.get("path")
    if isinstance(value, np.ndarray):
        return Image.fromarray(value)
    if isinstance(value, bytes | bytearray | memoryview | Image.Image):
        return value if isinstance(value, Image.Image) else bytes(value)
    if _absent(value):
        return None
    if not isinstance(value, str | Path):
        raise TypeError(f"a {type(value).__name__} where a picture's path is needed")
    if isinstance(value, str) and value.strip().lower().startswith(("http://", "https://")):
        raise ValueError("an address on the web, which is not fetched; download the picture first")
    if "\0" in str(value):
        raise ValueError("the path holds a NUL character")
    path = Path(str(value).strip() if isinstance(value, str) else value)
    if root is None:
        return base / path
    inside = root / path
    if not inside.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"leads outside --image-root {root}")
    return inside
