"""The bound on the images of a post."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import overload

from jointune.data.post import Post, Posts
from jointune.utils.wording import counted


class FirstImages:
    """Cuts posts to their first images, and counts the posts that had more.

    Args:
        most: images of a post that are used.

    Attributes:
        cut: the number of posts that had more.
    """

    def __init__(self, most: int) -> None:
        self.most, self.cut = most, 0

    @overload
    def of(self, posts: Posts) -> Posts: ...
    @overload
    def of(self, posts: Iterable[Post]) -> Iterable[Post]: ...
    def of(self, posts: Iterable[Post]) -> Iterable[Post]:
        """Return the posts with their first images: ``Posts`` for ``Posts``, and otherwise as they are read."""
        if isinstance(posts, Posts):
            return Posts(self._each(posts), posts.name, posts.label_dtype)
        return self._each(posts)

    def _each(self, posts: Iterable[Post]) -> Iterator[Post]:
        for post in posts:
            if len(post.images) > self.most:
                self.cut += 1
                post = replace(post, image=post.images[: self.most])
            yield post

    @property
    def notes(self) -> list[str]:
        """What was cut, in a sentence, if anything was."""
        many = "the first" if self.most == 1 else f"the first {self.most}"
        posts = f"{counted(self.cut, 'post has', 'posts have')} more than {counted(self.most, 'picture')}"
        return [f"{posts}: {many} of them {'is' if self.most == 1 else 'are'} used"] if self.cut else []
