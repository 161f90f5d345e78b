"""Write book/results.md anew from the records: every shipped model, every experiment.

    python tools/write_results.py

What the page says beside the numbers stands in benchmarks/: `EXPERIMENTS` of an experiment's
script, `tables` of pretrain.py.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import chapter_times  # which puts benchmarks/ on the path

from cvae_lib import records
from cvae_lib.pretrained import record
from cvae_lib.recipes import RECIPES

if TYPE_CHECKING:
    from arms import Columns, Experiment

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "book" / "results.md"
Row = dict[str, Any]


def page() -> str:
    """The whole page as Markdown; ValueError for records that nobody describes."""
    metadata = (ROOT / "pyproject.toml").read_text("utf-8")
    address = re.findall(r'^Repository = "(.*)"', metadata, re.MULTILINE)[0] + "/blob/main"
    scripts = [importlib.import_module(f.stem) for f in sorted((ROOT / "benchmarks").glob("*.py"))]
    described = {name: script for script in scripts for name in getattr(script, "EXPERIMENTS", {})}
    parts = [
        "# Results: every trained model and every experiment",
        "<!-- Written by tools/write_results.py (`make results`); do not edit. -->",
        "What the records of this book hold, with the command that makes each again. −ELBO, "
        "distortion and rate are in nats a picture, the squared error (SSE) is the sum over its "
        "pixels; the other measures are those of [Chapter 07](07_measuring_images.ipynb). A ± is a "
        "95 % confidence interval over seeds. An *arm* is one of the variants that an experiment "
        "compares; “seeds” says how many times it ran.",
    ]
    shipped = {name: record(name) for name in RECIPES}
    for text, rows, columns in importlib.import_module("pretrain").tables(shipped, address):
        parts += [text, table(label | cells([metrics], columns) for label, metrics in rows)]
    for name in sorted(set(records.experiments()) - {chapter_times.EXPERIMENT}):
        if name not in described:
            raise ValueError(f"experiment {name!r} has records and no script that describes it")
        parts += experiment(name, described[name], records.runs(name), address)
    if runs := chapter_times.kept():
        script = f"[script]({address}/tools/chapter_times.py)"
        parts += ["## How long the chapters run", f"`make times` ({script})"]
        parts.append(
            table(
                {
                    "chapter": f"[]({run['chapter']}.ipynb)",
                    "scale": f"`{run['scale']}`",
                    "time": run["seconds"],
                    "hardware": chapter_times.machine(run),
                }
                for run in runs
            )
        )
    return "\n\n".join(parts) + "\n"


def experiment(name: str, script: ModuleType, runs: list[Row], address: str) -> list[str]:
    """Title, text and table of one experiment."""
    entry: Experiment = script.EXPERIMENTS[name]
    file = f"benchmarks/{script.__name__}.py"
    records_at = f"{address.replace('/blob/', '/tree/')}/cvae_lib/records/{name}"
    about = entry.about
    if len(runs) > 1:
        seconds = sum(run["seconds"] for run in runs)
        time = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"
        time = "a minute" if seconds < 90 else time
        where = " and ".join(sorted({run["hardware"] for run in runs}))
        about += f" {len(runs)} runs took {time} in all ({where})."
    if "rows" in runs[0]:
        rows = [cells([row], entry.columns) for run in runs for row in run["rows"]]
    else:
        known = entry.arms or script.ARMS
        if unknown := {run["arm"] for run in runs} - set(known):
            raise ValueError(f"{entry.title!r} does not describe its arms {sorted(unknown)}")
        arms = {arm: [run["metrics"] for run in runs if run["arm"] == arm] for arm in known}
        rows = [
            {"arm": f"`{arm}`", "seeds": f"{len(metrics)}", **cells(metrics, entry.columns)}
            for arm, metrics in arms.items()
            if metrics
        ]
    described = [f"- {r['arm']}: {entry.arms[r['arm'].strip('`')]}" for r in rows if entry.arms]
    command = f"python {file} {entry.flags}".strip()
    sources = f"([script]({address}/{file}), [records]({records_at}))"
    parts = [f"## {entry.title}", about, f"`{command}` {sources}", "\n".join(described)]
    return [*filter(None, parts), table(rows)]


def cells(metrics: list[Any], columns: Columns) -> dict[str, str]:
    """The text of each column for one arm's runs: mean ± interval, or the one value, or –."""
    row = {}
    for heading, path in columns.items():
        keys = path.split(".")
        found = [
            functools.reduce(lambda at, key: (at or {}).get(key), keys, one) for one in metrics
        ]
        values: list[Any] = [value for value in found if value is not None]
        if values and len(values) < len(metrics):
            raise ValueError(f"{path!r} stands in {len(values)} of {len(metrics)} runs of an arm")
        text = records.interval(values) if len(values) > 1 else "".join(f"{v:.4g}" for v in values)
        row[heading] = str(text).replace("-", "−") or "–"
    return row


def table(rows: Iterable[Row]) -> str:
    """A Markdown table; ValueError for an empty column of numbers, as a misspelt one would be."""
    rows = list(rows)
    heads = list(rows[0])
    if empty := [head for head in heads if all(row[head] == "–" for row in rows)]:
        raise ValueError(f"no record has the numbers of {', '.join(empty)}")
    left = {"model", "hardware", "arm", "chapter", "scale", "$z$ from", "the text asks for"}
    lines = [heads, [":---" if head in left else "---:" for head in heads]]
    clock = {"time": chapter_times.clock}
    lines += [[clock.get(head, str)(row[head]) for head in heads] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    try:
        PAGE.write_text(page(), encoding="utf-8")
    except ValueError as error:
        sys.exit(f"write_results: {error}")
