"""Bundles and encoders on the Hugging Face hub."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

from jointune.errors import BundleError, first_line
from jointune.utils.run_folder import scratch_folder

_BUNDLE_FILES = ["*.json", "*.jsonl", "*.safetensors", "README.md"]
"""Patterns of a bundle's files; nothing else of a repository is downloaded."""

_TIMEOUT = 5.0
"""Seconds to wait for the hub's first answer."""


def is_hub_id(name: str) -> bool:
    """Tell whether a name has the form of a hub id, such as ``name/model``."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None and not name.startswith(".")


def local_folder(path: str | Path) -> Path:
    """Return the folder itself, or the downloaded copy of a hub id such as ``name/model``.

    Raises:
        BundleError: there is no such folder, and nothing could be downloaded.
    """
    folder = Path(path).expanduser()
    if folder.exists() or isinstance(path, Path) or not is_hub_id(path):
        return folder
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(str(path), allow_patterns=_BUNDLE_FILES))
    except Exception as reason:  # the hub's client raises its transport's errors too
        raise BundleError(f"{path}: no such folder, and not to be had from the hub: {first_line(reason)}") from reason


def why_unreachable(repository: str) -> str | None:
    """Return why the hub cannot be asked for ``repository``; None if it answers, whatever it says.

    The retries of the hub's client would take a minute without a network.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        address = huggingface_hub.hf_hub_url(repository, "config.json")
        huggingface_hub.get_hf_file_metadata(address, timeout=_TIMEOUT)
    except HfHubHTTPError:
        return None
    except Exception as reason:  # its transport's errors, and impossible names
        logging.getLogger(__name__).debug("the hub cannot be asked for %s", repository, exc_info=True)
        return first_line(reason)
    return None


def is_cached(repository: str, *names: str) -> bool:
    """Tell whether one of these files was downloaded before."""
    import huggingface_hub

    try:
        return any(isinstance(huggingface_hub.try_to_load_from_cache(repository, name), str) for name in names)
    except ValueError:  # not a hub id
        return False


def upload(save: Callable[[Path], None], repository: str, private: bool, message: str) -> str:
    """Have ``save`` write a bundle to a temporary folder, upload it, and return its address."""
    import huggingface_hub

    with scratch_folder("upload") as temporary:
        folder = temporary / repository.split("/")[-1]
        save(folder)
        address = huggingface_hub.create_repo(repository, private=private, exist_ok=True)
        huggingface_hub.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    return str(address)
