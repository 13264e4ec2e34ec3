"""Writing files so that they appear whole or not at all, and never over something a user made."""

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from jointune import __version__
from jointune.errors import BundleError, OutputError, setting

BUNDLE_MARK = "training_log.jsonl"
"""The file by which to know a bundle."""

COMPARISON_MARK = "comparison.json"
"""The file by which to know a comparison's folder."""

TUNING_MARK = "tuning.json"
"""The file by which to know a tuning's folder."""

EXPORT_MARK = "export.json"
"""The file by which to know an exported model."""

MANIFEST = "manifest.json"
"""The file in a bundle or an export with the SHA-256 of each file that decides probabilities."""


_UNFINISHED, _REPLACED = "jointune-unfinished-", "jointune-replaced-"
"""How the names of folders go on that are being written, and of those that make room."""

_MOST_BYTES = 256 << 20
"""Of a file of a bundle or an export that is read as text."""


def refuse_existing(path: Path, force: bool, mark: str | None = None, source: Path | None = None) -> None:
    """Refuse an output that exists, and one whose folder cannot be written, before any work is done.

    Args:
        path: the output.
        force: whether it may replace what an earlier run wrote.
        mark: for an output that is a folder, the file by which to know one of ours: no other folder is ever replaced.
        source: what the posts are read from, which is never replaced either.

    Raises:
        OutputError: ``path`` exists and may not be replaced, or its folder is read-only or no folder.
    """
    if path.exists():
        if source is not None and source.resolve().is_relative_to(path.resolve()):
            raise OutputError(f"{path} is or holds the posts themselves: choose another path")
        if not force:
            raise OutputError(
                f"{path} exists already: choose another path, or replace it with {setting('force', True)}"
            )
        ours = path.is_dir() and ((path / mark).exists() or not any(path.iterdir())) if mark else path.is_file()
        if not ours:
            raise OutputError(
                f"{path} holds something else, which {setting('force', True)} spares: choose another path"
            )
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError(f"{path} cannot be written: {folder} is a file, not a folder")
    # A probe file is the one test that also holds for root, read-only mounts and quotas.
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as reason:
        raise OutputError(f"{path} cannot be written: {_why(reason)}; choose another path") from reason


def refuse_taken(folder: Path, mark: str, resume: bool, force: bool) -> None:
    """Refuse the folder of long work that exists and is neither resumed nor replaced; see ``claim_folder``.

    Raises:
        OutputError: it is in the way, or cannot be written.
    """
    if not (resume and (folder / mark).exists()):
        empty = folder.is_dir() and not any(folder.iterdir())
        refuse_existing(folder, force or empty, mark)


def claim_folder(
    folder: Path,
    mark: str,
    about: dict[str, Any],
    same: Iterable[str],
    kind: str,
    clear: Callable[[Path], None],
    resume: bool,
    force: bool,
) -> None:
    """Begin the folder of long work, or see that it belongs to the same work.

    Args:
        folder: where the work keeps what it finished.
        mark: the file in it that says what the work is of, and by which to know a folder of this kind.
        about: what this work is of, as JSON values.
        same: the names in ``about`` that must agree for the work to go on.
        kind: of work, for messages.
        clear: removes what such work wrote.
        resume: whether to go on with what is there.
        force: whether to replace it.

    Raises:
        OutputError: the folder exists and is neither resumed nor replaced, or is of other work.
    """
    if resume and (folder / mark).exists():
        found = json.loads((folder / mark).read_text(encoding="utf-8"))
        wanted = json.loads(json.dumps(about))
        differing = [name for name in same if found.get(name) != wanted[name]]
        refuse_other(folder, kind, differing)
        return
    refuse_taken(folder, mark, resume, force)
    if folder.exists() and any(folder.iterdir()):
        clear(folder)
    with atomic_file(folder / mark) as path:
        write_json(path, about)


def refuse_other(folder: Path, kind: str, differing: Sequence[str]) -> None:
    """Refuse to go on with work of which something differs.

    Raises:
        OutputError: ``differing`` names it.
    """
    if "format" in differing:
        raise OutputError(
            f"{folder} holds a {kind} by another version of jointune, which does not all do as this one: go on with "
            f"that version, choose another path, or replace it with {setting('force', True)}"
        )
    if differing:
        raise OutputError(
            f"{folder} holds a {kind} with other {' and '.join(differing)}: resume with the same, choose another "
            f"path, or replace it with {setting('force', True)}"
        )


@contextmanager
def clear_write_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a lost permission and their like into one clear error that names ``path``."""
    try:
        yield
    except OSError as reason:
        raise OutputError(f"{path} could not be written: {_why(reason)}; nothing was left half-written") from reason


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the name ``path`` when the block ends without an error."""
    with clear_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
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
        _remove_abandoned(path)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.{_UNFINISHED}", dir=path.parent))
        # Held as long as the process lives, whatever ends it.
        lock = os.open(temporary, os.O_RDONLY) if fcntl else None
        try:
            if lock is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    file.chmod(0o666 & ~_umask())  # some libraries write for their own user alone
                    _flush(file)
            temporary.chmod(0o777 & ~_umask())
            if path.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{path.name}.{_REPLACED}", dir=path.parent))
                path.replace(old / path.name)
                temporary.replace(path)
                shutil.rmtree(old, ignore_errors=True)
            else:
                temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            if lock is not None:
                os.close(lock)


def _remove_abandoned(path: Path) -> None:
    """Remove what a process left beside ``path`` that was killed while it wrote it."""
    if not fcntl:
        return
    begin = f".{path.name}."
    for folder in path.parent.iterdir():
        unfinished = folder.name.startswith(begin + _UNFINISHED)
        replaced = folder.name.startswith(begin + _REPLACED) and path.exists()
        if not (unfinished or replaced) or folder.is_symlink() or not folder.is_dir():
            continue
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # somebody still writes there
            pass
        finally:
            os.close(handle)


def discard_folder(path: Path) -> None:
    """Remove a folder of ours, if it is there: it is gone at once and whole, whatever interrupts the cleaning up."""
    if path.exists():
        with clear_write_errors(path):
            shutil.rmtree(path.replace(path.with_name(f".{path.name}.{secrets.token_hex(4)}")), ignore_errors=True)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, names: Iterable[str]) -> None:
    """Write down the SHA-256 of these files in a folder."""
    write_json(folder / MANIFEST, {name: sha256(folder / name) for name in names})


def check_bundle(folder: Path) -> None:
    """See that a folder is there and looks like a bundle.

    Raises:
        BundleError: it is not, or does not.
    """
    if not folder.exists():
        raise BundleError(f"{folder}: no such bundle")
    if not (folder / "config.json").is_file() or not (folder / MANIFEST).is_file():
        raise BundleError(f"{folder} is not a jointune bundle: config.json or {MANIFEST} is missing")


def check_format(folder: Path, description: Mapping[str, Any], known: int) -> None:
    """See that this jointune can read what is described.

    Args:
        folder: a bundle or an export.
        description: its ``format`` and the ``jointune_version`` that wrote it.
        known: the newest format that can be read.

    Raises:
        BundleError: it is newer.
    """
    if description["format"] > known:
        raise BundleError(
            f"{folder} has the format {description['format']}, written by jointune "
            f"{description.get('jointune_version')}; this is {__version__}, which reads up to {known}: "
            "update jointune: git pull in its clone, and install it again"
        )


def check_manifest(folder: Path, names: Iterable[str], whole: str, since: str) -> None:
    """See that these files are as they were written.

    Args:
        folder: a bundle or an export.
        names: of the files.
        whole: what the folder is, for messages.
        since: after what it may not change, for messages.

    Raises:
        BundleError: one is missing or was altered.
    """
    manifest = read_json(folder / MANIFEST, whole)
    if not isinstance(manifest, dict) or not all(map(_is_plain_name, manifest)):
        raise BundleError(f"{folder}: {MANIFEST} was altered after {since}; copy the whole {whole} again")
    for name in (*names, *(name for name in manifest if name not in names)):
        if sha256(member(folder, name, whole)) != manifest.get(name):
            raise BundleError(
                f"{folder}: {name} was altered after {since} (its SHA-256 differs); copy the {whole} again"
            )


def member(folder: Path, name: str, whole: str) -> Path:
    """The path of a file of a bundle or an export, once it is a regular file of that folder and not too large to read.

    Args:
        folder: a bundle, an export, or their like.
        name: of the file.
        whole: what the folder is, for messages.

    Raises:
        BundleError: it is missing, or a link to another file, a device or a pipe.
    """
    path, home = folder / name, folder.resolve()
    try:
        target = path.resolve(strict=True)
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(f"{folder}: {name} is missing; copy the whole {whole} again") from None
    except (OSError, RuntimeError) as reason:  # a link to itself
        raise BundleError(f"{path} is not readable: {reason}; copy the whole {whole} again") from reason
    # In the cache of the hub's client, files are links to blobs beside the snapshots.
    in_cache = home.parent.name == "snapshots" and target.parent == home.parent.parent / "blobs"
    if not stat.S_ISREG(mode) or not (target == home / name or in_cache):
        raise BundleError(
            f"{path} is a link, a device or a folder, not a file of the {whole}: copy the {whole} with its files "
            "themselves (cp -rL), if you trust where it links to"
        )
    return path


def _is_plain_name(name: str) -> bool:
    return name not in ("", ".", "..", MANIFEST) and not set(name) & set("/\\:\0")


def _flush(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _why(reason: OSError) -> str:
    if reason.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    if reason.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "permission denied"
    return reason.strerror or str(reason)


def read_json(path: Path, whole: str = "folder") -> Any:
    """The value of a JSON file of a bundle or an export.

    Raises:
        BundleError: it is missing or no JSON.
    """
    with clear_read_errors(path, whole):
        return json.loads(read_text(path, whole))


def read_text(path: Path, whole: str = "folder") -> str:
    """The text of a file of a bundle or an export.

    Raises:
        BundleError: it is missing, no file of the folder, or larger than any such file should be.
    """
    with clear_read_errors(path, whole), open(member(path.parent, path.name, whole), "rb") as file:
        content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES >> 20} MiB")
        return content.decode("utf-8")


@contextmanager
def clear_read_errors(path: Path, whole: str) -> Iterator[None]:
    """Say which file of a bundle or an export cannot be read, and that the ``whole`` of it should be copied again."""
    try:
        yield
    except (OSError, ValueError, RecursionError) as reason:
        raise BundleError(f"{path} is not readable: {reason}; copy the whole {whole} again") from reason


def write_json(path: Path, value: Any) -> None:
    """A JSON file that people can read too."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
