"""Write files so that they appear whole or not at all, and read those of bundles and exports with care.

In the functions that read, ``whole`` is what the folder is, for messages: a bundle, an export.
"""

import errno
import glob
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jointune import __version__
from jointune.errors import BundleError, OutputError

BUNDLE_MARK = "training_log.jsonl"
EXPORT_MARK = "export.json"
COMPARISON_MARK = "comparison.json"
TUNING_MARK = "tuning.json"
AUDIT_MARK = "audit.html"
SCORED_MARK = "_run.json"
"""The file that marks a folder as a bundle, an export, a comparison, a tuning or one of scored parts."""

MANIFEST = "manifest.json"
"""The file in a bundle or an export with the SHA-256 of each file that decides probabilities."""

_TEMPORARY, _OLD = "jointune-", "jointune-old-"
"""While NAME is being written, its temporary file or folder is called ``.NAME.jointune-…``."""

_MOST_BYTES = 256 << 20
"""Size limit of a file that is read as text."""


@contextmanager
def clear_write_errors(path: Path, before: bool = False) -> Iterator[None]:
    """Turn a full disk, a lost permission and the like into one clear error that names ``path``.

    Args:
        path: the output.
        before: whether nothing of it is written yet.
    """
    try:
        yield
    except OSError as reason:
        verb, remedy = ("cannot", "choose another path") if before else ("could not", "nothing was left half-written")
        raise OutputError(f"{path} {verb} be written: {why(reason)}", remedy) from reason


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the name ``path`` when the block ends without an error."""
    with clear_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.{_TEMPORARY}", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _flush(temporary)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it replaces ``path`` when the block ends without an error."""
    with clear_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.{_TEMPORARY}", dir=path.parent))
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    file.chmod(0o666 & ~_umask())  # some libraries write for their own user alone
                    _flush(file)
            temporary.chmod(0o777 & ~_umask())
            if path.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{path.name}.{_OLD}", dir=path.parent))
                path.replace(old / path.name)
                temporary.replace(path)
                shutil.rmtree(old, ignore_errors=True)
            else:
                temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def discard_folder(path: Path) -> None:
    """Remove a folder of ours, if it exists. It vanishes at once and whole, even if the removal is interrupted."""
    if path.exists():
        with clear_write_errors(path):
            renamed = path.replace(path.with_name(f".{path.name}.{_TEMPORARY}{secrets.token_hex(4)}"))
            shutil.rmtree(renamed, ignore_errors=True)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what a killed run left half-written in ``folder``; the caller holds the lock.

    If the run was killed while it replaced an output, the old output is put back.

    Args:
        folder: where.
        name: of the file or folder that was being written; any by default.
    """
    for path in folder.glob(f".{glob.escape(name) if name else '*'}.{_TEMPORARY}*"):
        if name and path.name.startswith(f".{name}.{_OLD}") and (path / name).exists() and not (folder / name).exists():
            (path / name).replace(folder / name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, names: Iterable[str]) -> None:
    """Write the SHA-256 of these files into the manifest of their folder."""
    write_json(folder / MANIFEST, {name: sha256(folder / name) for name in names})


def check_bundle(folder: Path) -> None:
    """Raise a ``BundleError`` unless the folder exists and looks like a bundle."""
    if not folder.exists():
        raise BundleError(f"{folder}: no such bundle")
    if not (folder / "config.json").is_file() or not (folder / MANIFEST).is_file():
        raise BundleError(f"{folder} is not a jointune bundle: config.json or {MANIFEST} is missing")


def check_format(folder: Path, description: Mapping[str, Any], known: int) -> None:
    """Raise a ``BundleError`` if a bundle or an export has a newer format than this jointune can read.

    Args:
        folder: the bundle or export.
        description: its ``format`` and the ``jointune_version`` that wrote it.
        known: the newest format that can be read.
    """
    if description["format"] > known:
        raise BundleError(
            f"{folder} has the format {description['format']}, written by jointune "
            f"{description.get('jointune_version')}; this is {__version__}, which reads up to {known}",
            "update jointune: git pull in its clone, and install it again",
        )


def check_manifest(folder: Path, names: Iterable[str], whole: str, since: str, deletable: str) -> None:
    """Raise a ``BundleError`` if one of these files is missing or was altered after ``since``, such as training.

    Other files of the manifest are checked too; only the ``deletable`` one may be missing.
    """
    manifest = read_json(folder / MANIFEST, whole)
    if not isinstance(manifest, dict) or not all(map(_is_plain_name, manifest)):
        raise BundleError(f"{folder}: {MANIFEST} was altered after {since}", f"copy the whole {whole} again")
    others = (name for name in manifest if name != deletable or os.path.lexists(folder / name))
    for name in dict.fromkeys((*names, *others)):
        if sha256(member(folder, name, whole)) != manifest.get(name):
            raise BundleError(
                f"{folder}: {name} was altered after {since} (its SHA-256 differs)", f"copy the {whole} again"
            )


def member(folder: Path, name: str, whole: str) -> Path:
    """Return the path of a file of a bundle or an export.

    Raises:
        BundleError: it is missing, or a link to another file, a device or a pipe.
    """
    path, home = folder / name, folder.resolve()
    try:
        target = path.resolve(strict=True)
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(f"{folder}: {name} is missing", f"copy the whole {whole} again") from None
    except (OSError, RuntimeError) as reason:  # a link to itself
        raise BundleError(f"{path} is not readable: {reason}", f"copy the whole {whole} again") from reason
    # In the cache of the hub's client, files are links to blobs beside the snapshots.
    in_cache = home.parent.name == "snapshots" and target.parent == home.parent.parent / "blobs"
    if not stat.S_ISREG(mode) or not (target == home / name or in_cache):
        raise BundleError(
            f"{path} is a link, a device or a folder, not a file of the {whole}",
            f"copy the {whole} with its files themselves (cp -rL), if you trust where it links to",
        )
    return path


def _is_plain_name(name: str) -> bool:
    return name not in ("", ".", "..", MANIFEST) and not set(name) & set("/\\:\0")


def _flush(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    # The only way to read it is to set it: for an instant, it is 0.
    current = os.umask(0)
    os.umask(current)
    return current


def why(reason: OSError) -> str:
    """Return the cause of an error of the file system, in a few words."""
    if reason.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    if reason.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "permission denied"
    return reason.strerror or str(reason)


def read_json(path: Path, whole: str = "folder") -> Any:
    """Read a JSON file of a bundle or an export.

    Raises:
        BundleError: it is missing or not JSON.
    """
    with clear_read_errors(path, whole):
        return json.loads(read_text(path, whole))


def read_text(path: Path, whole: str = "folder") -> str:
    """Read a text file of a bundle or an export.

    Raises:
        BundleError: it is missing, not a file of the folder, or larger than any such file should be.
    """
    with clear_read_errors(path, whole), open(member(path.parent, path.name, whole), "rb") as file:
        content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES >> 20} MiB")
        return content.decode("utf-8")


@contextmanager
def clear_read_errors(path: Path, whole: str) -> Iterator[None]:
    """Turn errors of reading into a ``BundleError`` that names ``path``."""
    try:
        yield
    except (OSError, ValueError, RecursionError) as reason:
        raise BundleError(f"{path} is not readable: {reason}", f"copy the whole {whole} again") from reason


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that people can read too."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
