"""How long does the code of each chapter take?

    python benchmarks/chapters.py                           # every chapter
    python benchmarks/chapters.py 04_training_a_vae         # one
    CVAE_SCALE=smoke python benchmarks/chapters.py          # at another scale

Runs the chapters one after another, as the book's build does, and adds up the times of their code
cells. Records: cvae_lib/records/chapters, one a chapter and scale.
"""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
import torch
from nbclient import NotebookClient

from cvae_lib import records
from cvae_lib.pretrained import hardware, library_commit
from cvae_lib.scale import choose_scale

EXPERIMENT = "chapters"
BOOK = Path(__file__).resolve().parent.parent / "book"


def run(path: Path) -> float:
    """Seconds that the code cells of a notebook take, first to last; nothing is written to it."""
    notebook = nbformat.read(path, 4)
    client = NotebookClient(
        notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    client.execute()
    return sum(seconds(cell) for cell in notebook.cells if cell.cell_type == "code")


def seconds(cell: Any) -> float:
    """From the moment the kernel took a cell up to its answer; 0 for an empty cell."""
    times = cell.metadata.get("execution", {})
    names = ("iopub.execute_input", "shell.execute_reply")
    if not all(name in times for name in names):
        return 0.0
    start, end = (datetime.fromisoformat(times[name].replace("Z", "+00:00")) for name in names)
    return (end - start).total_seconds()


def main(names: list[str]) -> None:
    scale = choose_scale()
    for name in names:
        result = {
            "chapter": name,
            "scale": scale.name,
            "seconds": round(run(BOOK / f"{name}.ipynb"), 1),
            "device": scale.device.type,
            "threads": torch.get_num_threads(),
            "hardware": hardware(),
            "library_commit": library_commit(),
            "torch": torch.__version__,
        }
        records.write_run(EXPERIMENT, f"{name}-{scale.name}", result)
        print(f"{name}: {result['seconds']} s at scale {scale.name} on {result['hardware']}")


if __name__ == "__main__":
    every = sorted(path.stem for path in BOOK.glob("[0-9]*.ipynb"))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("chapters", nargs="*", help=f"of {', '.join(every)}; all of them if none")
    chosen = parser.parse_args().chapters or every
    if unknown := set(chosen) - set(every):
        parser.error(f"no chapter {', '.join(sorted(unknown))}: choose of {', '.join(every)}")
    main(chosen)
