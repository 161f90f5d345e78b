"""Fashion-MNIST, which ships with the library: mosaics of 100 × 100 pictures in fashion-mnist/."""

from __future__ import annotations

import functools
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cvae_lib.data.containers import ImageSet

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SPLITS = ("train", "valid", "test")
VALID_EVERY = 12  # every twelfth training image is a validation image: 55,000 + 5,000
FOLDER = Path(__file__).parent / "fashion-mnist"
SIDE = 100  # pictures along a side of a mosaic
# pictures; MD5 of the published IDX files of images and labels, decompressed
PUBLISHED = {
    "train": (60_000, "f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9"),
    "test": (10_000, "8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
}


class DataError(Exception):
    """A data file is missing or is not what its name says; the message names it and the remedy."""


def cache_root() -> Path:
    """Return the user's cache folder of this library (``$XDG_CACHE_HOME`` is respected)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cvae_lib"


def fashion_mnist(split: str) -> ImageSet:
    """Return one split of Fashion-MNIST: "train" (55,000), "valid" (5,000) or "test" (10,000).

    Images are uint8 (N, 1, 28, 28), 0 is black; validation images are every twelfth of the 60,000
    published for training. The first call decodes the files, the next ones take copies.

    Raises:
        ValueError: for an unknown split.
        DataError: if a shipped file is missing or damaged.

    Source: Xiao et al. 2017, arXiv 1708.07747; MIT licence, © 2017 Zalando SE.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    images, labels = _published("test" if split == "test" else "train")
    rows = torch.arange(len(labels))
    if split != "test":
        is_valid = rows % VALID_EVERY == VALID_EVERY - 1
        rows = rows[is_valid if split == "valid" else ~is_valid]
    return ImageSet(images[rows], labels[rows], FASHION_CLASSES, source="Fashion-MNIST")


@functools.cache
def _published(part: str) -> tuple[Tensor, Tensor]:
    """All images, uint8 (N, 1, 28, 28), and labels, int64 (N,), in the published order."""
    count, images_md5, labels_md5 = PUBLISHED[part]
    images = np.empty((count, 28, 28), np.uint8)
    try:
        for number, chunk in enumerate(images.reshape(-1, SIDE, SIDE, 28, 28), 1):
            path = FOLDER / f"{part}-{number}.png"
            with Image.open(path) as mosaic:
                chunk[:] = np.asarray(mosaic).reshape(SIDE, 28, SIDE, 28).swapaxes(1, 2)
        path = FOLDER / f"{part}-labels.txt"
        labels = np.frombuffer(path.read_bytes().replace(b"\n", b""), np.uint8) - ord("0")
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{path} is missing or damaged ({error}): install cvae_lib again"
        ) from error
    _check(images, images_md5, f"{part}-*.png")
    _check(labels, labels_md5, path.name)
    return torch.from_numpy(images[:, None]), torch.from_numpy(labels).long()


def _check(array: np.ndarray, md5: str, files: str) -> None:
    """Raise DataError unless the array, written as an IDX file, is the published one."""
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(array.data)
    if digest.hexdigest() != md5:
        raise DataError(f"{FOLDER / files} differs from what was published: install cvae_lib again")
