"""The columns of texts: one, or two that are read together."""

from collections.abc import Collection

from jointune.errors import SettingsError, setting


def text_columns(named: str | None, columns: Collection[str] = ()) -> tuple[str, ...]:
    """Return the columns of texts that ``text_column`` names: none, one, or two that are read together.

    Args:
        named: such as ``text`` or ``text,aspect``.
        columns: of the table; if one of them has this very name, it is the one that is meant.

    Raises:
        SettingsError: there are more than two, or one of them twice.
    """
    if not named or named in columns or "," not in named:
        return (named,) if named else ()
    names = tuple(name.strip() for name in named.split(","))
    if len(names) > 2 or "" in names or names[0] == names[1]:
        wrong = f"{len(names)} columns" if len(names) > 2 else "an empty name" if "" in names else "one column twice"
        raise SettingsError(
            f"{setting('text_column', named)}: {wrong}, and a post has one text or two",
            "name one column, or two, such as title,body",
            setting="text_column",
        )
    return names
