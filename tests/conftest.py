"""Shared fixtures: real Fashion-MNIST where it lies on the machine, and tiny procedural sets."""

from __future__ import annotations

import pytest
import torch

from cvae_lib.data import FASHION_CLASSES, ImageSet, find_fashion_mnist, toy_garments
from cvae_lib.data import fashion_mnist as load_fashion_mnist


@pytest.fixture(scope="session")
def fashion() -> dict[str, ImageSet]:
    """The real splits by name; skips where Fashion-MNIST is not installed."""
    if find_fashion_mnist() is None:
        pytest.skip("no Fashion-MNIST here: install Debian's package dataset-fashion-mnist")
    return {split: load_fashion_mnist(split, strict=True) for split in ("train", "valid", "test")}


@pytest.fixture(scope="session")
def tiny() -> tuple[ImageSet, ImageSet]:
    """256 procedural garments to train on, 128 others to validate on."""
    sets = []
    for seed, count in enumerate((256, 128)):
        images, labels = toy_garments(count, seed=seed)
        sets.append(ImageSet(images, labels, FASHION_CLASSES, source=f"toy {seed}", real=False))
    return sets[0], sets[1]


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded source of randomness."""
    return torch.Generator().manual_seed(0)
