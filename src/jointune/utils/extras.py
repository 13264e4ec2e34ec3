"""Optional packages, asked for where they are used and named by the pip command that brings them."""

import sys
import warnings
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from jointune.errors import JointuneWarning, MissingExtraError
from jointune.utils.telemetry import without_openvino_telemetry

_NEEDS_TORCHVISION = ("timm",)
_CPU_BUILDS = "https://download.pytorch.org/whl/cpu"


def install_command(extras: str) -> str:
    """What installs these extras, such as ``train,export``. There is no registry to install them from yet."""
    return f"from a clone of jointune: pip install -c constraints.txt '.[{extras}]'"


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, which then reports nothing to its maker, or say which extra brings it.

    Raises:
        MissingExtraError: the module is not installed, nor is one that it needs, or torchvision is broken for it.
    """
    if module in _NEEDS_TORCHVISION and (broken := broken_torchvision()):
        raise MissingExtraError(f"{purpose} needs torchvision: {broken}")
    try:
        with without_openvino_telemetry():
            return import_module(module)
    except ModuleNotFoundError as reason:
        raise _missing(reason.name or module, extra, purpose) from reason


def check_installed(module: str, extra: str, purpose: str) -> None:
    """See that ``module`` is there, without importing it, which may take seconds.

    Raises:
        MissingExtraError: the module is not installed.
    """
    if find_spec(module) is None:
        raise _missing(module, extra, purpose)


def _missing(module: str, extra: str, purpose: str) -> MissingExtraError:
    return MissingExtraError(f"{purpose} needs the package {module}", f"{install_command(extra)}")


@cache
def broken_torchvision() -> str | None:
    """Why torchvision cannot be imported, and the remedy; None where it can, or is not installed."""
    if find_spec("torchvision") is None:
        return None
    try:
        import_module("torchvision")
    except Exception as reason:  # most of all, one built for CUDA beside a torch that is not, or for another version
        return (
            f"torchvision {_version('torchvision')} cannot be imported beside torch {_version('torch')} "
            f"({type(reason).__name__}: {str(reason).strip().partition(chr(10))[0]}); pip uninstall torchvision, or "
            "install both from one place, such as the builds without CUDA: pip install --force-reinstall torch "
            f"torchvision --index-url {_CPU_BUILDS}"
        )
    return None


def do_without_broken_torchvision() -> None:
    """Have transformers treat a torchvision that cannot be imported as not installed, with a warning.

    It looks no further than whether there is such a package, and would then fail at its first image processor, though
    jointune's need none of it.
    """
    broken = broken_torchvision()
    if broken is None or find_spec("transformers") is None:
        return
    modules: dict[str, Any] = sys.modules
    modules["torchvision"] = None  # as Python's documentation has it: an import, and a search for it, finds none
    try:
        # The answer is asked for once in the life of a process. transformers may have been imported before.
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
