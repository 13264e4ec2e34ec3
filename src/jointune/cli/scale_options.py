"""Options of commands whose work can be done in parts, or on a Ray cluster."""

from typing import Annotated

import typer

from jointune.errors import SettingsError
from jointune.scale.ray_cluster import Workers

_PANEL = "On a cluster"

Ray = Annotated[
    str | None,
    typer.Option(
        "--ray", metavar="ADDRESS", help="Of a Ray cluster's head: HOST:PORT, or auto.", rich_help_panel=_PANEL
    ),
]
WorkerNumber = Annotated[
    str | None,
    typer.Option("--workers", metavar="N|MIN:MAX", help="Number of workers; 1 by default.", rich_help_panel=_PANEL),
]
Cpus = Annotated[
    float | None, typer.Option("--cpus-per-worker", help="Cores of each worker; 1 by default.", rich_help_panel=_PANEL)
]
Gpus = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker", help="GPUs of each worker: 0 by default; 0.5 lets two share one.", rich_help_panel=_PANEL
    ),
]
Part = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="I/N",
        help="Score every N-th part of the input from the I-th on, counted from 0, into the folder SCORED.",
        rich_help_panel=_PANEL,
    ),
]


def chosen_workers(ray: str | None, number: str | None, cpus: float | None, gpus: float | None) -> Workers | None:
    """Return the workers that the options ask for; None without a cluster.

    Raises:
        SettingsError: an option is out of range, or needs --ray.
    """
    if ray is None:
        given = {"--workers": number, "--cpus-per-worker": cpus, "--gpus-per-worker": gpus}
        if left := next((flag for flag, value in given.items() if value is not None), None):
            raise SettingsError(f"{left} is of a Ray cluster", "say which, with --ray ADDRESS")
        return None
    return Workers.parse("1" if number is None else number, 1 if cpus is None else cpus, gpus or 0)
