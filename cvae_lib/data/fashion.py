"""Real Fashion-MNIST from wherever it lies on this machine, checked; else procedural garments."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cvae_lib.data.sets import ImageSet
from cvae_lib.data.toy import toy_garments
from cvae_lib.files import DataError, cache_root, user_path

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
DEBIAN_ROOT = Path("/usr/share/datasets/fashion-mnist")

_IMAGES, _LABELS = 0x0803, 0x0801  # IDX magic numbers: unsigned bytes in 3 and 1 dimensions
_SIZES = {"train": 60_000, "t10k": 10_000}
_MD5 = {  # of the decompressed files, as published
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
_REMEDY = (
    "Three ways to get it: let torchvision download it once on a machine with a network "
    "(python -m cvae_lib data), install Debian's package dataset-fashion-mnist, or put the four "
    "*-ubyte.gz files into a folder and name it in $CVAE_DATA."
)


class ToyDataWarning(UserWarning):
    """Procedural garments stand in for Fashion-MNIST."""


def fashion_mnist(
    split: str, root: str | Path | None = None, strict: bool = False, download: bool = True
) -> ImageSet:
    """Return one split of Fashion-MNIST: "train" (55,000), "valid" (5,000) or "test" (10,000).

    Looked for in this order: ``root`` or ``$CVAE_DATA`` (and nowhere else if one is given), the
    user's cache, Debian's package, torchvision's download. Without any of them, procedural
    garments of the same shape and size stand in, with a ToyDataWarning.

    Args:
        split: validation images are every twelfth of the 60,000 training images.
        root: a folder with the four IDX files, plain or ``.gz``.
        strict: raise instead of letting procedural garments stand in.
        download: let torchvision try to fetch the files into the user's cache.

    Raises:
        ValueError: for an unknown split.
        DataError: if a file is damaged or foreign, if ``root`` has none, or, with ``strict``, if
            there is no real data.

    Source: Xiao et al. 2017, arXiv 1708.07747.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    folder = find_fashion_mnist(root, download=download)
    if folder is None:
        if strict:
            raise DataError(f"no Fashion-MNIST on this machine. {_REMEDY}")
        warnings.warn(
            f"no Fashion-MNIST on this machine: procedural garments stand in. {_REMEDY}",
            ToyDataWarning,
            stacklevel=2,
        )
        return _toy_split(split)
    prefix = "t10k" if split == "test" else "train"
    count = _SIZES[prefix]
    images = read_idx(_find(folder, f"{prefix}-images-idx3-ubyte"), _IMAGES, (count, 28, 28))
    labels = read_idx(_find(folder, f"{prefix}-labels-idx1-ubyte"), _LABELS, (count,))
    everything = ImageSet(images[:, None], labels.long(), FASHION_CLASSES, source=str(folder))
    if split == "test":
        return everything
    is_valid = torch.arange(count) % VALID_EVERY == VALID_EVERY - 1
    return everything.subset(is_valid if split == "valid" else ~is_valid)


def find_fashion_mnist(root: str | Path | None = None, download: bool = False) -> Path | None:
    """Return the folder that holds Fashion-MNIST, None if there is none.

    Raises:
        DataError: if ``root`` or ``$CVAE_DATA`` is given and does not hold the four files.
    """
    chosen = root or os.environ.get("CVAE_DATA")
    if chosen:
        for folder in _inside(user_path(chosen)):
            if _complete(folder):
                return folder
        raise DataError(f"{chosen} does not hold the four Fashion-MNIST files. {_REMEDY}")
    for folder in (*_inside(cache_root()), DEBIAN_ROOT):
        if _complete(folder):
            return folder
    return _download() if download else None


def read_idx(path: Path, magic: int, shape: tuple[int, ...]) -> Tensor:
    """Read an IDX file, plain or gzip, into a uint8 tensor of ``shape``.

    Raises:
        DataError: if the file is truncated, has another magic number or shape, or if it bears the
            name of a published file and its content is another one.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): delete it and get it again") from error
    header = 4 + 4 * len(shape)
    if len(content) < header or content[:4] != struct.pack(">I", magic):
        raise DataError(
            f"{path} is not the IDX file its name says: it starts with {content[:4].hex()!r}, "
            f"expected {magic:08x}. Delete it and get it again"
        )
    found = struct.unpack(f">{len(shape)}I", content[4:header])
    if found != shape:
        raise DataError(f"{path} holds an array of shape {found}, expected {shape}: a foreign file")
    expected = header + int(np.prod(shape))
    if len(content) != expected:
        raise DataError(
            f"{path} has {len(content):,} bytes where {expected:,} were announced: "
            "delete it and get it again"
        )
    published = _MD5.get(path.name.removesuffix(".gz"))
    if published and hashlib.md5(content, usedforsecurity=False).hexdigest() != published:
        raise DataError(
            f"{path} has the shape of Fashion-MNIST and another content (MD5 differs from the "
            f"published {published}): swapped or foreign. Get it again"
        )
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy())


def _inside(root: Path) -> Iterator[Path]:
    yield root
    yield root / "FashionMNIST" / "raw"  # torchvision's layout


def _find(folder: Path, name: str) -> Path:
    packed = folder / f"{name}.gz"
    return packed if packed.exists() else folder / name


def _complete(folder: Path) -> bool:
    return all(_find(folder, name).exists() for name in _MD5)


def _download() -> Path | None:
    """Let torchvision fetch the files into the cache; None if the network does not answer."""
    from torchvision.datasets import FashionMNIST

    try:
        FashionMNIST(str(cache_root()), train=True, download=True)
    except (OSError, RuntimeError):
        return None
    return next(filter(_complete, _inside(cache_root())), None)


def _toy_split(split: str) -> ImageSet:
    sizes = {"train": 55_000, "valid": 5_000, "test": 10_000}
    images, labels = toy_garments(sizes[split], seed=SPLITS.index(split))
    return ImageSet(images, labels, FASHION_CLASSES, source="procedural garments", real=False)
