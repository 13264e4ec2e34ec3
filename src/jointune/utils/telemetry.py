"""Turn off the telemetry of other packages."""

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
    "RAY_USAGE_STATS_ENABLED": "0",
    "WANDB_ERROR_REPORTING": "false",
}
"""Environment variables that turn off the telemetry of packages."""


def turn_off() -> None:
    """Set the variables that turn telemetry off, unless the user set them, for this process and its children.

    They stay set: packages read them at any time.
    """
    for name, value in OFF.items():
        os.environ.setdefault(name, value)


@contextmanager
def without_openvino_telemetry() -> Iterator[None]:
    """Hide the package of OpenVINO's telemetry from imports inside the block; nothing else turns it off."""
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # makes Python find no such module
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
