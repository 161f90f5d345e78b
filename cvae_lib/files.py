"""Files: where they belong; writing, fetching, and building arrays wholly or not at all."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from tqdm import tqdm

TIMEOUT = 30.0  # seconds that a server may be silent
Work = Callable[[Any], tuple[np.ndarray, Any]]  # some items → their rows, and a note


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
        raise OSError("what came has another SHA-256 than was published: try again") from error


def find_weights(name: str, variable: str, cache: str, url: str, sha: str, size: str) -> Path:
    """The file of a network's weights: what ``$variable`` names, else ``cache``.

    Into the latter, ``url`` (of ``size``, for a message) is fetched unless a file with the SHA-256
    ``sha`` is there. FileNotFoundError, with the remedy, if there is no such file.
    """
    if given := os.environ.get(variable):
        if os.path.isfile(path := os.path.expanduser(given)):
            return Path(path)
        raise FileNotFoundError(f"{given} is no file: want {name}'s weights in ${variable}")
    try:
        fetch(url, user_path(cache), sha)
        return user_path(cache)
    except OSError as error:
        raise FileNotFoundError(
            f"no sound {name} weights at {os.path.expanduser(cache)}, and no download ({error}). "
            f"Get {url} ({size}) on another machine and put it there, or name it in ${variable}"
        ) from error


def cached_array(
    path: Path, key: Any, row: np.dtype, work: Work, items: Sequence[Any], chunk: int, bar: str = ""
) -> tuple[np.ndarray, list[Any]]:
    """Return an array as a read-only memory map, and a note on each chunk of items.

    An item has no row, one or several. It lies in ``PATH-HASH.raw``; HASH is of ``key``, all that
    it is built from (JSON). A killed build goes on behind its last chunk. ``bar`` is what a bar
    counts. DataError for altered files.
    """
    hashed = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    path = path.with_name(f"{path.name}-{hashed[:16]}.raw")
    manifest = path.with_suffix(".json")
    if not manifest.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.stem}.lock")):
            if not manifest.exists():
                _build(path, row, work, items, chunk, bar)
    try:
        counts, notes = json.loads(manifest.read_bytes())
        whole = np.memmap(path, row.base, "r") if sum(counts) else np.empty(0, row.base)
        return whole.reshape(sum(counts), *row.shape), notes
    except (FileNotFoundError, ValueError, TypeError):
        remedy = "move both elsewhere, and they are built anew"
        raise DataError(f"{path} or its .json is not as it was written: {remedy}") from None


def _build(
    path: Path, row: np.dtype, work: Work, items: Sequence[Any], chunk: int, bar: str
) -> None:
    """Append chunk by chunk to ``path``; beside it stand how many rows each has, and its note."""
    part = path.with_suffix(".part")
    if not (part.exists() and path.exists()):
        path.write_bytes(b"")
        write_atomically(part, b"[[], []]")
    counts, notes = about = json.loads(part.read_bytes())
    done = chunk * len(notes)
    progress = tqdm(total=len(items), initial=done, unit=f" {bar}", disable=not bar)
    with path.open("r+b") as file, progress:
        file.seek(sum(counts) * row.itemsize)
        file.truncate()
        for start in range(done, len(items), chunk):
            rows, note = work(items[start : start + chunk])
            file.write(np.ascontiguousarray(rows, row.base).data)
            file.flush()
            os.fsync(file.fileno())
            counts.append(len(rows))
            notes.append(note)
            write_atomically(part, json.dumps(about).encode())
            progress.update(min(chunk, len(items) - start))
    part.replace(path.with_suffix(".json"))
