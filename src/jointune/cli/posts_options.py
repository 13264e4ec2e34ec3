"""Read posts by the options that several commands share."""

from dataclasses import replace
from pathlib import Path

from jointune.cli.options import out
from jointune.data.divide import VALIDATION
from jointune.data.label_checks import label_problems
from jointune.data.post import Posts
from jointune.data.problems import raise_problems
from jointune.data.read import Columns, PostsFile
from jointune.data.split import fraction_of_posts
from jointune.errors import PostsError, SettingsError, setting


def read_training_posts(
    path: Path, validation: str, use: Columns, encoding: str | None
) -> tuple[Posts, Posts | float | None]:
    """Read the posts for training, and the argument ``validation``: posts, a fraction, or None to divide by splits.

    Raises:
        PostsError: the posts cannot be read, or a split is missing or unknown.
        SettingsError: ``validation`` is neither a fraction nor a file.
    """
    chosen = None if use.split else fraction_or_file(validation)
    posts = read_whole(path, use, encoding)
    if use.split:
        raise_problems(list(label_problems(posts, split=True, asked=use.labelling)), posts.name)
        if validation != str(VALIDATION):
            out.print(f"note: --validation {validation} is not used; the column {use.split!r} divides.", style="yellow")
    if isinstance(chosen, Path) and use.time:
        out.print(f"note: --time-column {use.time} is not used; --validation names the posts.", style="yellow")
    return posts, read_if_file(chosen, use, encoding)


def read_if_file(chosen: float | Path | None, use: Columns, encoding: str | None) -> Posts | float | None:
    """Return the posts of a file; a fraction as it is."""
    return PostsFile(chosen, use, encoding).read() if isinstance(chosen, Path) else chosen


def fraction_or_file(value: str, name: str = "validation") -> float | Path:
    """Parse --validation or --test.

    Raises:
        SettingsError: it is neither a fraction nor a file.
    """
    try:
        fraction = float(value)
    except ValueError:
        file = Path(value).expanduser()
        if not file.exists():
            raise SettingsError(f"{setting(name, value)}: neither a fraction nor a file", setting=name) from None
        return file
    fraction_of_posts(fraction, name)
    return fraction


def read_whole(path: Path, use: Columns, encoding: str | None) -> Posts:
    """Read all posts, and print a note if a column ``split`` is not used."""
    posts = PostsFile(path, use, encoding).read()
    if use.split is None and "split" in posts[0].fields:
        out.print("note: the column 'split' is not used; --split-column split would.", style="yellow")
    return posts


def read_split(path: Path, split: str | None, use: Columns, encoding: str | None) -> Posts:
    """Read the posts of one split, by the column ``split`` if ``use`` names none; all of them without a split.

    Raises:
        PostsError: they cannot be read, or there are none in that split.
    """
    if not split:
        return PostsFile(path, use, encoding).read()
    use = replace(use, split=use.split or "split")
    posts = PostsFile(path, use, encoding).read().in_split(split)
    if not posts:
        raise PostsError(f"{path.name}: no post whose {use.split} is {split!r}")
    return Posts(posts, f"{posts.name} ({split})")
