"""A post, and posts: what users bring, in memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, overload

from PIL import Image

from jointune.counting import counted
from jointune.posts.problems import Problem


@dataclass(frozen=True, slots=True)
class RemotePicture:
    """A picture that is fetched when it is opened.

    Attributes:
        address: where it is, such as ``https://example.org/a.jpg``.
        redirects: whether an answer that leads to another address is followed.
    """

    address: str
    redirects: bool = False

    def __str__(self) -> str:
        return self.address


Picture = Path | bytes | Image.Image | RemotePicture
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
        split: the value of the split column, where one was asked for.
        problem: why the row cannot be used, where reading it found that out.
        where: how messages name this post, such as ``posts.csv row 7 (line 8)``.
        fields: the row as it was read, for the outputs that repeat it.
        image_text: the text in its picture, empty where there is none; None where it was not read.
    """

    text: str | None = None
    image: Picture | None = None
    label: str | None = None
    split: str | None = None
    problem: Problem | None = None
    where: str = "post"
    fields: Mapping[str, object] = field(default_factory=dict, repr=False)
    image_text: str | None = None

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


class Posts(Sequence[Post]):
    """An immutable sequence of posts."""

    def __init__(self, posts: Iterable[Post], name: str = "posts") -> None:
        self._posts = tuple(posts)
        self.name = name

    @overload
    def __getitem__(self, index: int) -> Post: ...
    @overload
    def __getitem__(self, index: slice) -> "Posts": ...
    def __getitem__(self, index: int | slice) -> "Post | Posts":
        if isinstance(index, slice):
            return Posts(self._posts[index], self.name)
        return self._posts[index]

    def __len__(self) -> int:
        return len(self._posts)

    def __iter__(self) -> Iterator[Post]:
        return iter(self._posts)

    def __repr__(self) -> str:
        return f"Posts({self.name!r}, {counted(len(self), 'post')})"

    def take(self, indices: Iterable[int]) -> "Posts":
        """The posts at ``indices``, in that order."""
        return Posts((self._posts[index] for index in indices), self.name)

    def in_split(self, split: str) -> "Posts":
        """The posts whose split column says ``split``."""
        return Posts((post for post in self._posts if post.split == split), self.name)

    def without(self, modality: Modality) -> "Posts":
        """The same posts with their text, or their picture, hidden: how text alone and picture alone are measured.

        The text in a picture goes with the picture. A post that is left with neither is kept, so that every method is
        scored on the same posts.
        """
        if modality == "text":
            return Posts((replace(post, text=None) for post in self._posts), self.name)
        return Posts((replace(post, image=None, image_text=None) for post in self._posts), self.name)

    @property
    def labels(self) -> list[str | None]:
        """One label a post, in order."""
        return [post.label for post in self._posts]
