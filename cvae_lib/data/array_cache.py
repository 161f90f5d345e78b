"""Arrays that are built once, in chunks, and from then on opened as memory maps."""

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

Work = Callable[[Any], tuple[np.ndarray, Any]]  # some items → as many rows or fewer, and a note


def cached_array(
    path: Path, key: Any, row: np.dtype, work: Work, items: Sequence[Any], chunk: int, bar: str = ""
) -> tuple[np.ndarray, list[Any]]:
    """Return an array as a read-only memory map, and a note on each chunk of items.

    It lies in ``PATH-HASH.npy``; HASH is of ``key``, all that it is built from (JSON). A killed
    build goes on behind its last chunk. ``bar`` is what a bar counts. DataError for altered files.
    """
    hashed = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    path = path.with_name(f"{path.name}-{hashed[:16]}.npy")
    manifest = path.with_suffix(".json")
    if not manifest.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.stem}.lock")):
            if not manifest.exists():
                _build(path, row, work, items, chunk, bar)
    try:
        counts, notes = json.loads(manifest.read_bytes())
        array = np.load(path, mmap_mode="r")
        if (array.dtype, array.shape) == (row.base, (len(items), *row.shape)):
            return array[: sum(counts)], notes
    except (FileNotFoundError, ValueError, TypeError, EOFError):
        pass
    remedy = "move both elsewhere, and they are built anew"
    raise DataError(f"{path} or its .json is not as it was written: {remedy}")


def _build(
    path: Path, row: np.dtype, work: Work, items: Sequence[Any], chunk: int, bar: str
) -> None:
    """Append chunk by chunk to ``path``; beside it stand how many rows each has, and its note."""
    part = path.with_suffix(".part")
    if not (part.exists() and path.exists()):  # as many rows as items: there may be fewer
        np.lib.format.open_memmap(path, "w+", row.base, (len(items), *row.shape))
        write_atomically(part, b"[[], []]")
    counts, notes = about = json.loads(part.read_bytes())
    done = chunk * len(notes)
    progress = tqdm(total=len(items), initial=done, unit=f" {bar}", disable=not bar)
    with path.open("r+b") as file, progress:
        file.seek(np.load(path, mmap_mode="r").offset + sum(counts) * row.itemsize)
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
