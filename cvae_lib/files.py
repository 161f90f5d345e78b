"""Files: where they belong, and writing and downloading them wholly or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

TIMEOUT = 30.0  # seconds that a server may be silent


class DataError(Exception):
    """A data file is missing or is not what its name says; the message names it and the remedy."""


def user_path(path: str | Path) -> Path:
    """Return ``path`` with a leading ``~`` or ``~name`` expanded; OSError if that is no folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise OSError(f"{path}: no home folder is known; want a path without ~") from error


def cache_root() -> Path:
    """Return this library's folder in ``$XDG_CACHE_HOME`` or ``~/.cache``, else a temporary one."""
    with contextlib.suppress(OSError):
        folder = user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "cvae_lib"
        near = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        needed = os.R_OK if near == folder else os.W_OK  # an absent one must be made
        if near.is_dir() and os.access(near, needed | os.X_OK):
            return folder
    user = getattr(os, "getuid", lambda: 0)()  # Windows has none, and a home for everybody
    return Path(tempfile.gettempdir()) / f"cvae_lib-{user}"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``; OSError if the disk refuses, and the old file is intact."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(
            f"cannot write {path} ({error.strerror or error}): make room or choose another place; "
            "an earlier file there is intact"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def fetch(url: str, path: Path, sha256: str, progress: bool = False) -> None:
    """Download ``url`` to ``path``, unless a file with that SHA-256 is there.

    Until it is whole and verified it is ``PATH.part``, with which a later call goes on. OSError if
    it cannot be had or kept, or if something else came.
    """
    if _is_sound(path, sha256):
        return
    path.parent.mkdir(parents=True, exist_ok=True)  # no download for what cannot be kept
    part = path.with_name(f"{path.name}.part")
    with FileLock(path.with_name(f".{path.name}.lock")):
        if _is_sound(path, sha256):  # another process was faster
            return
        try:
            _append(url, part, progress)
        except http.client.HTTPException as error:
            raise OSError(repr(error)) from error
        if not _is_sound(part, sha256):
            part.unlink()
            raise OSError("what came has another SHA-256 than what was published: try again")
        part.replace(path)


def _append(url: str, part: Path, progress: bool) -> None:
    """Append to ``part`` what it lacks; begin anew if the server cannot go on."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # there is no more
            return
        raise
    with answer, part.open("ab") as file:
        have = have if answer.status == 206 else file.truncate(0)
        whole = have + (answer.length or 0)
        with tqdm.wrapattr(answer, "read", whole, initial=have, disable=not progress) as reading:
            shutil.copyfileobj(reading, file)
        if answer.length:
            raise OSError(f"cut off after {whole - answer.length:,} of {whole:,} bytes")


def _is_sound(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == sha256
