"""A training in little memory, for test_stream.py: python streamed_run.py IMAGES.npy MEBIBYTES."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvae_lib.data import CaptionedSet
from cvae_lib.train import TrainConfig, fit


class Grey(nn.Module):
    """One number, for every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.25))


def objective(model: Any, x: Tensor, *_: Any) -> dict[str, Tensor]:
    """Squared distance of each picture's mean to the number, and the mean."""
    mean = x.flatten(1).mean(1)
    return {"loss": (mean - model.level).square(), "mean": mean}


def mapped(path: str) -> CaptionedSet:
    """The pictures of a file, none of them in memory."""
    images = np.load(path, mmap_mode="r")
    count = len(images)
    vectors = np.zeros((count, 4), np.float16)
    return CaptionedSet(images, vectors, np.arange(count + 1), ["a picture"] * count)


def private_memory() -> int:
    """Bytes that this process may write to without writing to a file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmData"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    data, limit = mapped(sys.argv[1]), int(sys.argv[2]) * 2**20
    few, config = data.first(64), TrainConfig(epochs=1, batch_size=32)
    fit(Grey(), few, few, config, objective=objective)  # PyTorch takes what it keeps
    resource.setrlimit(resource.RLIMIT_DATA, (private_memory() + limit,) * 2)
    try:
        np.array(data.images)
    except MemoryError:
        print("too large for memory")
    checkpoint = Path(sys.argv[1]).with_name("run.safetensors")
    history = fit(Grey(), data, few, config, objective=objective, checkpoint=checkpoint)
    print(f"mean {history.last['mean']:.6f}")
