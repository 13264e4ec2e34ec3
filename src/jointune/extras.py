"""Optional packages, asked for where they are used and named by the pip command that brings them."""

from importlib import import_module
from types import ModuleType

from jointune.errors import MissingExtraError
from jointune.telemetry import without_openvino_telemetry


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, which then reports nothing to its maker, or say which extra brings it.

    Raises:
        MissingExtraError: the module is not installed.
    """
    try:
        with without_openvino_telemetry():
            return import_module(module)
    except ModuleNotFoundError as reason:
        if reason.name is None or not module.startswith(reason.name):
            raise
        raise MissingExtraError(f"{purpose} needs the package {module}: pip install 'jointune[{extra}]'") from reason
