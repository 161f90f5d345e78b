"""A run for test_train.py to kill: python killed_run.py CHECKPOINT THREADS."""

from __future__ import annotations

import signal
import sys
import time

import torch

from cvae_lib.data import ImageSet, fashion_mnist
from cvae_lib.models import ConcatConditionalVAE
from cvae_lib.train import TrainConfig, fit

# 4 steps an epoch and everything that has a state
CONFIG = TrainConfig(epochs=10, batch_size=72, seed=3, beta_warmup=20)


def garments() -> tuple[ImageSet, ImageSet]:
    """The fixture `tiny` of conftest.py, for the child."""
    return fashion_mnist("train").first(256), fashion_mnist("valid").first(128)


def new_model() -> ConcatConditionalVAE:
    torch.manual_seed(5)
    return ConcatConditionalVAE(16, likelihood="optimal-sigma")


def report(row: dict[str, float]) -> None:
    print(f"epoch {row['epoch']:.0f}", flush=True)
    time.sleep(0.05)  # so that there is something left to kill


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # even if the parent ignores it
    torch.set_num_threads(int(sys.argv[2]))
    fit(new_model(), *garments(), CONFIG, checkpoint=sys.argv[1], on_epoch=report)
