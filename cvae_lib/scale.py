"""What this machine can afford, chosen once: smoke (tests), cpu, or gpu (full scale)."""

import os
from typing import NamedTuple

import torch


class Scale(NamedTuple):
    """How much a chapter trains and measures. None means: all there are."""

    name: str
    train_images: int | None  # of Fashion-MNIST's 55,000
    valid_images: int | None  # of its 5,000
    test_images: int | None  # of its 10,000
    epochs: int  # of a chapter's main training
    batch_size: int  # images a step
    seeds: int  # runs of a comparison
    samples: int  # drawn pictures behind a measure

    @property
    def device(self) -> torch.device:
        """The GPU if there is one, else the CPU."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def __str__(self) -> str:
        images = "all" if self.train_images is None else f"{self.train_images:,}"
        what = f"{images} training images, {self.epochs} epochs"
        return f"scale {self.name}: {what}, on the {self.device.type.upper()}"


SCALES = {
    "smoke": Scale("smoke", 1_000, 500, 500, epochs=2, batch_size=100, seeds=2, samples=200),
    "cpu": Scale("cpu", 20_000, 2_000, 2_000, epochs=5, batch_size=128, seeds=2, samples=2_000),
    "gpu": Scale("gpu", None, None, None, epochs=40, batch_size=128, seeds=5, samples=10_000),
}


def choose_scale() -> Scale:
    """The scale that ``$CVAE_SCALE`` names; without it "gpu" on a GPU and "cpu" elsewhere.

    ValueError if it names none.
    """
    name = os.environ.get("CVAE_SCALE") or ("gpu" if torch.cuda.is_available() else "cpu")
    if name not in SCALES:
        raise ValueError(f"CVAE_SCALE is {name!r}: choose one of {', '.join(SCALES)}")
    return SCALES[name]
