"""Empty the book's execution cache when something that the chapters stand on has changed.

jupyter-cache keys a notebook on its code cells alone. A changed library, changed weights, another
scale or other data would leave stale pictures in the book. `make book` calls this first.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = ".library-hash"
STALE = (".jupyter_cache", ".doctrees", "jupyter_execute")
ENVIRONMENT = ("CVAE_SCALE", "CVAE_DATA")


def fingerprint(root: Path, also: Iterable[Path] = ()) -> str:
    """SHA-256 of library, shipped weights, records, scale and `also` (missing file: empty)."""
    library = root / "cvae_lib"
    files = sorted(library.rglob("*.py")) + sorted((library / "pretrained").glob("*"))
    # no chapter reads how long the chapters take
    files += sorted(set(library.glob("records/*/*")) - set(library.glob("records/chapters/*")))
    digest = hashlib.sha256()
    for path in [*dict.fromkeys(files), *also]:
        content = path.read_bytes() if path.is_file() else b""
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    for variable in ENVIRONMENT:
        digest.update(f"{variable}={os.environ.get(variable, '')}\0".encode())
    return digest.hexdigest()


def refresh(root: Path, also: Iterable[Path] = ()) -> bool:
    """Remove the caches under `root/_build` if the fingerprint differs; True if it did."""
    build = root / "_build"
    stamp = build / STAMP
    now = fingerprint(root, also)
    if stamp.is_file() and stamp.read_text(encoding="ascii") == now:
        return False
    for name in STALE:
        shutil.rmtree(build / name, ignore_errors=True)
    build.mkdir(exist_ok=True)
    stamp.write_text(now, encoding="ascii")
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository")
    parser.add_argument("--also", type=Path, action="append", default=[], help="a file to hash too")
    arguments = parser.parse_args()
    if refresh(arguments.root.resolve(), [path.resolve() for path in arguments.also]):
        print("The library, its weights, the scale or the data changed: every chapter runs anew.")


if __name__ == "__main__":
    main()
