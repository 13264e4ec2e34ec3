"""Read posts from Python objects: records, data frames, datasets, and labels beside them."""

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jointune.data.labelling import Labelling
from jointune.data.post import Post, Posts
from jointune.data.read import Columns, PostsFile, make_post
from jointune.data.remote import is_address
from jointune.data.tables.saved_dataset import dataset_parts, dataset_rows, is_dataset
from jointune.data.tables.table import Row
from jointune.errors import JointuneWarning, PostsError

USUAL = Columns(split="split")
"""The columns of records if nobody named others."""

_EXAMPLE = "give a list of mappings, such as [{'text': ..., 'image': ...}], or a data frame"


def as_posts(posts: Any, labels: Any = None, use: Columns = USUAL, labelled: bool = False) -> Posts:
    """Convert posts of any kind to ``Posts``.

    Args:
        posts: ``Posts``, a path, an iterable of ``Post`` or of mappings, a data frame (pandas or polars) or a dataset
            (Hugging Face).
        labels: one label a post, in place of their own.
        use: the names of the columns, or of the keys of mappings.
        labelled: whether labels are needed: posts without a column for them are refused.

    Raises:
        PostsError: the posts are of another kind, a column is missing, or the numbers of posts and labels differ.
    """
    labelled = labelled and labels is None
    if isinstance(posts, str | Path):
        posts = _from_path(posts, use, labelled)
    elif not isinstance(posts, Posts):
        posts = _from_python(posts, use, labelled)
    if labels is None:
        return _read_again(posts, use)
    values = _label_list(labels, use)
    if len(values) != len(posts):
        raise PostsError(f"{len(values)} labels for {len(posts)} posts")
    try:
        texts = [use.labelling.read(label) for label in values]
    except TypeError as reason:
        raise PostsError(f"labels: {reason}", use.labelling.wanted) from reason
    labelled_posts = (replace(post, label=text) for post, text in zip(posts, texts, strict=True))
    return Posts(labelled_posts, posts.name, use.labelling.dtype(values))


def _read_again(posts: Posts, use: Columns) -> Posts:
    """Read labels that are texts as ``use`` has them, for posts that were read for another target."""
    if type(use.labelling).read is Labelling.read:
        return posts
    read: list[str | None] = []
    for post in posts:
        try:
            read.append(use.labelling.read(post.label) if post.label else post.label)
        except TypeError as reason:
            raise PostsError(f"{post.where}: {reason}", use.labelling.wanted) from reason
    if read == [post.label for post in posts]:
        return posts
    again = (replace(post, label=label) for post, label in zip(posts, read, strict=True))
    return Posts(again, posts.name, posts.label_dtype)


def _from_path(path: str | Path, use: Columns, labelled: bool) -> Posts:
    # A text that was meant as a post. Unlike Path.exists, os.path.exists is False for a text too long to be a path.
    if (
        isinstance(path, str)
        and not is_address(path)
        and (not Path(path).suffix or any(map(str.isspace, path)))
        and not os.path.exists(Path(path).expanduser())  # noqa: PTH110
    ):
        shown = f"{path[:60]!r}{'...' if len(path) > 60 else ''}"
        example = "[{'text': 'lovely day'}]"
        raise PostsError(
            f"{shown}: no such file", f"a text to classify is given in a list of mappings, such as {example}"
        )
    file = PostsFile(path, replace(use, split=None, label=use.label if labelled else None))
    # As in a data frame, the columns of labels and splits are optional.
    columns = {"label": use.labels, "split": (use.split,)}
    optional = {part: getattr(use, part) for part, names in columns.items() if names and {*names} <= {*file.columns}}
    file.use = replace(file.use, **optional)
    return file.read()


def _from_python(posts: Any, use: Columns, labelled: bool) -> Posts:
    if is_dataset(posts):
        posts = [row.values for row in dataset_rows(dataset_parts(posts), "dataset")]
    elif hasattr(posts, "to_dicts") and hasattr(posts, "columns"):  # polars
        posts = posts.to_dicts()
    elif isinstance(posts, Mapping | Post):
        what = "post" if isinstance(posts, Post) else "mapping"
        raise PostsError(f"a single {what} where several posts are needed: give a list, such as [{{'text': ...}}]")
    frame_columns = list(posts.columns) if hasattr(posts, "to_dict") and hasattr(posts, "columns") else None
    try:
        entries = posts.to_dict("records") if frame_columns is not None else list(posts)
    except TypeError as reason:
        raise PostsError(f"a {type(posts).__name__} where posts are needed: {_EXAMPLE}") from reason
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, Post | Mapping):
            raise PostsError(f"post {number}: a {type(entry).__name__} where a mapping is needed: {_EXAMPLE}")
    rows = [entry for entry in entries if isinstance(entry, Mapping)]
    if rows or frame_columns is not None:
        columns = frame_columns or list(dict.fromkeys(key for row in rows for key in row))
        use = use.matched(columns)
        _check_columns(columns, use, labelled)
    in_frame = frame_columns and use.label in frame_columns
    labels = posts[use.label] if in_frame else [row.get(use.label) for row in rows]
    return Posts(
        (
            entry if isinstance(entry, Post) else make_post(Row(f"post {number}", entry), use, Path())
            for number, entry in enumerate(entries, 1)
        ),
        label_dtype=use.labelling.dtype(labels) if len(rows) == len(entries) else None,
    )


def _check_columns(columns: list[Any], use: Columns, labelled: bool) -> None:
    """Refuse posts that lack a column of ``use``, and warn about an unused one that may have been meant.

    One of the usual columns of text and image may be missing; a column that the user named may not.
    """
    named = use.named()
    missing = [
        name
        for part, name in named.items()
        if name not in columns and name != getattr(USUAL, part, "") and part[:5] != "label"
    ]
    if not {use.text, use.second_text, *use.images} & set(columns):
        missing += [name for name in (use.text, *use.images) if name]
    if labelled:
        missing += [name for name in use.labels or ("label",) if name not in columns]
    if missing or not (use.text or use.image):
        what = (
            f"no column {' and no '.join(map(repr, dict.fromkeys(missing)))}" if missing else "neither text nor image"
        )
        present = f"there are: {', '.join(map(str, columns)) or 'none'}"
        separate = "; labels may also be given by themselves, as in fit(posts, labels)" if labelled else ""
        raise PostsError(
            f"the posts have {what} ({present}): name yours with text_column, image_column and label_column, as in "
            f"JointClassifier(text_column=...) or read_posts(posts, text_column=...){separate}"
        )
    others = [str(name) for name in columns if name not in named.values()]
    for modality in ("text", "image"):
        if others and modality in named and named[modality] not in columns:
            warnings.warn(
                f"the posts have no column {named[modality]!r}; columns that are not used: {', '.join(others)}. Name "
                f"the right one with {modality}_column, or say {modality}_column=None",
                JointuneWarning,
                stacklevel=4,
            )


def _label_list(labels: Any, use: Columns) -> list[Any]:
    """Convert labels to a list, also those in a matrix of one column.

    Raises:
        PostsError: there are several a post, or they are no sequence.
    """
    if hasattr(labels, "__array__") and not isinstance(labels, Iterable):
        labels = np.asarray(labels)
    if use.labelling.several and hasattr(labels, "to_dict") and hasattr(labels, "columns"):
        return list(labels.to_dict("records"))
    shape = getattr(labels, "shape", None)
    if shape is not None and len(shape) != 1:
        if len(shape) != 2 or shape[1] != 1:
            raise PostsError(
                f"labels of the shape {tuple(shape)} where one label a post is needed",
                "of a column for each label, numpy.argmax(labels, axis=1) makes one",
            )
        return list(np.asarray(labels)[:, 0])
    if isinstance(labels, str | Mapping) or not isinstance(labels, Iterable):
        raise PostsError(f"a {type(labels).__name__} where one label a post is needed: give a list, or an array")
    return list(labels)
