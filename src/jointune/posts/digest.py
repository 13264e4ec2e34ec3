"""By what a resumed run knows its posts again."""

import hashlib

from jointune.posts.pictures import PictureError, picture_digest
from jointune.posts.post import Picture, Posts, RemotePicture


def posts_digest(posts: Posts) -> str:
    """SHA-256 of texts, pictures, labels and splits, in hexadecimal.

    A picture counts by its content, wherever it lies; one to be fetched by its address.
    """
    digest = hashlib.sha256()
    for post in posts:
        digest.update(repr((post.text, post.image_text, _identity(post.image), post.label, post.split)).encode())
    return digest.hexdigest()


def _identity(picture: Picture | None) -> str:
    if picture is None:
        return ""
    if isinstance(picture, RemotePicture):
        return str(picture)
    try:
        return picture_digest(picture).hex()
    except PictureError as reason:
        return str(reason)  # told, or passed over, where pictures are opened
