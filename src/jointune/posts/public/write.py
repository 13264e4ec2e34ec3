"""Posts of a public set to a table that every other command reads; pictures stay where they are."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from jointune.posts.formats.table import Row
from jointune.posts.post import Post
from jointune.posts.write import open_writer


def write_posts(path: Path, posts: Sequence[Post]) -> None:
    """Write a table with ``id``, ``text``, ``image``, ``label``, ``split`` if there are splits, and the set's columns.

    Args:
        path: ends in .csv, .tsv, .jsonl or .parquet; appears whole or not at all.
        posts: one or more; their pictures are absolute paths, their fields ``id`` and what else the set tells.

    Raises:
        OutputError: the disk is full or the like.
    """
    own = [name for name in posts[0].fields if name != "id"]
    split = ["split"] if any(post.split for post in posts) else []
    columns = ["id", "text", "image", "label", *split, *own]
    # The writer is one that adds columns to a table: here the last one, of texts like all the others.
    with open_writer(path, _PostsTable(path, columns[:-1], posts), columns[-1:]) as writer:
        for post in posts:
            writer.write(_values(post, columns, path.parent.resolve()))


def picture_path(picture: Path, base: Path) -> str:
    """How a table in the folder ``base`` names a picture.

    Relative where the picture lies below the folder or beside it, one level up, so that both can be moved together;
    absolute elsewhere.
    """
    if picture.is_relative_to(base):
        return picture.relative_to(base).as_posix()
    beside = base.parent
    if beside != beside.parent and picture.is_relative_to(beside):
        return f"../{picture.relative_to(beside).as_posix()}"
    return str(picture)


class _PostsTable:
    """What the writer asks: which columns there are, and what is in them."""

    def __init__(self, path: Path, columns: list[str], posts: Sequence[Post]) -> None:
        self.path, self.columns, self._posts = path, columns, posts

    def rows(self) -> Iterator[Row]:
        for post in self._posts:
            yield Row(post.where, _values(post, self.columns, self.path.parent.resolve()))

    def untyped_rows(self) -> Iterator[Row]:
        return iter(())

    def count(self) -> int:
        return len(self._posts)


def _values(post: Post, columns: Sequence[str], base: Path) -> dict[str, object]:
    image = picture_path(post.image, base) if isinstance(post.image, Path) else None
    values = {"text": post.text, "image": image, "label": post.label, "split": post.split, **post.fields}
    return {name: values[name] for name in columns}
