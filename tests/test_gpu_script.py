"""benchmarks/gpu.sh, rehearsed on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gpu_chapters
import nbformat
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent


def run(
    *arguments: str, python: str = sys.executable, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(ROOT / "benchmarks" / "gpu.sh"), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        env={
            **os.environ,
            "PYTHON": python,
            "COMMIT": "c0ffee",
            "PYTHONIOENCODING": "utf-8",
            **environment,
        },
    )


def test_every_part_is_measured_and_kept(tmp_path: Path) -> None:
    ran = run(str(tmp_path / "out"), "--smoke")
    assert ran.returncode == 0, ran.stderr
    told = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()}
    assert sorted(told) == ["chapters", "speed", "tests", "text"]
    for part in told.values():
        assert part["torch"] == torch.__version__ and part["library_commit"] == "c0ffee"
    speed = told["speed"]
    assert len(speed["arms"]) == 2 and speed["hundred"]["settings"]["epochs"] == 3
    rows = [*speed["arms"], speed["hundred"], *told["text"]["rows"]]
    assert len(rows) == 6
    assert all(row["images_per_second"] > 0 and row["seconds"] > 0 for row in rows)
    for row in speed["arms"]:
        assert row["no_worse"] == (row["valid_loss"][-1] <= speed["article"]["valid_loss"])
        assert row["ratio"] == row["images_per_second"] / speed["article"]["images_per_second"]
    assert "test_cuda.py::" in ran.stdout and "captured" in ran.stdout
    chapters = told["chapters"]
    assert (chapters["scale"], chapters["device"], chapters["at_once"]) == ("smoke", "cpu", 2)
    assert list(chapters["chapters"]) and all(
        found["seconds"] > 0 and not found["differs"] and found["slowest"]
        for found in chapters["chapters"].values()
    ), chapters


def test_a_part_and_a_chapter_are_chosen(tmp_path: Path) -> None:
    unknown = run(str(tmp_path), "--smoke", PARTS="chapters:60", CHAPTERS="14_tea")
    assert unknown.returncode == 1 and "no chapter 14_tea" in unknown.stderr
    odd = run(str(tmp_path), "--smoke", PARTS="tests")
    assert odd.returncode == 1 and "PARTS has 'tests'" in odd.stderr


def test_no_chapter_stops_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = {
        "01_tea": ["pot = 1", "print('Differs here: it is green')"],
        "02_milk": ["pot = 2", "pot / 0", "pot"],
        "03_wait": ["import time", "# for ever\ntime.sleep(600)"],
        "04_gone": ["import os; os._exit(1)"],
    }
    book, out = tmp_path / "book", dict[str, Any]()
    book.mkdir()
    for name, sources in cells.items():
        made = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, sources)))
        nbformat.write(made, book / f"{name}.ipynb")
    for variable in ("CVAE_SCALE", "CVAE_CLIP_WEIGHTS", "CVAE_INCEPTION_WEIGHTS", "JUPYTER_PATH"):
        monkeypatch.setenv(variable, "")  # what it sets ends with this test
    monkeypatch.setattr(gpu_chapters, "BOOK", book)
    monkeypatch.setattr(gpu_chapters, "ONE_CHAPTER", 12)
    monkeypatch.setenv("CHAPTERS", " ".join(cells))
    monkeypatch.setenv("JOBS", "4")
    assert not gpu_chapters.run(torch.device("cpu"), 60, out.update)
    tea, milk, wait, gone = (out["chapters"][name] for name in cells)
    assert tea["seconds"] > 0 and tea["differs"] == ["it is green"]
    assert milk["stopped"] == "ZeroDivisionError: division by zero" and milk["cell"] == "pot / 0"
    assert wait["stopped"] == "out of time after 12 s" and wait["cell"] == "# for ever"
    assert gone["stopped"].startswith("DeadKernelError") and gone["cell"].startswith("import os")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    ran = run(str(tmp_path / "out"), "--smoke", python=str(bare))
    assert ran.returncode == 1 and "has no torch, torchvision, " in ran.stderr
    assert "nbclient, ipykernel, " in ran.stderr and "name another with PYTHON=" in ran.stderr
    assert run().returncode == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_without_a_gpu_is_refused(tmp_path: Path) -> None:
    ran = run(str(tmp_path))
    assert ran.returncode == 1 and "--smoke rehearses on the CPU" in ran.stderr
    assert not list(tmp_path.iterdir())
