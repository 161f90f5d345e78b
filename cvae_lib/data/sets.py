"""Images as bytes: with one label each, held whole; or with captions, and larger than memory."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from cvae_lib.checks import check_labels, whole_number

if TYPE_CHECKING:
    from cvae_lib.data.shapes import Scene

CPU = torch.device("cpu")
Batch = tuple[Tensor, Tensor]  # images uint8 (B, C, H, W) and their conditions (B, …)
Made = TypeVar("Made")


def to_unit(images: Tensor) -> Tensor:
    """uint8 images, any shape, → new float32 ones in [0, 1]; ValueError for another type."""
    if images.dtype != torch.uint8:
        raise ValueError(f"images to scale to [0, 1] must be uint8, {_range(images)}")
    return images.to(torch.float32).div_(255)


def to_bytes(images: Tensor) -> Tensor:
    """Floating images in [0, 1], any shape, → uint8, rounded; ValueError for others.

    On a GPU, which need not be waited for, what lies outside is clamped.
    """
    if not images.is_floating_point():
        raise ValueError(f"images to turn into bytes must be floats in [0, 1], {_range(images)}")
    greys = images.float().mul(255).round()
    if greys.device.type == "cpu" and not ((greys >= 0) & (greys <= 255)).all():
        raise ValueError(f"images to turn into bytes must lie in [0, 1], {_range(images)}")
    return greys.clamp(0, 255).to(torch.uint8)


def _range(images: Tensor) -> str:
    low, high = (images.min().item(), images.max().item()) if images.numel() else (0, 0)
    return f"got {images.dtype} from {low:.4g} to {high:.4g}"


class DataSet(Protocol):
    """What training asks of images with conditions; `ImageSet` and `CaptionedSet` are such sets."""

    @property
    def images(self) -> Any: ...  # uint8 (N, C, H, W), a tensor or an array

    def __len__(self) -> int: ...
    def fingerprint(self) -> str: ...  # of images and conditions
    def to(self, device: str | torch.device) -> DataSet: ...  # its batches are on ``device``
    def batches(self, size: int) -> Iterator[Batch]: ...  # in the stored order

    def take(self, positions: Sequence[Tensor], seed: Sequence[int]) -> Generator[Batch]:
        """Yield a batch for each of ``positions`` (int64, on the CPU), its images in their order.

        Where an image has several conditions, ``seed`` and the image alone say which is taken.
        """


@dataclass(frozen=True)
class ImageSet:
    """Images with one label each; TypeError or ValueError for what does not fit."""

    images: Tensor  # uint8 (N, C, H, W), a tensor or an array
    labels: Tensor  # (N,) integers, each in 0 … len(classes) - 1; they become int64
    classes: tuple[str, ...]  # the label names, in label order
    source: str = "memory"  # where the images came from

    def __post_init__(self) -> None:
        if not isinstance(self.images, Tensor | np.ndarray):
            raise TypeError(f"images must be a tensor or array, got {type(self.images).__name__}")
        images = self.images if isinstance(self.images, Tensor) else torch.tensor(self.images)
        fits = images.dtype == torch.uint8 and images.ndim == 4
        _check(fits, "images must be uint8 (N, C, H, W)", images)
        labels = check_labels(self.labels, len(self.classes), len(images))
        vars(self).update(images=images, labels=labels)  # frozen, but for this

    def __len__(self) -> int:
        return len(self.images)

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
        return _sha256(self.images.cpu().numpy(), self.labels.cpu().numpy())

    fingerprint = sha256

    def pixels(self, index: slice | Tensor = slice(None)) -> Tensor:
        """Return the chosen images as float32 (B, C, H, W) in [0, 1]."""
        return to_unit(self.images[index])

    def batches(self, size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield images and labels in the stored order, or shuffled anew by a ``generator``."""
        order = torch.arange(len(self))
        if generator is not None:
            order = torch.randperm(len(self), generator=generator, device=generator.device)
        return self.take(order.split(whole_number("batch size", size, at_least=1)))

    def take(self, positions: Sequence[Tensor], seed: Sequence[int] = ()) -> Generator[Batch]:
        """Yield the images and labels at each of ``positions``; an image has one label."""
        whole = torch.cat(list(positions)).to(self.images.device)
        for index in whole.split([len(batch) for batch in positions]):
            yield self.images[index], self.labels[index]


class TextEncoder(Protocol):
    """What turns texts into vectors; `cvae_lib.encoders` has two."""

    name: str
    dim: int
    fingerprint: str  # SHA-256 of the weights, or settings: with ``name``, which vectors texts get

    def __call__(self, texts: Sequence[str]) -> Tensor: ...  # float32 (N, dim) on the CPU


def about_encoder(encoder: TextEncoder) -> dict[str, Any]:
    """What `fit` is to write into a checkpoint of the encoder that its text vectors came from."""
    return {"text_encoder": {key: getattr(encoder, key) for key in ("name", "dim", "fingerprint")}}


@dataclass(frozen=True)
class CaptionedSet:
    """Images with captions, and every caption's vector; ValueError for what does not fit.

    The arrays may be memory maps: threads read what a batch takes, a few batches ahead.
    """

    images: np.ndarray  # uint8 (N, C, H, W)
    vectors: np.ndarray  # float16 or float32 (M, D), one for each caption
    starts: np.ndarray  # int64 (N + 1,), 0 … M: those of image i are starts[i] … starts[i + 1] - 1
    texts: Sequence[str]  # the M captions
    truths: Sequence[Scene] | None = None  # the scene that each image shows, where it shows one
    source: str = "memory"  # where the images came from, for notices and run records
    real: bool = True  # False for procedural images
    device: torch.device = CPU  # where batches come to be; the arrays stay where they are
    styles: tuple[str, ...] = ()  # names of an image's captions, where all have the same kinds
    # The fingerprint, if it was given; `replace` drops it, for the arrays may be others.
    _known: str | None = field(default=None, init=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("images", "vectors", "starts"):
            vars(self)[name] = np.asanyarray(vars(self)[name])  # frozen, but for this
        images, vectors, starts, count = self.images, self.vectors, self.starts, len(self.texts)
        fits = images.dtype == np.uint8 and images.ndim == 4
        _check(fits, "images must be uint8 (N, C, H, W)", images)
        fits = vectors.dtype in (np.float16, np.float32) and vectors.ndim == 2
        want = f"vectors must be float16 or float32 ({count}, D), one for each text"
        _check(fits and len(vectors) == count, want, vectors)
        fits = starts.dtype == np.int64 and starts.shape == (len(images) + 1,)
        _check(fits, f"starts must be int64 ({len(images) + 1},)", starts)
        if (ends := (int(starts[0]), int(starts[-1]))) != (0, count):
            raise ValueError(f"starts must rise from 0 to {count}, got {ends} at its ends")
        counts, kinds = np.diff(starts), len(self.styles)
        for image in np.flatnonzero((counts != kinds) if kinds else (counts < 1)):
            want = f"{kinds}, one of each style" if kinds else "at least 1"
            raise ValueError(f"image {image} has {counts[image]} captions, want {want}")
        if self.truths is not None and len(self.truths) != len(images):
            raise ValueError(f"{len(images)} images have {len(self.truths)} truths")

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: str | torch.device) -> CaptionedSet:
        """Return the set whose batches are on ``device``."""
        return replace(self, device=torch.device(device)).known_as(self._known)

    def subset(self, index: slice | np.ndarray) -> CaptionedSet:
        """Return the images that ``index`` (as in `ImageSet`) selects; one piece is not copied."""
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
        return _sha256(self.images, self.vectors, self.starts)

    def fingerprint(self) -> str:
        """Return the hash that the set is `known_as`, else its `sha256`."""
        return self._known or self.sha256()

    def known_as(self, fingerprint: str | None) -> CaptionedSet:
        """Return the set with the ``fingerprint`` of whoever hashed these arrays before."""
        known = replace(self)
        vars(known).update(_known=fingerprint)
        return known

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield images and their first captions' vectors, as `take`, in the stored order."""
        order = torch.arange(len(self))
        return self.take(order.split(whole_number("batch size", size, at_least=1)))

    def take(
        self, positions: Sequence[Tensor], seed: Sequence[int] | None = None
    ) -> Generator[Batch]:
        """Yield images, uint8 (B, C, H, W), and vectors, float32 (B, D), as `DataSet.take` says.

        Without a ``seed`` the vectors are those of the first captions.
        """
        captions = self.starts[:-1]
        if seed is not None:
            captions = np.random.default_rng(seed).integers(captions, self.starts[1:])

        def read(index: Tensor) -> list[Tensor]:
            rows, order = np.unique(index.numpy(), return_inverse=True)  # a disk likes them sorted
            arrays = self.images[rows][order], self.vectors[captions[rows]][order]
            tensors = [torch.from_numpy(np.asarray(array)) for array in arrays]
            pin = self.device.type == "cuda"  # a GPU fetches from such memory while it computes
            return [tensor.pin_memory() for tensor in tensors] if pin else tensors

        for pair in prefetched(read, positions):
            images, vectors = (tensor.to(self.device, non_blocking=True) for tensor in pair)
            yield images, vectors.float()


def prefetched(make: Callable[[Any], Made], orders: Iterable, ahead: int = 3) -> Generator[Made]:
    """Yield ``make(order)`` for each order, in turn; threads make up to ``ahead`` more meanwhile.

    What ``make`` raises is raised here, in its turn. Closing the iterator ends the threads.
    """
    waiting, pool = deque[Future[Made]](), ThreadPoolExecutor(ahead, "prefetch")
    try:
        for order in orders:
            waiting.append(pool.submit(make, order))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _check(right: bool, want: str, got: Any) -> None:
    """Raise ValueError unless ``right``: ``want``, and the dtype and shape of ``got``."""
    if not right:
        raise ValueError(f"{want}, got {got.dtype} {tuple(got.shape)}")


def _sha256(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)  # a map is read through, not loaded
    return digest.hexdigest()


def _piece(places: np.ndarray) -> slice | np.ndarray:
    """``places`` as a slice if they are consecutive, so that indexing makes a view."""
    consecutive = len(places) and (np.diff(places) == 1).all()
    return slice(places[0], places[-1] + 1) if consecutive else places
