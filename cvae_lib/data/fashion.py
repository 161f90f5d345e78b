"""Fashion-MNIST, which ships with the library: mosaics of 100 × 100 pictures in fashion-mnist/."""

import functools
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cvae_lib.data.sets import ImageSet
from cvae_lib.files import DataError

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip
SPLITS = ("train", "valid", "test")
FOLDER = Path(__file__).parent / "fashion-mnist"
SIDE = 100  # pictures along a side of a mosaic


def fashion_mnist(split: str) -> ImageSet:
    """Return one split of Fashion-MNIST: "train" (55,000), "valid" (5,000) or "test" (10,000).

    Images are uint8 (N, 1, 28, 28), 0 is black; validation images are every twelfth of the 60,000
    published for training. The first call decodes the files, the next ones take copies. ValueError
    for an unknown split, DataError if a shipped file is missing or damaged. Source: Xiao et al.
    2017, arXiv 1708.07747; MIT licence, © 2017 Zalando SE.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    images, labels = _published("test" if split == "test" else "train")
    twelfth = torch.arange(len(labels)) % 12 == 11
    rows = {"train": ~twelfth, "valid": twelfth, "test": twelfth | ~twelfth}[split]
    return ImageSet(images[rows], labels[rows], FASHION_CLASSES, source="Fashion-MNIST")


@functools.cache
def _published(part: str) -> tuple[Tensor, Tensor]:
    """All images, uint8 (N, 1, 28, 28), and labels, int64 (N,), in the published order."""
    mosaics = []
    try:
        for number in range(1, 7 if part == "train" else 2):
            path = FOLDER / f"{part}-{number}.png"
            with Image.open(path) as mosaic:
                mosaics.append(np.asarray(mosaic).reshape(SIDE, 28, SIDE, 28).swapaxes(1, 2))
        path = FOLDER / f"{part}-labels.txt"
        digits = np.frombuffer(path.read_bytes().replace(b"\n", b""), np.uint8)
        images = np.concatenate(mosaics).reshape(-1, 1, 28, 28)
        labels = (digits - ord("0")).reshape(len(images))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} is missing or damaged ({error}): reinstall cvae_lib") from error
    return torch.from_numpy(images), torch.from_numpy(labels).long()
