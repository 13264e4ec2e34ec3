"""The texts of posts as tokens: what each post gives the text encoder to read."""

from collections.abc import Iterable

from jointune.batches.tokens import TextPreprocessor, Tokens
from jointune.posts.post import Post


def encode_posts(posts: Iterable[Post], text: TextPreprocessor, with_image_text: bool = False) -> list[Tokens | None]:
    """Tokens of each post; None where it gives the text encoder nothing to read.

    Args:
        posts: the posts.
        text: the text encoder's preprocessing.
        with_image_text: whether the text in the picture is read too, as a second segment. The first one is empty where
            a post has no text of its own.
    """
    pairs = [(post.text, (post.image_text or None) if with_image_text else None) for post in posts]
    read = [(own or "", second) for own, second in pairs if own is not None or second is not None]
    encoded = iter(text.encode([own for own, _ in read], [second for _, second in read]))
    return [None if own is None and second is None else next(encoded) for own, second in pairs]
