"""Packages that report to their makers, kept from doing so."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

OFF = {
    "DO_NOT_TRACK": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",
    "WANDB_ERROR_REPORTING": "false",
}
"""The variables by which packages let themselves be told."""


def turn_off() -> None:
    """Tell every package that reports to its maker not to, unless the user's environment says otherwise.

    For this process and those that it starts. The variables stay set: packages read them when they are imported, or
    later.
    """
    for name, value in OFF.items():
        os.environ.setdefault(name, value)


@contextmanager
def without_openvino_telemetry() -> Iterator[None]:
    """Have OpenVINO import without the package that reports: no variable and no argument turns it off.

    Where that package is missing, OpenVINO does without. It is found again afterwards.
    """
    name = "openvino_telemetry"
    # None is how Python marks a module that must not be imported.
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
