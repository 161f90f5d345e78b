"""Arrays that are built once, in chunks, and from then on opened as memory maps."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from cvae_lib.files import DataError, write_atomically

Work = Callable[[Any], tuple[np.ndarray, Any]]


def cached_array(
    path: Path, key: dict[str, Any], row: np.dtype, work: Work, chunks: Sequence[Any], bar: str = ""
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return an array as a read-only memory map, and the "sha256" and "notes" of its chunks.

    It lies in ``PATH-HASH.npy``, where HASH stands for ``key``, all that it is built from (JSON).
    ``work`` turns each of ``chunks``, some items, into as many rows or fewer, and a note (JSON). A
    build that was killed goes on behind its last chunk; a second process waits for the first.
    ``bar`` is what a progress bar counts. DataError for files that are not as they were written.
    """
    hashed = sha256(json.dumps(key, sort_keys=True).encode())[:16]
    path = path.with_name(f"{path.name}-{hashed}.npy")
    manifest = path.with_suffix(".json")
    if not manifest.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.stem}.lock")):
            if not manifest.exists():
                _build(path, row, work, chunks, bar)
    try:
        about: dict[str, Any] = json.loads(manifest.read_bytes())
        array = np.load(path, mmap_mode="r")
        if (array.dtype, array.shape) == (row.base, (sum(map(len, chunks)), *row.shape)):
            return array[: about["rows"]], about
    except (FileNotFoundError, ValueError, KeyError, TypeError, EOFError):
        pass
    raise DataError(
        f"{path} or {manifest.name} beside it is not as it was written: move both elsewhere, "
        "and they are built anew"
    )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _build(path: Path, row: np.dtype, work: Work, chunks: Sequence[Any], bar: str) -> None:
    """Append chunk by chunk to ``path``; beside it stands what is known of those that are there."""
    part, count = path.with_suffix(".part"), sum(map(len, chunks))
    going_on = part.exists() and path.exists()
    about: dict[str, Any] = {"rows": 0, "sha256": [], "notes": []}
    about = json.loads(part.read_bytes()) if going_on else about
    done = len(about["notes"])
    header = {"descr": row.base.str, "fortran_order": False, "shape": (count, *row.shape)}
    progress = tqdm(total=count, unit=f" {bar}", disable=not bar)
    with path.open("r+b" if going_on else "wb") as file, progress:
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        file.truncate(start + count * row.itemsize)  # also if there will be fewer rows
        progress.update(sum(map(len, chunks[:done])))
        for chunk in chunks[done:]:
            rows, note = work(chunk)
            content = np.ascontiguousarray(rows, row.base).tobytes()
            file.seek(start + about["rows"] * row.itemsize)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            about["rows"] += len(rows)
            about["sha256"].append(sha256(content))
            about["notes"].append(note)
            write_atomically(part, json.dumps(about).encode())
            progress.update(len(chunk))
    about["sha256"] = sha256("".join(about["sha256"]).encode())
    write_atomically(path.with_suffix(".json"), json.dumps(about).encode())
    part.unlink(missing_ok=True)
