"""A service in a process of its own: ``python server.py '{"limits": {...}, "delay": 0.1, ...}'``, on a free port."""

import json
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from made_scorer import make_scorer

from jointune.errors import BundleError
from jointune.serve.limits import Limits
from jointune.serve.run import Serving, bind, serve


def load(delay: float, broken: bool):
    if broken:
        raise BundleError("the bundle is broken")
    return make_scorer(delay)


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    serve(
        Serving(
            partial(load, told.get("delay", 0.0), told.get("broken", False)),
            Limits(**told.get("limits", {})),
            told.get("token"),
        ),
        bind("127.0.0.1", 0),
        told.get("workers", 1),
    )
