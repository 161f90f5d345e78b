"""Arrays that are built once, in chunks, and from then on opened as memory maps."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from cvae_lib.files import DataError, write_atomically

FORMAT = "cvae_lib array 1"
ARRAY, JOURNAL, MANIFEST = "array.npy", "journal", "manifest.json"

Chunks = Callable[[int], Iterator[tuple[np.ndarray, Any]]]


def cached_array(
    folder: Path, name: str, key: dict[str, Any], row: tuple[int, ...], dtype: type, make: Chunks
) -> tuple[np.ndarray, list[Any]]:
    """Return an array as a read-only memory map, and the note of each of its chunks.

    It lies in ``folder/NAME-HASH``, where HASH stands for ``key``: another key, another place, and
    both stay valid. What is not there is built in a folder beside it and renamed when it is
    complete. A build that was killed goes on behind the last chunk it finished; a second process
    waits for the first.

    Args:
        key: what the array is built from (JSON).
        row: the shape of one row.
        make: called with the number of finished chunks, yields each of the others in order: its
            rows, any number of them, and a note (JSON).

    Raises:
        DataError: if the array does not fit its manifest. The content is hashed again only where
            the file's time stamp differs from the one in the manifest.
    """
    path = folder / f"{name}-{sha256(json.dumps(key, sort_keys=True).encode())[:16]}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{path.name}.lock"):
            if not path.exists():
                part = folder / f"{path.name}.part"
                _build(part, key, row, np.dtype(dtype), make)
                os.replace(part, path)
                (path / JOURNAL).unlink()
    return _open(path, key, row, np.dtype(dtype))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _build(
    part: Path, key: dict[str, Any], row: tuple[int, ...], dtype: np.dtype, make: Chunks
) -> None:
    part.mkdir(exist_ok=True)
    with (part / ARRAY).open("a+b") as array, (part / JOURNAL).open("a+b") as journal:
        done = _finished(array, journal, len(_header((0, *row), dtype)), _bytes(row, dtype))
        for rows, note in make(len(done)):
            content = np.ascontiguousarray(rows, dtype).tobytes()
            done.append({"rows": len(rows), "sha256": sha256(content), "note": note})
            _append(array, content)
            _append(journal, json.dumps(done[-1]).encode() + b"\n")  # after what it vouches for
    with (part / ARRAY).open("r+b") as array:
        array.write(_header((sum(chunk["rows"] for chunk in done), *row), dtype))
        os.fsync(array.fileno())
    manifest = {"format": FORMAT, "key": key, "chunks": done}
    _write_manifest(part, manifest)


def _finished(array: Any, journal: Any, start: int, row_bytes: int) -> list[dict[str, Any]]:
    """The chunks that are wholly on the disk; what lies behind them is cut off."""
    size = array.seek(0, os.SEEK_END)
    done: list[dict[str, Any]] = []
    end, told = start, 0
    journal.seek(0)
    for line in journal:
        try:
            chunk = json.loads(line)
            end_of_chunk = end + chunk["rows"] * row_bytes
        except (ValueError, KeyError, TypeError):
            break
        if not line.endswith(b"\n") or end_of_chunk > size:
            break
        done.append(chunk)
        end, told = end_of_chunk, told + len(line)
    array.truncate(end)  # a new file becomes a place for the header
    journal.truncate(told)
    return done


def _append(file: Any, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """The head of an .npy file; its length does not depend on the number of rows."""
    content = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue()


def _bytes(row: tuple[int, ...], dtype: np.dtype) -> int:
    return int(np.prod(row)) * dtype.itemsize


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    stamp = (folder / ARRAY).stat().st_mtime_ns
    write_atomically(folder / MANIFEST, json.dumps({**manifest, "mtime_ns": stamp}).encode())


def _open(
    folder: Path, key: dict[str, Any], row: tuple[int, ...], dtype: np.dtype
) -> tuple[np.ndarray, list[Any]]:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        chunks = manifest["chunks"]
        array = np.load(folder / ARRAY, mmap_mode="r", allow_pickle=False)
        shape = (sum(chunk["rows"] for chunk in chunks), *row)
        fits = (manifest["format"], manifest["key"]) == (FORMAT, key)
        fits = fits and (array.shape, array.dtype) == (shape, dtype)
        if fits and (folder / ARRAY).stat().st_mtime_ns != manifest["mtime_ns"]:
            fits = _intact(array, chunks)
            with contextlib.suppress(OSError):  # a copy: hash it once
                if fits:
                    _write_manifest(folder, manifest)
    except (FileNotFoundError, ValueError, KeyError, TypeError, EOFError):
        fits = False
    if not fits:
        raise DataError(
            f"{folder} was altered or cut off after it was written: delete it, and it is built anew"
        )
    return array, [chunk["note"] for chunk in chunks]


def _intact(array: np.ndarray, chunks: list[dict[str, Any]]) -> bool:
    start = 0
    for chunk in chunks:
        if sha256(array[start : start + chunk["rows"]].tobytes()) != chunk["sha256"]:
            return False
        start += chunk["rows"]
    return True
