"""Bundles and encoders on the Hugging Face hub."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from jointune.errors import BundleError, first_line

if TYPE_CHECKING:
    from jointune.persistence.bundle import Bundle


_WANTED = ["*.json", "*.jsonl", "*.safetensors", "README.md"]
"""What there is in a bundle; nothing else of a repository is downloaded."""


def is_hub_id(name: str) -> bool:
    """Whether a name has the form of a hub id, such as ``name/model``."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None and not name.startswith(".")


def local_folder(path: str | Path) -> Path:
    """The folder itself, or the downloaded copy of a hub id such as ``name/model``.

    Raises:
        BundleError: there is no such folder, and no such id could be downloaded.
    """
    folder = Path(path).expanduser()
    if folder.exists() or isinstance(path, Path) or not is_hub_id(path):
        return folder
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(str(path), allow_patterns=_WANTED))
    except Exception as reason:  # the hub's client raises its transport's errors too
        raise BundleError(f"{path}: no such folder, and not to be had from the hub: {first_line(reason)}") from reason


_TIMEOUT = 5.0
"""Seconds that the hub has for its first answer."""


def why_unreachable(repository: str) -> str | None:
    """Why the hub cannot be asked for ``repository``; None where it answers, whatever it says.

    One question without the retries of the hub's client, which take a minute where there is no network.
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
    except Exception as reason:  # its transport's errors, and names that can be none of the hub's
        return first_line(reason)
    return None


def is_cached(repository: str, *names: str) -> bool:
    """Whether one of these files was downloaded before."""
    import huggingface_hub

    try:
        return any(isinstance(huggingface_hub.try_to_load_from_cache(repository, name), str) for name in names)
    except ValueError:  # no name of the hub's
        return False


def upload(bundle: "Bundle", repository: str, private: bool, message: str) -> str:
    """Write the bundle to a temporary folder and upload it; its address."""
    import huggingface_hub

    from jointune.persistence.bundle import save_bundle
    from jointune.utils.run_folder import scratch_folder

    with scratch_folder("upload") as temporary:
        folder = temporary / repository.split("/")[-1]
        save_bundle(bundle, folder)
        address = huggingface_hub.create_repo(repository, private=private, exist_ok=True)
        huggingface_hub.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    return str(address)
