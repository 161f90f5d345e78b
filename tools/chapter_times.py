"""Keep how long the chapters took and write it into their first boxes; `make times` calls it.

    python tools/chapter_times.py
    python tools/chapter_times.py OUT/chapters.json

The execution cache knows the seconds of a chapter that was executed alone, OUT/chapters.json of
benchmarks/gpu.sh those on a GPU. Of the line `**Time** 40 minutes to read; code: …` what follows
"code: " is written: from the records of scales cpu and gpu.
"""

from __future__ import annotations

import argparse
import json
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
    there = f"; {clock(gpu['seconds'])} on a GPU ({machine(gpu)})." if gpu else None
    return time + (there or ", not measured on a GPU.")


def machine(run: dict[str, Any]) -> str:
    """What a chapter ran on, and whether other chapters ran there beside it."""
    busy = run.get("at_once", 1)
    return run["hardware"] + (f", {busy} chapters at a time" if busy > 1 else "")


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


def keep_from_gpu(path: Path) -> None:
    """Record the times of the chapters that gpu.sh ran to their end; an error for a rehearsal."""
    told = json.loads(path.read_text("utf-8"))
    if (told["scale"], told["device"]) != ("gpu", "cuda"):
        raise SystemExit(f"{path} is of scale {told['scale']} on {told['device']}, not on a GPU")
    keys = ("scale", "device", "at_once", "library_commit", "hardware", "torch")
    about = {key: told[key] for key in keys}
    for name, found in told["chapters"].items():
        if "seconds" in found:
            run = {"chapter": name, "seconds": found["seconds"], **about}
            write_run(EXPERIMENT, f"{name}-gpu", run)
        else:
            print(f"{name} stopped: {found['stopped']}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("gpu", nargs="?", type=Path, help="chapters.json of benchmarks/gpu.sh")
    if measured := parser.parse_args(arguments).gpu:
        keep_from_gpu(measured)
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
