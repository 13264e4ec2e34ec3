"""Optional packages, asked for where they are used and named by the pip command that brings them."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from jointune.errors import MissingExtraError


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, or say which extra brings it.

    Raises:
        MissingExtraError: the module is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as reason:
        if reason.name is None or not module.startswith(reason.name):
            raise
        raise _missing(module, extra, purpose) from reason


def check_installed(module: str, extra: str, purpose: str) -> None:
    """See that ``module`` is there, without importing it, which may take seconds.

    Raises:
        MissingExtraError: the module is not installed.
    """
    if find_spec(module) is None:
        raise _missing(module, extra, purpose)


def _missing(module: str, extra: str, purpose: str) -> MissingExtraError:
    return MissingExtraError(f"{purpose} needs the package {module}: pip install 'jointune[{extra}]'")
