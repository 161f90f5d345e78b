"""Images as bytes: with one label each, held whole; or with captions, and larger than memory."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from cvae_lib.checks import check_labels
from cvae_lib.data.pixels import to_unit
from cvae_lib.data.stream import prefetched

if TYPE_CHECKING:
    from cvae_lib.data.shapes import Scene

CPU = torch.device("cpu")


class DataSet(Protocol):
    """What training asks of images with conditions; `ImageSet` and `CaptionedSet` are such sets."""

    @property
    def images(self) -> Any: ...  # uint8 (N, C, H, W), a tensor or an array

    def __len__(self) -> int: ...

    def sha256(self) -> str: ...  # of images and conditions

    def fingerprint(self) -> str: ...  # the same, or one that is at hand without reading arrays

    def to(self, device: str | torch.device) -> DataSet: ...  # its batches are on ``device``

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images uint8 (B, C, H, W) and their conditions (B, …), in the stored order."""

    def take(
        self, positions: Sequence[Tensor], seed: Sequence[int]
    ) -> Generator[tuple[Tensor, Tensor]]:
        """The same at ``positions``, int64 on the CPU, one for each batch, in their order.

        Where an image has several conditions, ``seed`` and the image alone say which is taken.
        """


@dataclass(frozen=True)
class ImageSet:
    """Images with one label each.

    Args:
        images: uint8 (N, C, H, W), a tensor or an array.
        labels: (N,) integers, each in ``0 … len(classes) - 1``; they become int64.
        classes: the label names, in label order.
        source: where the images came from.

    Raises:
        TypeError, ValueError: if a type, shape, dtype or label does not fit the above.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    source: str = "memory"

    def __post_init__(self) -> None:
        images = _tensor("images", self.images)
        _check(_is_bytes(images), "images must be uint8 (N, C, H, W)", images)
        labels = check_labels(self.labels, len(self.classes), len(images))
        vars(self).update(images=images, labels=labels)  # frozen, but for this

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
        """Return the SHA-256 of images and labels."""
        arrays = [part.cpu().contiguous().numpy() for part in (self.images, self.labels)]
        return _sha256(arrays)

    fingerprint = sha256

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
        starts: int64 (N + 1,), rising from 0 to M: image i has the captions ``starts[i]`` up to,
            and without, ``starts[i + 1]``, at least one.
        texts: the M captions.
        truths: the scene that each image shows, where it shows one.
        source: where the images came from, for notices and run records.
        real: False for procedural images.
        device: where batches come to be.
        styles: the names of an image's captions, where every image has the same kinds (Scenes).

    Raises:
        ValueError: if a shape, dtype or count does not fit the above.
    """

    images: np.ndarray
    vectors: np.ndarray
    starts: np.ndarray
    texts: Sequence[str]
    truths: Sequence[Scene] | None = None
    source: str = "memory"
    real: bool = True
    device: torch.device = CPU
    styles: tuple[str, ...] = ()
    # The fingerprint, if it was given; `replace` drops it, for the arrays may be others.
    _known: str | None = field(default=None, init=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("images", "vectors", "starts"):
            vars(self)[name] = np.asanyarray(vars(self)[name])  # frozen, but for this
        images, vectors, starts, count = self.images, self.vectors, self.starts, len(self.texts)
        _check(_is_bytes(images), "images must be uint8 (N, C, H, W)", images)
        halves = vectors.dtype in (np.float16, np.float32) and vectors.ndim == 2
        _check(halves, "vectors must be float16 or float32 (M, D)", vectors)
        _check(len(vectors) == count, f"{count} texts have {len(vectors)} vectors")
        fits = starts.dtype == np.int64 and starts.shape == (len(images) + 1,)
        _check(fits, f"starts must be int64 ({len(images) + 1},)", starts)
        ends = f"starts must rise from 0 to {count}, got {starts[0]} and {starts[-1]} at its ends"
        _check(starts[0] == 0 and starts[-1] == count, ends)
        counts, want = np.diff(starts), len(self.styles)
        for image in np.flatnonzero((counts != want) if want else (counts < 1)):
            wanted = f"{want}, one of each style" if want else "at least 1"
            raise ValueError(f"image {image} has {counts[image]} captions, want {wanted}")
        truths = len(images) if self.truths is None else len(self.truths)
        _check(truths == len(images), f"{len(images)} images have {truths} truths")

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: str | torch.device) -> CaptionedSet:
        """Return the set whose batches are on ``device``."""
        return replace(self, device=torch.device(device)).known_as(self._known)

    def subset(self, index: slice | np.ndarray) -> CaptionedSet:
        """Return the images that ``index`` (a slice, a mask or positions) selects.

        What is one piece of the arrays is not copied.
        """
        rows = np.arange(len(self))[index]
        counts = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(counts)])
        places = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], counts)
        part = replace(
            self,
            images=self.images[_piece(rows)],
            vectors=self.vectors[_piece(places)],
            starts=starts,
            texts=[self.texts[place] for place in places],
            truths=None if self.truths is None else [self.truths[row] for row in rows],
        )
        chosen = (self._known or "").encode() + rows.astype("<i8").tobytes()
        return part.known_as(self._known and hashlib.sha256(chosen).hexdigest())

    def first(self, count: int | None) -> CaptionedSet:
        """Return the first ``count`` images; all of them if ``count`` is None."""
        return self if count is None else self.subset(slice(count))

    def captions(self, style: str | None = None) -> list[str]:
        """Return one caption an image: that of ``style``, or the first."""
        return [self.texts[place] for place in self._places(style)]

    def text_vectors(self, style: str | None = None) -> Tensor:
        """Return the vectors of `captions`, float32 (N, D) on the CPU."""
        return torch.from_numpy(np.asarray(self.vectors[self._places(style)], np.float32))

    def _places(self, style: str | None) -> np.ndarray:
        if style is not None and style not in self.styles:
            known = ", ".join(self.styles) or "none: these captions are of no style"
            raise ValueError(f"no style {style!r} of captions in {self.source}; known are {known}")
        return self.starts[:-1] + (0 if style is None else self.styles.index(style))

    def sha256(self) -> str:
        """Return the SHA-256 of images, vectors and ``starts``."""
        return _sha256([self.images, self.vectors, self.starts])

    def fingerprint(self) -> str:
        """Return the hash that the set is `known_as`, else its `sha256`."""
        return self._known or self.sha256()

    def known_as(self, fingerprint: str | None) -> CaptionedSet:
        """Return the set with the ``fingerprint`` of whoever hashed these arrays before."""
        known = replace(self)
        vars(known).update(_known=fingerprint)
        return known

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
        """Yield images and vectors at each of ``positions`` (int64, on the CPU), in their order.

        The captions are drawn by ``seed`` and image; without a seed they are the first ones.
        """
        captions = self.starts[:-1]
        if seed is not None:
            captions = np.random.default_rng(seed).integers(captions, self.starts[1:])

        def read(index: Tensor) -> tuple[Tensor, Tensor]:
            rows, order = np.unique(index.numpy(), return_inverse=True)  # a disk likes them sorted
            images, vectors = self.images[rows], self.vectors[captions[rows]]
            return self._memory(images[order]), self._memory(vectors[order])

        for images, vectors in prefetched(read, positions):
            images = images.to(self.device, non_blocking=True)
            yield images, vectors.to(self.device, non_blocking=True).float()

    def _memory(self, rows: np.ndarray) -> Tensor:
        """Rows as a tensor, in memory from which a GPU can fetch them while it computes."""
        tensor = torch.from_numpy(np.asarray(rows))
        return tensor.pin_memory() if self.device.type == "cuda" else tensor


def _tensor(name: str, value: Any) -> Tensor:
    """A tensor as it is; an array or a list of numbers as one."""
    try:
        return value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
    except (TypeError, ValueError) as error:
        want = f"{name} must be a tensor, an array or a list of numbers"
        raise TypeError(f"{want}, got {type(value).__name__}") from error


def _check(right: bool, want: str, got: Any = None) -> None:
    """Raise ValueError unless ``right``: ``want``, and the dtype and shape of ``got``."""
    if not right:
        raise ValueError(want if got is None else f"{want}, got {got.dtype} {tuple(got.shape)}")


def _is_bytes(images: Any) -> bool:
    return images.dtype in (torch.uint8, np.uint8) and images.ndim == 4


def _sha256(arrays: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        for start in range(0, len(array), 1024):  # a map is read through, not loaded
            digest.update(np.ascontiguousarray(array[start : start + 1024]).data)
    return digest.hexdigest()


def _piece(places: np.ndarray) -> slice | np.ndarray:
    """``places`` as a slice if they are consecutive, so that indexing makes a view."""
    consecutive = len(places) and (np.diff(places) == 1).all()
    return slice(places[0], places[-1] + 1) if consecutive else places
