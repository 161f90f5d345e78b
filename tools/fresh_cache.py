"""Empty the book's execution cache when something that the chapters stand on has changed.

jupyter-cache keys a notebook on its code cells alone. A changed library, changed weights, another
scale or other pictures would leave stale pictures in the book. `make book` calls this first.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = ".library-hash"
STALE = (".jupyter_cache", ".doctrees", "jupyter_execute")


def fingerprint(root: Path) -> str:
    """SHA-256 of library, shipped pictures and weights, records, and scale."""
    library = root / "cvae_lib"
    files = sorted(library.rglob("*.py")) + sorted((library / "pretrained").glob("*"))
    files += sorted((library / "data" / "fashion-mnist").glob("*"))
    # no chapter reads how long the chapters take
    files += sorted(set(library.glob("records/*/*")) - set(library.glob("records/chapters/*")))
    digest = hashlib.sha256()
    for path in dict.fromkeys(files):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    digest.update(f"CVAE_SCALE={os.environ.get('CVAE_SCALE', '')}".encode())
    return digest.hexdigest()


def refresh(root: Path) -> bool:
    """Remove the caches under `root/_build` if the fingerprint differs; True if it did."""
    build = root / "_build"
    stamp = build / STAMP
    now = fingerprint(root)
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
    arguments = parser.parse_args()
    if refresh(arguments.root.resolve()):
        print("The library, its data or the scale changed: every chapter runs anew.")


if __name__ == "__main__":
    main()
