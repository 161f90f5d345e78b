"""Arrays that are built once, in chunks, and from then on opened as memory maps."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from cvae_lib.files import DataError, write_atomically

Chunks = Callable[[int], Iterator[tuple[np.ndarray, Any]]]


def cached_array(
    folder: Path, name: str, key: dict[str, Any], row: tuple[int, ...], dtype: type, make: Chunks
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return an array as a read-only memory map, and its manifest: "notes" and "sha256".

    It lies in ``folder/NAME-HASH.npy``, where HASH stands for ``key``, which is what the array is
    built from (JSON): another key, another file, and both stay valid. A build that was killed goes
    on behind the last chunk it finished; a second process waits for the first.

    Args:
        row: the shape of one row.
        make: called with the number of finished chunks, yields each of the others in order: its
            rows, any number of them, and a note (JSON).

    Raises:
        DataError: if the array is not of the size, shape and type that it was built with.
    """
    path = folder / f"{name}-{sha256(json.dumps(key, sort_keys=True).encode())[:16]}.npy"
    manifest, kind = path.with_suffix(".json"), np.dtype(dtype)
    if not manifest.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{path.stem}.lock"):
            if not manifest.exists():
                _build(path, row, kind, make)
    try:
        about: dict[str, Any] = json.loads(manifest.read_bytes())
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        fits = (path.stat().st_size, array.dtype) == (about["bytes"], kind)
        fits = fits and array.shape == (about["rows"], *row) and {"sha256", "notes"} <= about.keys()
    except (FileNotFoundError, ValueError, KeyError, TypeError, EOFError):
        fits = False
    if not fits:
        raise DataError(
            f"{path} or {manifest.name} beside it is not as it was written: move both elsewhere, "
            "and they are built anew"
        )
    return array, about


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _build(path: Path, row: tuple[int, ...], dtype: np.dtype, make: Chunks) -> None:
    """Write each chunk into a folder of its own, then all into ``path``, then the manifest."""
    part = path.with_suffix(".part")
    done = len(list(takewhile(Path.exists, (part / f"{i}.json" for i in count()))))
    for i, (rows, note) in enumerate(make(done), done):
        content = np.ascontiguousarray(rows, dtype).tobytes()
        write_atomically(part / f"{i}.rows", content)
        about = {"rows": len(rows), "sha256": sha256(content), "note": note}
        write_atomically(part / f"{i}.json", json.dumps(about).encode())  # what it vouches for is
        done = i + 1
    chunks = [json.loads((part / f"{i}.json").read_bytes()) for i in range(done)]
    total = sum(chunk["rows"] for chunk in chunks)
    descr = np.lib.format.dtype_to_descr(dtype)
    header = {"descr": descr, "fortran_order": False, "shape": (total, *row)}
    with (temporary := path.with_suffix(".tmp")).open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for i in range(done):
            file.write((part / f"{i}.rows").read_bytes())
        size = file.tell()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    whole = sha256("".join(chunk["sha256"] for chunk in chunks).encode())
    notes = [chunk["note"] for chunk in chunks]
    manifest = {"rows": total, "bytes": size, "sha256": whole, "notes": notes}
    write_atomically(path.with_suffix(".json"), json.dumps(manifest).encode())
    shutil.rmtree(part, ignore_errors=True)
