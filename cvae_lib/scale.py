"""What this machine can afford, chosen once: smoke (tests), cpu, or gpu (full scale)."""

import os
from typing import Any, NamedTuple

import torch

DIFFERS = "Differs here: "  # begins the line about a claim that does not hold


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

    @property
    def rounding(self) -> dict[str, float]:
        """How far `torch.testing.assert_close` lets two ways to one result differ on ``device``.

        On a CPU as PyTorch has it. A GPU's convolutions keep 10 bits of a number (TF32), and its
        sums come in any order.
        """
        return {} if self.device.type == "cpu" else {"rtol": 1e-2, "atol": 1e-2}

    def expect(self, holds: Any, claim: str) -> None:
        """Check what the book says of results that scale and device may change.

        Where the book is made, on a CPU at another scale than gpu: AssertionError with ``claim``,
        unless it ``holds``. Elsewhere one line says so, and a chapter goes on.
        """
        if not holds:
            if self.name != "gpu" and self.device.type == "cpu":
                raise AssertionError(claim)
            print(f"{DIFFERS}{claim}")

    def __str__(self) -> str:
        images = "all" if self.train_images is None else f"{self.train_images:,}"
        what = f"{images} training images, {self.epochs} epochs"
        return f"scale {self.name}: {what}, on the {self.device.type.upper()}"


SCALES = {
    "smoke": Scale("smoke", 1_000, 500, 500, epochs=2, batch_size=100, seeds=2, samples=200),
    "cpu": Scale("cpu", 20_000, 2_000, 2_000, epochs=5, batch_size=128, seeds=2, samples=2_000),
    "gpu": Scale("gpu", None, None, None, epochs=20, batch_size=128, seeds=3, samples=5_000),
}


def choose_scale() -> Scale:
    """The scale that ``$CVAE_SCALE`` names; without it "gpu" on a GPU and "cpu" elsewhere.

    ValueError if it names none.
    """
    name = os.environ.get("CVAE_SCALE") or ("gpu" if torch.cuda.is_available() else "cpu")
    if name not in SCALES:
        raise ValueError(f"CVAE_SCALE is {name!r}: choose one of {', '.join(SCALES)}")
    return SCALES[name]
