"""A post, and posts: what users bring, in memory."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, Literal, overload

from PIL import Image

from jointune.data.labels import order_labels, typed_label
from jointune.data.problems import Problem
from jointune.utils.wording import counted


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """A picture that is fetched when it is opened.

    Attributes:
        address: where it is, such as ``https://example.org/a.jpg``.
        redirects: whether an answer that leads to another address is followed.
    """

    address: str
    redirects: bool = False

    def __str__(self) -> str:
        return self.address


SPLITS = ("train", "validation", "test")
_OTHER_SPLITS = {
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "devel": "validation",
    "development": "validation",
    "testing": "test",
}


def usual_split(name: str) -> str:
    """One of ``SPLITS`` for a name that means it, such as ``Val`` or ``dev``; any other name as it is."""
    known = name.strip().casefold()
    known = _OTHER_SPLITS.get(known, known)
    return known if known in SPLITS else name.strip()


ImageSource = Path | bytes | Image.Image | RemoteImage
Modality = Literal["text", "image"]


def encodable(text: str) -> str:
    """``text`` with a question mark for each lone surrogate: half an emoji, escaped in JSON, has no UTF-8 form."""
    return text.encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class Post:
    """One example: a text, a picture (either may be missing), and perhaps a label.

    Attributes:
        text: the text, or None where the post has none.
        image: a path, the bytes of a picture file, an opened picture or one to be fetched; None where it has none.
        label: the label as text; numbers and booleans are spelled as Python spells them (``3``, ``True``).
        split: ``train``, ``validation`` or ``test``, where a column of splits was asked for, whichever of their usual
            names it uses, such as ``val``; another value as it is.
        problem: why the row cannot be used, where reading it found that out.
        where: how messages name this post, such as ``posts.csv row 7 (line 8)``.
        fields: the row as it was read, for the outputs that repeat it.
        image_text: the text in its picture, empty where there is none; None where it was not read.
    """

    text: str | None = None
    image: ImageSource | None = None
    label: str | None = None
    split: str | None = None
    problem: Problem | None = None
    where: str = "post"
    fields: Mapping[str, object] = field(default_factory=dict, repr=False)
    image_text: str | None = None

    def __post_init__(self) -> None:
        if self.split is not None and self.split not in SPLITS:
            object.__setattr__(self, "split", usual_split(self.split))

    def __repr__(self) -> str:
        return f"Post({', '.join(f'{name}={value}' for name, value in self._shown().items() if value)})"

    def _repr_html_(self) -> str:
        """A table for a notebook."""
        return _html_table([self._shown()])

    def _shown(self) -> dict[str, str]:
        """What a person sees of it, by column; an empty text where there is nothing."""
        return {
            "text": "" if self.text is None else repr(_shortened(self.text)),
            "image": "" if self.image is None else _picture_name(self.image),
            "label": "" if self.label is None else repr(self.label),
            "split": "" if self.split is None else repr(self.split),
            "image_text": "" if self.image_text is None else repr(_shortened(self.image_text)),
            "problem": "" if self.problem is None else str(self.problem),
        }

    @property
    def empty(self) -> bool:
        """Whether the post has neither text nor picture."""
        return self.text is None and self.image is None

    @property
    def nbytes(self) -> int:
        """About what it keeps in memory: the characters and bytes of its row, or of its text and picture."""
        return max(_size(self.fields), _size(self.text) + _size(self.image))


def _size(value: object) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    return sum(map(_size, value.values())) if isinstance(value, Mapping) else 0


def _shortened(text: str, most: int = 80) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _picture_name(image: ImageSource) -> str:
    if isinstance(image, bytes):
        return f"<{len(image):,} bytes>"
    if isinstance(image, Image.Image):
        return f"<picture of {image.width} x {image.height}>"
    return repr(str(image))


def _html_table(rows: Sequence[Mapping[str, str]]) -> str:
    """A table of the columns that any row fills."""
    columns = [name for name in (rows[0] if rows else {}) if any(row[name] for row in rows)]
    head = "".join(f"<th>{name}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(row[name])}</td>' for name in columns)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class Posts(Sequence[Post]):
    """An immutable sequence of posts.

    Args:
        posts: the posts.
        name: what messages call them.
        label_dtype: the NumPy type that their labels had in Python, such as ``int64``; None for those of files, which
            are texts.
    """

    def __init__(self, posts: Iterable[Post], name: str = "posts", label_dtype: str | None = None) -> None:
        self._posts = tuple(posts)
        self.name = name
        self.label_dtype = label_dtype

    @overload
    def __getitem__(self, index: int) -> Post: ...
    @overload
    def __getitem__(self, index: slice) -> "Posts": ...
    def __getitem__(self, index: int | slice) -> "Post | Posts":
        if isinstance(index, slice):
            return self._like(self._posts[index])
        return self._posts[index]

    def __len__(self) -> int:
        return len(self._posts)

    def __iter__(self) -> Iterator[Post]:
        return iter(self._posts)

    def __repr__(self) -> str:
        return f"Posts({self.name!r}, {counted(len(self), 'post')})"

    def _repr_html_(self) -> str:
        """The number of posts of each label, and the first posts, for a notebook."""
        labels = Counter(post.label for post in self._posts if post.label is not None).most_common(20)
        counts = ", ".join(f"{label!r}: {number:,}" for label, number in labels)
        few = self._posts[:5]
        more = f"<p>… and {len(self) - len(few):,} more</p>" if len(self) > len(few) else ""
        return f"<p>{escape(f'{self!r} {counts}')}</p>{_html_table([post._shown() for post in few])}{more}"

    def take(self, indices: Iterable[int]) -> "Posts":
        """The posts at ``indices``, in that order."""
        return self._like(self._posts[index] for index in indices)

    def in_split(self, split: str) -> "Posts":
        """The posts whose split column says ``split``, or another name for it."""
        split = usual_split(split)
        return self._like(post for post in self._posts if post.split == split)

    def without(self, modality: Modality) -> "Posts":
        """The same posts with their text, or their picture, hidden: how text alone and picture alone are measured.

        The text in a picture goes with the picture. A post that is left with neither is kept, so that every method is
        scored on the same posts.
        """
        if modality == "text":
            return self._like(replace(post, text=None) for post in self._posts)
        return self._like(replace(post, image=None, image_text=None) for post in self._posts)

    @property
    def labels(self) -> list[Any]:
        """One label a post, in order: texts, or the numbers or booleans that Python gave; None where there is none."""
        return [typed_label(post.label, self.label_dtype) for post in self._posts]

    @property
    def label_names(self) -> list[str]:
        """Each label's text once, in the order of a classifier's classes."""
        return order_labels((post.label for post in self._posts if post.label is not None), self.label_dtype)

    def _like(self, posts: Iterable[Post]) -> "Posts":
        return Posts(posts, self.name, self.label_dtype)
