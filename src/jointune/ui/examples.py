"""Posts to try a model on."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jointune.data.image_file import ImageError
from jointune.data.post import Post
from jointune.data.read import Columns, PostsFile
from jointune.demo import POSTS
from jointune.errors import PostsError
from jointune.modalities.image.open import open_image

_DEMO_IDS = ("post050", "post006", "post012")  # demo posts in which text and picture say different things

_MAX_EXAMPLES = 6
_EDGE = 640  # pixels of an image's longer side: it is shown, and scored, from a copy of that size at most


class Example(NamedTuple):
    """A text, empty if there is none, and the path of an image, if any."""

    text: str
    image: Path | None


def choose_examples(labels: Sequence[str], folder: Path, table: Path | None = None) -> list[Example]:
    """Choose posts that fit a model: one of each of its labels from ``table``, or demo posts if it has their labels.

    Args:
        labels: of the model.
        folder: takes copies of the images.
        table: posts with the columns ``text``, ``image`` and ``label``; any of them may be missing.

    Returns:
        Six examples at most; none for a model of other labels than the demo's, without a table.

    Raises:
        PostsError: the table cannot be read, or no post of it can be shown.
    """
    if table is None:
        posts = PostsFile(POSTS)
        if not {label.casefold() for label in labels} <= {str(post.label) for post in posts}:
            return []
        return [_example(post, folder) for post in posts if post.fields["id"] in _DEMO_IDS]
    names = PostsFile(table, Columns(None, None, None)).columns
    text, image, label = (name if name in names else None for name in ("text", "image", "label"))
    chosen: dict[object, Example] = {}
    for number, post in enumerate(PostsFile(table, Columns(text, image, label))):
        key = post.label if label else number  # without labels, the first posts will do
        if post.problem is None and key not in chosen and (not label or post.label in labels):
            try:
                chosen[key] = _example(post, folder)
            except ImageError:
                continue
        if len(chosen) == min(_MAX_EXAMPLES, len(labels) if label else _MAX_EXAMPLES):
            break
    if not chosen:
        raise PostsError(
            f"{table.name}: no post of it can be shown as an example", "name a table that has texts or pictures"
        )
    return list(chosen.values())


def _example(post: Post, folder: Path) -> Example:
    if post.image is None:
        return Example(post.text or "", None)
    image = open_image(post.images[0], (_EDGE, _EDGE))
    image.thumbnail((_EDGE, _EDGE))
    path = folder / f"example-{len(list(folder.glob('example-*')))}.webp"
    image.save(path, lossless=True)
    return Example(post.text or "", path)
