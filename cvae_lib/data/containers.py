"""Labelled images as bytes: held in memory or on the device whole, sliced into batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class ImageSet:
    """Images with one label each.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,), each in ``0 … len(classes) - 1``.
        classes: the label names, in label order.
        source: where the images came from, for notices and run records.
        real: False if procedural images stand in for the real data.

    Raises:
        ValueError: if a shape, dtype or label does not fit the above.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    source: str = "memory"
    real: bool = True

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ValueError(
                f"images must be uint8 (N, C, H, W), got {self.images.dtype} "
                f"{tuple(self.images.shape)}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must be int64 ({len(self.images)},), one for each image, got "
                f"{self.labels.dtype} {tuple(self.labels.shape)}"
            )
        check_labels(self.labels, len(self.classes))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def device(self) -> torch.device:
        return self.images.device

    def to(self, device: str | torch.device) -> ImageSet:
        """Return the set with images and labels on ``device``."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def subset(self, index: slice | Tensor) -> ImageSet:
        """Return the images that ``index`` (a slice, a mask or positions) selects."""
        return replace(self, images=self.images[index], labels=self.labels[index])

    def first(self, count: int | None) -> ImageSet:
        """Return the first ``count`` images; all of them if ``count`` is None."""
        return self if count is None else self.subset(slice(count))

    def sha256(self) -> str:
        """Return the SHA-256 of images and labels, for run records."""
        digest = hashlib.sha256(self.images.cpu().contiguous().numpy().tobytes())
        digest.update(self.labels.cpu().numpy().tobytes())
        return digest.hexdigest()

    def pixels(self, index: slice | Tensor = slice(None)) -> Tensor:
        """Return the chosen images as float32 (B, C, H, W) in [0, 1]."""
        return to_unit(self.images[index])

    def batches(
        self, size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(images uint8 (B, C, H, W), labels (B,))``; the last batch may be smaller.

        The order is the stored one without a ``generator``, a fresh shuffle with one.
        """
        if size < 1:
            raise ValueError(f"batch size must be at least 1, got {size}")
        if generator is None:
            for start in range(0, len(self), size):
                yield self.images[start : start + size], self.labels[start : start + size]
            return
        order = torch.randperm(len(self), generator=generator, device=generator.device)
        for index in order.to(self.device).split(size):
            yield self.images[index], self.labels[index]


def to_unit(images: Tensor) -> Tensor:
    """uint8 images, any shape, → float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)


def to_bytes(images: Tensor) -> Tensor:
    """Images in [0, 1], any shape, → uint8, rounded to the nearest grey."""
    return images.clamp(0, 1).mul(255).round().to(torch.uint8)


def check_labels(labels: Tensor, n_classes: int) -> None:
    """Raise ValueError, naming the first offender, unless all labels lie in 0 … n_classes − 1."""
    wrong = labels[(labels < 0) | (labels >= n_classes)]
    if len(wrong):
        raise ValueError(f"label {int(wrong[0])} is out of range: known are 0 … {n_classes - 1}")
