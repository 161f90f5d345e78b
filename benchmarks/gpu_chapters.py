"""The chapters at gpu scale, several at a time; what `benchmarks/gpu.py chapters` runs.

``CHAPTERS="05_concat_or_add 06_latent_space"`` chooses some, ``JOBS`` says how many run at a time.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from cvae_lib import records
from cvae_lib.scale import DIFFERS

BOOK = Path(__file__).resolve().parent.parent / "book"
SMOKE = ("02_reparameterization", "09_sentences_as_vectors")  # of the rehearsal
ONE_CHAPTER = 240  # seconds that it may take
SLOWEST = 3  # cells of each chapter whose seconds are told


def chosen(smoke: bool) -> list[Path]:
    """The notebooks to run, those first that took longest when last recorded on a CPU."""
    known = {path.stem: path for path in BOOK.glob("[0-9]*.ipynb")}
    names = os.environ.get("CHAPTERS", "").split() or (SMOKE if smoke else known)
    if unknown := set(names) - set(known):
        raise SystemExit(f"CHAPTERS: no chapter {', '.join(sorted(unknown))} in {BOOK}")
    kept = [run for run in records.runs("chapters") if run["scale"] == "cpu"]
    took = {run["chapter"]: run["seconds"] for run in kept}
    return [known[name] for name in sorted(names, key=lambda name: -took.get(name, 0.0))]


def write_kernel(folder: Path) -> None:
    """The description of a kernel of the Python that runs this; no installed one is needed."""
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    argv.append("--log-level=ERROR")  # it else warns that it speaks plain text
    kernel = {"argv": argv, "display_name": "Python", "language": "python"}
    path = folder / "kernels" / "here" / "kernel.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(kernel), "utf-8")


def first_line(cell: Any) -> str:
    return next(iter(cell.source.splitlines()), "")


def differing(notebook: Any) -> list[str]:
    """The claims that `Scale.expect` found not to hold."""
    outputs = (out for cell in notebook.cells for out in cell.get("outputs", []))
    lines = (line for out in outputs for line in out.get("text", "").splitlines())
    return [line.removeprefix(DIFFERS) for line in lines if line.startswith(DIFFERS)]


def slowest(starts: list[tuple[float, str]]) -> dict[str, float]:
    """The seconds of the cells that took longest, by their first lines."""
    took = {line: round(end - start, 1) for (start, line), (end, _) in pairwise(starts)}
    return dict(sorted(took.items(), key=lambda item: -item[1])[:SLOWEST])


async def execute(path: Path, folder: Path, limit: float) -> dict[str, Any]:
    """Run a copy of a notebook, alone in an empty folder; what became of it.

    "seconds" if it came to its end; else "stopped", the error, and "cell", the first line of the
    cell. Whatever happens to the kernel is such an error too.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook, now = nbformat.read(path, as_version=4), time.monotonic
    (home := folder / path.stem).mkdir()
    starts = [(now(), "")]
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="here",
        resources={"metadata": {"path": str(home)}},
        on_cell_start=lambda cell, cell_index: starts.append((now(), first_line(cell))),
    )
    told = dict[str, Any]()
    try:
        await asyncio.wait_for(client.async_execute(), limit)
        told["seconds"] = round(now() - starts[0][0], 1)
    except Exception as error:  # of a cell, or whatever ends a kernel: nbclient's, if we end it
        why = f"{getattr(error, 'ename', type(error).__name__)}: {getattr(error, 'evalue', error)}"
        late = now() - starts[0][0] >= limit
        told["stopped"] = f"out of time after {limit:.0f} s" if late else why
        told["cell"] = starts[-1][1]
    starts.append((now(), ""))
    return told | {"differs": differing(notebook), "slowest": slowest(starts)}


async def run_all(paths: list[Path], jobs: int, ends: float, tell: Callable[..., None]) -> bool:
    """Run ``jobs`` notebooks at a time until ``ends`` (of the monotonic clock); all to the end?"""
    free, sound = asyncio.Semaphore(jobs), []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        write_kernel(Path(home))
        os.environ["JUPYTER_PATH"] = home

        async def one(path: Path) -> None:
            async with free:
                left = min(ONE_CHAPTER, ends - time.monotonic())
                told: dict[str, Any] = {"stopped": "no time was left", "cell": "", "differs": []}
                if left > 0:
                    told = await execute(path, Path(home), left)
            sound.append("seconds" in told)
            tell(path.stem, told)

        await asyncio.gather(*map(one, paths))
    return all(sound)


def run(device: torch.device, seconds: float, write: Callable[[dict[str, Any]], None]) -> bool:
    """Run the chapters within ``seconds``; ``write`` gets all that is known after each of them."""
    smoke, started = device.type == "cpu", time.monotonic()
    jobs = int(os.environ.get("JOBS", 2 if smoke else 6))
    scale = os.environ["CVAE_SCALE"] = "smoke" if smoke else "gpu"
    for variable in ("CVAE_CLIP_WEIGHTS", "CVAE_INCEPTION_WEIGHTS"):
        os.environ.setdefault(variable, "none")  # nothing is fetched
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # else a debugger greets
    told: dict[str, Any] = {"scale": scale, "device": device.type, "at_once": jobs, "chapters": {}}

    def tell(name: str, what: dict[str, Any]) -> None:
        told["chapters"][name] = what
        write(told)
        end = f"{what['seconds']} s" if "seconds" in what else f"{what['stopped']} ({what['cell']})"
        print("\n  differs: ".join([f"{name}: {end}", *what["differs"]]))

    write(told)
    return asyncio.run(run_all(chosen(smoke), jobs, started + seconds, tell))
