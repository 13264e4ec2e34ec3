"""Counted nouns in messages."""


def counted(number: int, one: str, several: str | None = None) -> str:
    """``1 post``, ``2 posts``, ``1,000 posts``.

    Args:
        number: how many.
        one: what follows a 1.
        several: what follows any other number; by default the same with an s.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
