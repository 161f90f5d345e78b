"""Shared fixtures: Fashion-MNIST, a little of it to train on, a source of randomness."""

from __future__ import annotations

import pytest
import torch

from cvae_lib.data import ImageSet, fashion_mnist


@pytest.fixture(scope="session")
def fashion() -> dict[str, ImageSet]:
    """The splits by name."""
    return {split: fashion_mnist(split) for split in ("train", "valid", "test")}


@pytest.fixture(scope="session")
def tiny(fashion: dict[str, ImageSet]) -> tuple[ImageSet, ImageSet]:
    """256 garments to train on, 128 others to validate on."""
    return fashion["train"].first(256), fashion["valid"].first(128)


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded source of randomness."""
    return torch.Generator().manual_seed(0)
