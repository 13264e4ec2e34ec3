"""Bundles on the Hugging Face hub."""

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from jointune.errors import BundleError

if TYPE_CHECKING:
    from jointune.bundle import Bundle


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
        return Path(huggingface_hub.snapshot_download(str(path)))
    except Exception as reason:  # the hub's client raises its transport's errors too
        first = next(iter(str(reason).strip().splitlines()), type(reason).__name__)
        raise BundleError(f"{path}: no such folder, and not to be had from the hub: {first}") from reason


def upload(bundle: "Bundle", repository: str, private: bool, message: str) -> str:
    """Write the bundle to a temporary folder and upload it; its address."""
    import huggingface_hub

    from jointune.bundle import save_bundle

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / repository.split("/")[-1]
        save_bundle(bundle, folder)
        address = huggingface_hub.create_repo(repository, private=private, exist_ok=True)
        huggingface_hub.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    return str(address)
