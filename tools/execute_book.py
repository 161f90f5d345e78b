"""Execute the chapters, longest first, into the cache from which the book is built.

python tools/execute_book.py --jobs 2                            # those that the cache lacks
python tools/execute_book.py --jobs 1 --again 04_training_a_vae  # one anew, with all cores

The kernels get ``CVAE_FRAMES``, so that sliders over figures become pictures drawn beforehand
(cvae_lib/widgets.py): at smoke scale of 2 values of each, else of all that the chapter names.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import yaml
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution

ROOT = Path(__file__).resolve().parent.parent
# a kernel else warns that it speaks plain text with this process
run = partial(single_nb_execution, allow_errors=False, extra_arguments=["--log-level=ERROR"])


def length(path: Path) -> float:
    """Seconds that a chapter took when last recorded; infinitely many if it never was."""
    record = ROOT / "cvae_lib" / "records" / "chapters" / f"{path.stem}-cpu.json"
    return json.loads(record.read_text("utf-8"))["seconds"] if record.exists() else float("inf")


def commit() -> str:
    """The commit of the tree, "… with changes" if it was changed; "unknown" outside a checkout."""
    command = ["git", "describe", "--always", "--abbrev=10", "--exclude=*", "--dirty= with changes"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except OSError:  # no git
        return "unknown"
    return done.stdout.strip() or "unknown"


def origin() -> dict[str, str]:
    """Where outputs come from, as tools/provenance.py writes it at the foot of a chapter."""
    from cvae_lib import __version__, records, scale  # read OMP_NUM_THREADS, which main sets

    return {
        "version": __version__,
        "commit": commit(),
        "scale": scale.choose_scale().name,
        "hardware": records.hardware(),
    }


def execute(paths: list[Path], jobs: int, again: bool, timeout: int, cache: Any) -> bool:
    """Execute notebooks, ``jobs`` at a time, and cache them; True if none of them failed."""
    known = {record.hashkey for record in cache.list_cache_records()}
    pool, running, sound = ThreadPoolExecutor(jobs), {}, True
    about: dict[str, str] = {}
    for path in sorted(paths, key=length, reverse=True):
        notebook = nbformat.read(path, 4)
        if again or cache.create_hashed_notebook(notebook)[1] not in known:
            about = about or origin()
            running[pool.submit(run, notebook, str(path.parent), timeout)] = path
    for done in as_completed(running):
        path, error = running[done], done.exception() or done.result().err
        if error:
            sound = False
            print(f"{path.name}: {type(error).__name__}\n{error}", file=sys.stderr, flush=True)
        else:
            data = {"execution_seconds": done.result().time, "jobs": jobs, **about}
            bundle = CacheBundleIn(done.result().nb, str(path), data=data)
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            print(f"{path.stem}: {done.result().time:.0f} s", flush=True)
    return sound


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("chapters", nargs="*", default=["[0-9]*"], help="all of them if none")
    parser.add_argument("--jobs", type=int, default=2, help="chapters at a time; they share cores")
    parser.add_argument("--again", action="store_true", help="also those that the cache has")
    given = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a busy machine then costs less
    os.environ["CVAE_FRAMES"] = "2" if os.environ.get("CVAE_SCALE") == "smoke" else "99"
    if given.jobs > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // given.jobs)))
    paths = [path for name in given.chapters for path in (ROOT / "book").glob(f"{name}.ipynb")]
    if len(paths) < len(given.chapters):
        parser.error(f"not all of {', '.join(given.chapters)} are chapters in {ROOT / 'book'}")
    timeout = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["execute"]["timeout"]
    cache = get_cache(ROOT / "_build" / ".jupyter_cache")
    try:
        sys.exit(not execute(paths, given.jobs, given.again, timeout, cache))
    except KeyboardInterrupt:
        os._exit(130)  # the kernels end with this process; to wait would finish their chapters


if __name__ == "__main__":
    main()
