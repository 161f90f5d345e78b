"""Write how long its code takes into each chapter's first box, from the records of `make times`.

    python tools/chapter_times.py

The line is `**Time** 40 minutes to read; code: …`; only what follows "code: " is written, from the
record at scale cpu of a run on a CPU, and that at scale gpu of a run on a GPU.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cvae_lib import records

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENT = "chapters"
UNMEASURED = "not measured yet."
# as the line stands in a notebook's JSON: up to the escape or the quote that ends it
LINE = re.compile(r'(\*\*Time\*\* \d+ minutes to read; code: )([^"\\]*)')


def clock(seconds: float) -> str:
    """153.4 → "2 min 33 s"."""
    minutes, rest = divmod(max(1, round(seconds)), 60)
    return " ".join([f"{minutes} min"] * bool(minutes) + [f"{rest} s"] * bool(rest))


def code_time(chapter: str, runs: Iterable[dict[str, Any]]) -> str:
    """What follows "code: " in a chapter's line, given all records."""
    measured = {(run["scale"], run["device"]): run for run in runs if run["chapter"] == chapter}
    cpu, gpu = measured.get(("cpu", "cpu")), measured.get(("gpu", "cuda"))
    if not cpu and not gpu:
        return UNMEASURED
    if cpu:
        cores, name = cpu["threads"], cpu["hardware"].rpartition(",")[0]
        cpu_time = f"{clock(cpu['seconds'])} on {cores} CPU core{'s' if cores > 1 else ''} ({name})"
    else:
        cpu_time = "not measured on a CPU"
    if not gpu:
        return f"{cpu_time}, not measured on a GPU."
    return f"{cpu_time}; {clock(gpu['seconds'])} on a GPU ({gpu['hardware']})."


def kept() -> list[dict[str, Any]]:
    """The records of all chapters; none before the first `make times`."""
    return records.runs(EXPERIMENT) if EXPERIMENT in records.experiments() else []


def main() -> None:
    runs = kept()
    for path in sorted((ROOT / "book").glob("[0-9]*.ipynb")):
        before = path.read_text(encoding="utf-8")
        time = code_time(path.stem, runs)
        after, count = LINE.subn(rf"\g<1>{time}", before)
        if count != 1:
            raise SystemExit(f"{path.name} has {count} lines '**Time** … minutes to read; code: …'")
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{path.name}: {time}")


if __name__ == "__main__":
    main()
