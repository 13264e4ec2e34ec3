"""jointune cache."""

from typing import Annotated

import typer

from jointune.cli.options import out
from jointune.errors import SettingsError
from jointune.utils.cache_dir import cache_folder, cached_files, clear_caches
from jointune.utils.wording import counted


def cache(clear: Annotated[bool, typer.Option("--clear", help="Delete all of it.")] = False) -> None:
    """Show the caches between runs and their size: pictures, texts read in them, embeddings, joined encoders.

    JOINTUNE_CACHE names their folder, or is `off` for none. At most JOINTUNE_CACHE_GIB of prepared pictures are kept,
    20 by default.
    """
    try:
        folder = cache_folder()
    except RuntimeError as reason:
        raise SettingsError(f"nothing is kept between runs: {reason}") from reason
    if clear:
        clear_caches()
    out.print(str(folder))
    for kind, (files, size) in cached_files().items():
        out.print(f"  {kind}: {size / 2**20:,.1f} MiB in {counted(files, 'file')}")
