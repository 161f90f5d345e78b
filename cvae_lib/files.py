"""Files: where they belong, and writing them wholly or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


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
