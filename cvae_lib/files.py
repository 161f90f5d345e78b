"""Files: where they belong, and writing and fetching them wholly or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path

TIMEOUT = 30.0  # seconds that a server may be silent


class DataError(Exception):
    """A data file is missing or is not what its name says; the message names it and the remedy."""


def user_path(path: str | Path) -> Path:
    """Return ``path`` with a leading ``~`` or ``~name`` expanded; OSError if that is no folder."""
    if (found := os.path.expanduser(path)).startswith("~"):
        raise OSError(f"{path}: no home folder is known; want a path without ~")
    return Path(found)


def cache_root() -> Path:
    """Return this library's folder in ``$XDG_CACHE_HOME`` or ``~/.cache``, else a temporary one."""
    with contextlib.suppress(OSError):
        folder = user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "cvae_lib"
        folder.mkdir(parents=True, exist_ok=True)
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
        text = f"cannot write {path} ({error.strerror or error}): make room or choose another place"
        raise OSError(text) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def fetch(url: str, path: Path, sha256: str, progress: bool = False) -> None:
    """Download ``url`` to ``path``, unless a file with that SHA-256 is there; OSError if it fails.

    Until what came is whole and verified, ``path`` is what it was.
    """
    import pooch  # half a second to import: for downloads alone

    pooch.get_logger().setLevel("WARNING")  # else it tells of each download
    download = pooch.HTTPDownloader(progress, timeout=TIMEOUT)
    try:
        pooch.retrieve(url, f"sha256:{sha256}", path.name, path.parent, downloader=download)
    except ValueError as error:
        text = "what came has another SHA-256 than what was published: try again"
        raise OSError(text) from error


def find_weights(
    name: str, chosen: str | Path | None, variable: str, cache: str, url: str, sha: str, size: str
) -> Path:
    """The file of a network's weights: ``chosen``, else what ``$variable`` names, else ``cache``.

    Into the last, ``url`` (of ``size``, for a message) is fetched unless a file with the SHA-256
    ``sha`` is there. FileNotFoundError, with the remedy, if there is no such file.
    """
    if given := chosen or os.environ.get(variable):
        if os.path.isfile(path := os.path.expanduser(given)):
            return Path(path)
        raise FileNotFoundError(f"{given} is no file: want {name}'s in weights= or ${variable}")
    try:
        fetch(url, user_path(cache), sha)
        return user_path(cache)
    except OSError as error:
        raise FileNotFoundError(
            f"no sound {name} weights at {os.path.expanduser(cache)}, and no download ({error}). "
            f"Get {url} ({size}) on another machine and put it there, or name it in ${variable}"
        ) from error
