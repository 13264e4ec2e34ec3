"""A process that scores, to be killed: forked from one in which everything is imported already."""

import multiprocessing
import os
from multiprocessing.process import BaseProcess

CHUNK = 64
"""Posts of a part, so that a short run has many."""


def predict(*arguments: str) -> None:
    """What the process does."""
    import jointune.output.predicted_table
    from helpers.small_chunks import loading_with
    from jointune.cli.app import main

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    jointune.output.predicted_table.load_predictor = loading_with(CHUNK)
    main(["predict", *arguments, "--quiet"])


def start(*arguments: object) -> BaseProcess:
    """Start ``jointune predict`` in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["jointune.classifier", "jointune.cli.predict"])
    process = context.Process(target=predict, args=tuple(map(str, arguments)), daemon=True)
    process.start()
    return process
