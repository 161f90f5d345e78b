"""benchmarks/gpu.sh, rehearsed on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(ROOT / "benchmarks" / "gpu.sh"), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        env={**os.environ, "PYTHON": python, "COMMIT": "c0ffee", "PYTHONIOENCODING": "utf-8"},
    )


def test_every_part_is_measured_and_kept(tmp_path: Path) -> None:
    ran = run(str(tmp_path / "out"), "--smoke")
    assert ran.returncode == 0, ran.stderr
    told = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()}
    assert sorted(told) == ["speed", "tests", "text"]
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


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    ran = run(str(tmp_path / "out"), "--smoke", python=str(bare))
    assert ran.returncode == 1 and "has no torch: name another with PYTHON=" in ran.stderr
    assert run().returncode == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_without_a_gpu_is_refused(tmp_path: Path) -> None:
    ran = run(str(tmp_path))
    assert ran.returncode == 1 and "--smoke rehearses on the CPU" in ran.stderr
    assert not list(tmp_path.iterdir())
