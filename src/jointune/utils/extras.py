"""Import optional packages where they are used, or name the pip command that installs them."""

import logging
import sys
import warnings
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from jointune.errors import JointuneWarning, MissingExtraError, first_line
from jointune.utils.telemetry import without_openvino_telemetry

_NEEDS_TORCHVISION = ("timm",)
_CPU_BUILDS = "https://download.pytorch.org/whl/cpu"


def install_command(extras: str) -> str:
    """Return the command that installs these extras, such as ``train,export``."""
    return f"from a clone of jointune: pip install -c constraints.txt '.[{extras}]'"


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, without its telemetry.

    Args:
        module: its name.
        extra: the extra that installs it.
        purpose: what needs it, for the message.

    Raises:
        MissingExtraError: it or a module that it needs is not installed, or torchvision is broken.
    """
    if module in _NEEDS_TORCHVISION and (broken := broken_torchvision()):
        raise MissingExtraError(f"{purpose} needs torchvision: {broken}")
    try:
        with without_openvino_telemetry():
            return import_module(module)
    except ModuleNotFoundError as reason:
        raise _missing(reason.name or module, extra, purpose) from reason


def check_installed(module: str, extra: str, purpose: str) -> None:
    """Raise a ``MissingExtraError`` if ``module`` is not installed. It is not imported, which may take seconds."""
    if find_spec(module) is None:
        raise _missing(module, extra, purpose)


def _missing(module: str, extra: str, purpose: str) -> MissingExtraError:
    return MissingExtraError(f"{purpose} needs the package {module}", install_command(extra))


@cache
def broken_torchvision() -> str | None:
    """Return why torchvision cannot be imported, and the remedy; None if it can be, or is not installed."""
    if find_spec("torchvision") is None:
        return None
    try:
        import_module("torchvision")
    except Exception as reason:  # such as an operator that this version of torch lacks
        logging.getLogger(__name__).debug("torchvision cannot be imported", exc_info=True)
        return (
            f"torchvision {_version('torchvision')} cannot be imported beside torch {_version('torch')} "
            f"({type(reason).__name__}: {first_line(reason)}); pip uninstall torchvision, or "
            "install both from one place, such as the builds without CUDA: pip install --force-reinstall torch "
            f"torchvision --index-url {_CPU_BUILDS}"
        )
    return None


def do_without_broken_torchvision() -> None:
    """Have transformers treat a torchvision that cannot be imported as not installed, with a warning.

    transformers only checks whether the package exists, and would fail at its first image processor. Its answer stays
    for the life of the process; ``sys.modules`` is put back at once.
    """
    broken = broken_torchvision()
    if broken is None or find_spec("transformers") is None:
        return
    modules: dict[str, Any] = sys.modules
    modules["torchvision"] = None  # makes Python find no such module
    try:
        available = import_module("transformers").utils.is_torchvision_available
        available.cache_clear()
        available()
    finally:
        del modules["torchvision"]
    warnings.warn(f"{broken}. Until then, timm's image encoders cannot be used", JointuneWarning, stacklevel=2)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"
