"""A service in a process of its own: ``python server.py '{"limits": {...}, "delay": 0.1, ...}'``, on a free port."""

import json
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.made_predictor import make_predictor
from jointune.errors import BundleError
from jointune.serve.hosts import LOOPBACK
from jointune.serve.limits import Limits
from jointune.serve.listen import bind
from jointune.serve.server import Serving, serve


def load(delay: float, broken: str | None):
    if broken == "bundle":
        raise BundleError("the bundle is broken")
    if broken == "process":
        os._exit(7)
    predictor = make_predictor(delay)
    return predictor if broken is None else replace(predictor, probabilities=fail)


def fail(*_):
    raise ValueError("the graph is broken")


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    serve(
        Serving(
            partial(load, told.get("delay", 0.0), told.get("broken")),
            Limits(**told.get("limits", {})),
            told.get("token"),
            hosts=frozenset(told.get("hosts", LOOPBACK)),
        ),
        bind("127.0.0.1", 0),
        told.get("workers", 1),
    )
