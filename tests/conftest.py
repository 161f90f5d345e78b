"""Shared fixtures: Fashion-MNIST, a little of it to train on, randomness; a small book."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import small_book
import torch

from cvae_lib.data import ImageSet, fashion_mnist

if TYPE_CHECKING:
    from playwright.sync_api import Browser


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


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built book of two pages."""
    small_book.need_packages()
    small_book.write(folder := tmp_path_factory.mktemp("book"))
    done = small_book.build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "_build" / "html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium without a network."""
    from browser import NoBrowserError, chromium

    try:
        with chromium() as started:
            yield started
    except NoBrowserError as error:
        small_book.unavailable(str(error))
