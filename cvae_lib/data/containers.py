"""Images as bytes: with one label each, held whole; or with captions, and larger than memory."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from cvae_lib.data.stream import prefetched

CPU = torch.device("cpu")


class DataSet(Protocol):
    """What training asks of images with conditions; `ImageSet` and `CaptionedSet` are such sets."""

    @property
    def images(self) -> Any:
        """uint8 (N, C, H, W), a tensor or an array."""

    def __len__(self) -> int: ...

    def sha256(self) -> str:
        """The SHA-256 of images and conditions."""

    def to(self, device: str | torch.device) -> DataSet:
        """The set whose batches are on ``device``."""

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images uint8 (B, C, H, W) and their conditions (B, …), in the stored order."""

    def take(
        self, positions: Sequence[Tensor], seed: Sequence[int]
    ) -> Generator[tuple[Tensor, Tensor]]:
        """The same at ``positions``, int64 on the CPU, one for each batch.

        Where an image has several conditions, ``seed`` and the image alone say which is taken.
        """


@dataclass(frozen=True)
class ImageSet:
    """Images with one label each.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,), each in ``0 … len(classes) - 1``.
        classes: the label names, in label order.
        source: where the images came from.

    Raises:
        ValueError: if a shape, dtype or label does not fit the above.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    source: str = "memory"

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

    def take(
        self, positions: Sequence[Tensor], seed: Sequence[int] = ()
    ) -> Generator[tuple[Tensor, Tensor]]:
        """Yield the images and labels at each of ``positions``; an image has one label."""
        whole = torch.cat(list(positions)).to(self.device)
        for index in whole.split([len(batch) for batch in positions]):
            yield self.images[index], self.labels[index]


class TextEncoder(Protocol):
    """What turns texts into vectors; `cvae_lib.encoders` has two.

    ``fingerprint`` is the SHA-256 of the weights (of the settings, where there are none): with
    ``name`` it says which vectors a text gets.
    """

    name: str
    dim: int
    fingerprint: str

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Texts → float32 (N, dim) on the CPU."""


def about_encoder(encoder: TextEncoder) -> dict[str, Any]:
    """What `fit` is to write into a checkpoint of the encoder that its text vectors came from."""
    facts = {"name": encoder.name, "dim": encoder.dim, "fingerprint": encoder.fingerprint}
    return {"text_encoder": facts}


@dataclass(frozen=True)
class CaptionedSet:
    """Images with one or more captions each, and every caption's vector.

    The arrays may be memory-mapped files larger than memory: only what a batch takes is read, by a
    thread that is a few batches ahead. They stay where they are whatever ``device`` is.

    Args:
        images: uint8 (N, C, H, W).
        vectors: float16 or float32 (M, D), one for each caption.
        first: int64 (N + 1,), rising from 0 to M: image i has the captions ``first[i]`` up to, and
            without, ``first[i + 1]``, at least one.
        captions: the M texts.
        truths: what each image shows, where that is known (Scenes).
        source: where the images came from, for notices and run records.
        real: False for procedural images.
        device: where batches come to be.

    Raises:
        ValueError: if a shape, dtype or count does not fit the above.
    """

    images: np.ndarray
    vectors: np.ndarray
    first: np.ndarray
    captions: Sequence[str]
    truths: Sequence[dict[str, Any]] | None = None
    source: str = "memory"
    real: bool = True
    device: torch.device = CPU

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise ValueError(
                f"images must be uint8 (N, C, H, W), got {self.images.dtype} {self.images.shape}"
            )
        if self.vectors.dtype not in (np.float16, np.float32) or self.vectors.ndim != 2:
            raise ValueError(
                f"vectors must be float16 or float32 (M, D), got {self.vectors.dtype} "
                f"{self.vectors.shape}"
            )
        if len(self.captions) != len(self.vectors):
            raise ValueError(f"{len(self.captions)} captions have {len(self.vectors)} vectors")
        if self.first.dtype != np.int64 or self.first.shape != (len(self.images) + 1,):
            raise ValueError(
                f"first must be int64 ({len(self.images) + 1},), got {self.first.dtype} "
                f"{self.first.shape}"
            )
        if self.first[0] != 0 or self.first[-1] != len(self.captions):
            raise ValueError(
                f"first must rise from 0 to {len(self.captions)}, got {self.first[0]} and "
                f"{self.first[-1]} at its ends"
            )
        if len(bare := np.flatnonzero(np.diff(self.first) < 1)):
            raise ValueError(f"image {bare[0]} has no caption")
        if self.truths is not None and len(self.truths) != len(self.images):
            raise ValueError(f"{len(self.images)} images have {len(self.truths)} truths")

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: str | torch.device) -> CaptionedSet:
        """Return the set whose batches are on ``device``."""
        return replace(self, device=torch.device(device))

    def subset(self, index: slice | np.ndarray) -> CaptionedSet:
        """Return the images that ``index`` (a slice, a mask or positions) selects.

        What is one piece of the arrays is not copied.
        """
        rows = np.arange(len(self))[index]
        counts = np.diff(self.first)[rows]
        first = np.concatenate([[0], np.cumsum(counts)])
        places = np.arange(first[-1]) + np.repeat(self.first[rows] - first[:-1], counts)
        return replace(
            self,
            images=self.images[_piece(rows)],
            vectors=self.vectors[_piece(places)],
            first=first,
            captions=[self.captions[place] for place in places],
            truths=None if self.truths is None else [self.truths[row] for row in rows],
        )

    def head(self, count: int | None) -> CaptionedSet:
        """Return the first ``count`` images; all of them if ``count`` is None."""
        return self if count is None else self.subset(slice(count))

    def sha256(self) -> str:
        """Return the SHA-256 of images, vectors and ``first``; it is computed once."""
        return self._sha256

    @functools.cached_property
    def _sha256(self) -> str:
        digest = hashlib.sha256()
        for array in (self.images, self.vectors, self.first):
            for start in range(0, len(array), 1024):  # a map is read through, not loaded
                digest.update(np.ascontiguousarray(array[start : start + 1024]).data)
        return digest.hexdigest()

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(images, vectors)`` in the stored order, with each image's first caption.

        Images are uint8 (B, C, H, W), vectors float32 (B, D), both on the set's device.
        """
        if size < 1:
            raise ValueError(f"batch size must be at least 1, got {size}")
        return self.take(torch.arange(len(self)).split(size))

    def take(
        self, positions: Sequence[Tensor], seed: Sequence[int] | None = None
    ) -> Generator[tuple[Tensor, Tensor]]:
        """Yield images and vectors at each of ``positions`` (int64, on the CPU).

        Within a batch they come in the stored order, in which a disk reads fastest. The captions
        are drawn by ``seed`` and image; without a seed they are the first ones.
        """
        captions = self.first[:-1]
        if seed is not None:
            captions = np.random.default_rng(seed).integers(captions, self.first[1:])

        def read(index: Tensor) -> tuple[Tensor, Tensor]:
            rows = np.sort(index.numpy())
            return self._rows(self.images, rows), self._rows(self.vectors, captions[rows])

        for images, vectors in prefetched(read, positions):
            yield (
                images.to(self.device, non_blocking=True),
                vectors.to(self.device, non_blocking=True).float(),
            )

    def _rows(self, array: np.ndarray, rows: np.ndarray) -> Tensor:
        """Copy rows into memory, from which a GPU can fetch them while it computes."""
        tensor = torch.from_numpy(np.asarray(array[rows]))
        return tensor.pin_memory() if self.device.type == "cuda" else tensor


def _piece(places: np.ndarray) -> slice | np.ndarray:
    """``places`` as a slice if they are consecutive, so that indexing makes a view."""
    consecutive = len(places) and (np.diff(places) == 1).all()
    return slice(places[0], places[-1] + 1) if consecutive else places


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
