"""Keep how long the chapters took and write it into their first boxes; `make times` calls it.

    python tools/chapter_times.py

The execution cache knows the seconds of a chapter that was executed alone. Of the line `**Time** 40
minutes to read; code: …` what follows "code: " is written: from the records of scales cpu and gpu.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import torch
from jupyter_cache import get_cache

from cvae_lib import records
from cvae_lib.scale import choose_scale

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))
from arms import origin, write_run  # noqa: E402

EXPERIMENT = "chapters"
# as the line stands in a notebook's JSON: up to the escape or the quote that ends it
LINE = re.compile(r'(\*\*Time\*\* \d+ minutes to read; code: )([^"\\]*)')


def clock(seconds: float) -> str:
    """153.4 → "2 min 33 s"."""
    minutes, rest = divmod(max(1, round(seconds)), 60)
    return " ".join([f"{minutes} min"] * bool(minutes) + [f"{rest} s"] * bool(rest))


def code_time(chapter: str, runs: Iterable[dict[str, Any]]) -> str:
    """What follows "code: " in a chapter's line, given all records."""
    measured = {(run["scale"], run["device"]): run for run in runs if run["chapter"] == chapter}
    if ("cpu", "cpu") not in measured:
        return "not measured yet."
    cpu, gpu = measured["cpu", "cpu"], measured.get(("gpu", "cuda"))
    cores, name = cpu["threads"], cpu["hardware"].rpartition(",")[0]
    time = f"{clock(cpu['seconds'])} on {cores} CPU core{'s' if cores > 1 else ''} ({name})"
    there = f"; {clock(gpu['seconds'])} on a GPU ({gpu['hardware']})." if gpu else None
    return time + (there or ", not measured on a GPU.")


def kept() -> list[dict[str, Any]]:
    """The records of all chapters; none before the first `make times`."""
    return records.runs(EXPERIMENT) if EXPERIMENT in records.experiments() else []


def keep(path: Path, cache: Any) -> None:
    """Record a chapter's time, if the cache has it from an execution alone; else KeyError."""
    found = cache.match_cache_notebook(nbformat.read(path, 4))
    if found.data["jobs"] == 1:
        scale = choose_scale()
        result = {
            "chapter": path.stem,
            "scale": scale.name,
            "seconds": round(found.data["execution_seconds"], 1),
            "device": scale.device.type,
            "threads": torch.get_num_threads(),
            **origin(),
        }
        write_run(EXPERIMENT, f"{path.stem}-{scale.name}", result)


def main() -> None:
    cache = get_cache(ROOT / "_build" / ".jupyter_cache")
    for path in sorted((ROOT / "book").glob("[0-9]*.ipynb")):
        with suppress(KeyError):  # not executed
            keep(path, cache)
        before = path.read_text(encoding="utf-8")
        time = code_time(path.stem, kept())
        after, count = LINE.subn(rf"\g<1>{time}", before)
        if count != 1:
            raise SystemExit(f"{path.name} has {count} lines '**Time** … minutes to read; code: …'")
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{path.name}: {time}")


if __name__ == "__main__":
    main()
