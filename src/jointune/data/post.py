"""A post, and posts: the examples in memory."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, Literal, overload

from PIL import Image

from jointune.data.labels import order_labels, typed_label
from jointune.data.problems import Problem
from jointune.data.times import Time
from jointune.utils.wording import counted, shortened


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """An image that is fetched when it is opened.

    Attributes:
        address: such as ``https://example.org/a.jpg``.
        redirects: whether a redirect to another address is followed.
    """

    address: str
    redirects: bool = False

    def __str__(self) -> str:
        return self.address


ImageSource = Path | bytes | Image.Image | RemoteImage
FileSource = Path | bytes | RemoteImage
Images = ImageSource | Sequence[ImageSource] | None
"""The image of a post, or several in their order, or none."""

Modality = Literal["text", "image"]

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
    """Return the one of ``SPLITS`` that a name such as ``Val`` or ``dev`` means; any other name as it is."""
    split = name.strip().casefold()
    split = _OTHER_SPLITS.get(split, split)
    return split if split in SPLITS else name.strip()


@dataclass(frozen=True, slots=True)
class Post:
    """One example: a text, one image or several (either may be missing), and perhaps a label.

    Attributes:
        text: the text, or None if there is none.
        image: a path, the bytes of an image file, an opened image or one to be fetched; a tuple of several of these;
            None if there is none.
        label: the label as text; numbers and booleans are spelled as Python spells them (``3``, ``True``).
        split: ``train``, ``validation`` or ``test``, also if the column uses another usual name, such as ``val``;
            another value as it is.
        problem: why the row cannot be used, if reading it showed that.
        where: the name of this post in messages, such as ``posts.csv row 7 (line 8)``.
        fields: the whole row as it was read, columns of all names included.
        image_text: the text in its images, empty if there is none; None if it was not read.
        group: the name of its group, such as an author or a thread, which is never divided; None for none.
        time: when it was posted: a number, or a date in UTC; None if that is not known.
        second_text: what is read together with the text, such as the aspect that is asked about. Where there is no
            first text, it becomes the text.
        files: of further modalities, by the name of their column.
    """

    text: str | None = None
    image: Images = None
    label: str | None = None
    split: str | None = None
    problem: Problem | None = None
    where: str = "post"
    fields: Mapping[str, object] = field(default_factory=dict, repr=False)
    image_text: str | None = None
    group: str | None = None
    time: Time | None = None
    second_text: str | None = None
    files: Mapping[str, FileSource] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.image, list | tuple):
            images = tuple(self.image)
            object.__setattr__(self, "image", images if len(images) > 1 else images[0] if images else None)
        if self.text is None and self.second_text is not None:
            object.__setattr__(self, "text", self.second_text)
            object.__setattr__(self, "second_text", None)
        if self.split is not None and self.split not in SPLITS:
            object.__setattr__(self, "split", usual_split(self.split))

    def __repr__(self) -> str:
        return f"Post({', '.join(f'{name}={value}' for name, value in self._cells().items() if value)})"

    def _repr_html_(self) -> str:
        """Return a table for a notebook."""
        return _html_table([self._cells()])

    def _cells(self) -> dict[str, str]:
        """Return what to show a person, by column; empty texts for missing values."""
        return {
            "text": "" if self.text is None else repr(shortened(self.text, 80)),
            "second_text": "" if self.second_text is None else repr(shortened(self.second_text, 80)),
            "image": ", ".join(map(_describe_image, self.images)),
            "label": "" if self.label is None else repr(self.label),
            "split": "" if self.split is None else repr(self.split),
            "image_text": "" if self.image_text is None else repr(shortened(self.image_text, 80)),
            "problem": "" if self.problem is None else str(self.problem),
        }

    @property
    def images(self) -> tuple[ImageSource, ...]:
        """Each of its images, in order; empty if there is none."""
        if self.image is None:
            return ()
        return self.image if isinstance(self.image, tuple) else (self.image,)  # type: ignore[return-value]

    @property
    def whole_text(self) -> str | None:
        """Its text, or both of two as one; None if there is none. By it texts are the same, and are shown."""
        return self.text if self.second_text is None else f"{self.text} | {self.second_text}"

    @property
    def empty(self) -> bool:
        """Whether the post has neither text, image nor another file."""
        return self.text is None and self.image is None and not self.files

    @property
    def nbytes(self) -> int:
        """Approximate size in memory: the characters and bytes of its row, or of its text and image."""
        own = (self.text, self.second_text, self.image, self.files)
        return max(_size(self.fields), sum(map(_size, own)))


def _size(value: object) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        value = value.values()
    return sum(map(_size, value)) if isinstance(value, list | tuple | ValuesView) else 0


def _describe_image(image: ImageSource) -> str:
    if isinstance(image, bytes):
        return f"<{len(image):,} bytes>"
    if isinstance(image, Image.Image):
        return f"<picture of {image.width} x {image.height}>"
    return repr(str(image))


def _html_table(rows: Sequence[Mapping[str, str]]) -> str:
    columns = [name for name in (rows[0] if rows else {}) if any(row[name] for row in rows)]
    head = "".join(f"<th>{name}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(row[name])}</td>' for name in columns)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class Posts(Sequence[Post]):
    """An immutable sequence of posts.

    Args:
        posts: the posts.
        name: of the posts in messages.
        label_dtype: the NumPy type that their labels had in Python, such as ``int64``; None for labels from files,
            which are texts.
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
        """Return the number of posts of each label, and the first posts, for a notebook."""
        labels = Counter(post.label for post in self._posts if post.label is not None).most_common(20)
        counts = ", ".join(f"{label!r}: {number:,}" for label, number in labels)
        few = self._posts[:5]
        more = f"<p>… and {len(self) - len(few):,} more</p>" if len(self) > len(few) else ""
        return f"<p>{escape(f'{self!r} {counts}')}</p>{_html_table([post._cells() for post in few])}{more}"

    def take(self, indices: Iterable[int]) -> "Posts":
        """Return the posts at ``indices``, in that order."""
        return self._like(self._posts[index] for index in indices)

    def in_split(self, split: str) -> "Posts":
        """Return the posts whose split is ``split``; usual other names of it count, too."""
        split = usual_split(split)
        return self._like(post for post in self._posts if post.split == split)

    def without(self, modality: Modality) -> "Posts":
        """Return the posts without their text, or without their images, to measure the other modality alone.

        The text in images goes with them. A post that is left with neither is kept, so that every method is
        scored on the same posts.
        """
        if modality == "text":
            return self._like(replace(post, text=None, second_text=None) for post in self._posts)
        return self._like(replace(post, image=None, image_text=None) for post in self._posts)

    @property
    def labels(self) -> list[Any]:
        """One label a post: texts, or the numbers or booleans that Python gave; None for a post without one."""
        return [typed_label(post.label, self.label_dtype) for post in self._posts]

    @property
    def label_names(self) -> list[str]:
        """Each label's text once, in the order of a classifier's classes."""
        return order_labels((post.label for post in self._posts if post.label is not None), self.label_dtype)

    def _like(self, posts: Iterable[Post]) -> "Posts":
        return Posts(posts, self.name, self.label_dtype)
