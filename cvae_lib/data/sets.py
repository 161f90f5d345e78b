"""Images as bytes: with one label each, held whole; or with captions, and larger than memory."""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from cvae_lib.checks import as_tensor, check_labels, whole_number
from cvae_lib.data.words import Words, piece, runs

CPU = torch.device("cpu")
SAMPLED = 256  # images of a set with captions that its fingerprint is of
Batches = Generator[tuple[Tensor, Tensor]]  # images uint8 (B, C, H, W), their conditions (B, …)
Set = TypeVar("Set", bound="DataSet")


def to_unit(images: Tensor) -> Tensor:
    """uint8 images, any shape, → new float32 ones in [0, 1]; ValueError for another type.

    >>> to_unit(torch.tensor([0, 51, 255], dtype=torch.uint8))
    tensor([0.0000, 0.2000, 1.0000])
    """
    if images.dtype != torch.uint8:
        raise ValueError(f"images to scale to [0, 1] must be uint8, got {images.dtype}")
    return images.to(torch.float32).div_(255)


class DataSet(Protocol):
    """Images with conditions, as training asks for them: `ImageSet` and `CaptionedSet`."""

    images: Any  # uint8 (N, C, H, W), a tensor or an array

    def to(self: Set, device: str | torch.device) -> Set: ...  # its batches are on ``device``
    def subset(self: Set, index: Any) -> Set: ...  # a slice, a mask or positions

    def take(self, positions: Sequence[Tensor], seed: Sequence[int] | None = None) -> Batches:
        """Yield a batch for each of ``positions`` (int64, on the CPU), its images in their order.

        Of an image's captions ``seed`` chooses one; without it the first is taken. Of words in
        several styles, all images of a batch have one, chosen by ``seed`` and by how many batches
        are still to come.
        """

    def __len__(self) -> int:
        return len(self.images)

    def first(self: Set, count: int | None) -> Set:
        """Return the first ``count`` images; all of them if ``count`` is None."""
        return self if count is None else self.subset(slice(count))

    def batches(self, size: int, generator: torch.Generator | None = None) -> Batches:
        """Yield images and conditions in the stored order, or shuffled anew by a ``generator``."""
        order = torch.arange(len(self))
        if generator is not None:
            order = torch.randperm(len(self), generator=generator, device=generator.device).cpu()
        return self.take(order.split(whole_number("batch size", size, at_least=1)))

    def sha256(self) -> str:
        """Return the SHA-256 of the arrays: images, labels; or vectors or words, ``starts``."""
        digest = hashlib.sha256()
        held = (vars(v).values() if isinstance(v, Words) else [v] for v in vars(self).values())
        for array in chain.from_iterable(held):
            if isinstance(array, Tensor | np.ndarray):
                on_cpu = array.cpu().numpy() if isinstance(array, Tensor) else array
                digest.update(np.ascontiguousarray(on_cpu).data)  # a map is read, not loaded
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """Return what tells this set from others when a training is resumed."""
        return self.sha256()


@dataclass(frozen=True)
class ImageSet(DataSet):
    """Images with one label each; TypeError or ValueError for what does not fit."""

    images: Tensor  # uint8 (N, C, H, W), a tensor or an array
    labels: Tensor  # (N,) integers, each in 0 … len(classes) - 1; they become int64
    classes: tuple[str, ...]  # the label names, in label order
    source: str = "memory"  # where the images came from

    def __post_init__(self) -> None:
        images = as_tensor(self.images, "images must be a tensor or an array")
        _check("images", images, "uint8", ("N", "C", "H", "W"))
        labels = check_labels(self.labels, len(self.classes), len(images))
        vars(self).update(images=images, labels=labels)  # frozen, but for this

    def to(self, device: str | torch.device) -> "ImageSet":
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def subset(self, index: slice | Tensor) -> "ImageSet":
        return replace(self, images=self.images[index], labels=self.labels[index])

    def pixels(self, index: slice | Tensor = slice(None)) -> Tensor:
        """Return the chosen images as float32 (B, C, H, W) in [0, 1]."""
        return to_unit(self.images[index])

    def take(self, positions: Sequence[Tensor], seed: Sequence[int] | None = None) -> Batches:
        whole = torch.cat(list(positions)).to(self.images.device)  # one transfer an epoch
        for index in whole.split([len(batch) for batch in positions]):
            yield self.images[index], self.labels[index]


class TextEncoder(Protocol):
    """What turns texts into vectors; `cvae_lib.encoders` has three."""

    name: str
    dim: int  # of a text's vector
    word_dim: int  # of a word's
    fingerprint: str  # SHA-256 of the weights, or settings: with ``name``, which vectors texts get

    def __call__(self, texts: Sequence[str]) -> Tensor: ...  # float32 (N, dim) on the CPU
    def words(self, texts: Sequence[str]) -> Tensor: ...  # (N, L, word_dim), padded as `Words`
    def ragged(self, texts: Sequence[str]) -> Words: ...  # the same, as sets keep them


def about_encoder(encoder: TextEncoder) -> dict[str, Any]:
    """What `fit` is to write into a checkpoint of the encoder that its text vectors came from."""
    return {"text_encoder": {key: getattr(encoder, key) for key in ("name", "dim", "fingerprint")}}


@dataclass(frozen=True)
class CaptionedSet(DataSet):
    """Images with captions, and every caption's vector or words; ValueError for what does not fit.

    The arrays may be memory maps: threads read what a batch takes, a few batches ahead. Where there
    are `Words`, a batch of texts is float32 (B, L, D), padded, else (B, D).
    """

    images: np.ndarray  # uint8 (N, C, H, W)
    vectors: np.ndarray | Words  # float16 or float32 (M, D), one for each caption; or its words
    starts: np.ndarray  # int64 (N + 1,), 0 … M: those of image i are starts[i] … starts[i + 1] - 1
    texts: Sequence[str]  # the M captions
    truths: Sequence[Any] | None = None  # the `Scene` that each image shows; None for photos
    source: str = "memory"  # where the images came from, for notices and run records
    device: torch.device = CPU  # where batches come to be; the arrays stay where they are
    styles: tuple[str, ...] = ()  # names of an image's captions, where all have the same kinds

    def __post_init__(self) -> None:
        for name in ("images", "vectors", "starts"):
            if not isinstance(vars(self)[name], Words):
                vars(self)[name] = np.asanyarray(vars(self)[name])  # frozen, but for this
        _check("images", self.images, "uint8", ("N", "C", "H", "W"))
        count, texts, kinds = len(self.images), len(self.texts), len(self.styles)
        if not isinstance(self.vectors, Words):
            _check("vectors, one for each text,", self.vectors, "float16 or float32", (texts, "D"))
        elif len(self.vectors) != texts:
            raise ValueError(f"{texts} texts have words of {len(self.vectors)}")
        _check("starts", self.starts, "int64", (count + 1,))
        if (ends := (int(self.starts[0]), int(self.starts[-1]))) != (0, texts):
            raise ValueError(f"starts must rise from 0 to {texts}, got {ends} at its ends")
        counts = np.diff(self.starts)
        for image in np.flatnonzero((counts != kinds) if kinds else (counts < 1)):
            want = f"{kinds}, one of each style" if kinds else "at least 1"
            raise ValueError(f"image {image} has {counts[image]} captions, want {want}")
        if self.truths is not None and len(self.truths) != count:
            raise ValueError(f"{count} images have {len(self.truths)} truths")

    def to(self, device: str | torch.device) -> "CaptionedSet":
        return replace(self, device=torch.device(device))

    def subset(self, index: slice | np.ndarray) -> "CaptionedSet":
        """Return the images that ``index`` selects; one piece is not copied."""
        rows = np.arange(len(self))[index]
        starts, places = runs(self.starts, rows)
        vectors = self.vectors
        vectors = vectors.subset(places) if isinstance(vectors, Words) else vectors[piece(places)]
        return replace(
            self,
            images=self.images[piece(rows)],
            vectors=vectors,
            starts=starts,
            texts=[self.texts[place] for place in places],
            truths=None if self.truths is None else [self.truths[row] for row in rows],
        )

    def captions(self, style: str | None = None) -> list[str]:
        """Return a caption of each image, of a ``style`` or the first."""
        return [self.texts[place] for place in self._places(style)]

    def text_vectors(self, style: str | None = None) -> Tensor:
        """Return the vectors of `captions`: float32 (N, D), or padded words (N, L, D)."""
        return torch.from_numpy(np.asarray(self.vectors[self._places(style)], np.float32))

    def _places(self, style: str | None) -> np.ndarray:
        if style is not None and style not in self.styles:
            known = ", ".join(self.styles) or "none: these captions are of no style"
            raise ValueError(f"no style {style!r} of captions in {self.source}; known are {known}")
        return self.starts[:-1] + (self.styles.index(style) if style else 0)

    def fingerprint(self) -> str:
        """Return a hash of all captions and of `SAMPLED` images: to read all may take minutes."""
        part = self.subset(np.linspace(0, len(self) - 1, min(len(self), SAMPLED)).astype(int))
        told = f"{part.sha256()} {self.starts.tolist()} {list(self.texts)}"
        return hashlib.sha256(told.encode()).hexdigest()

    def take(self, positions: Sequence[Tensor], seed: Sequence[int] | None = None) -> Batches:
        captions: np.ndarray = self.starts[:-1]
        style: np.ndarray = np.zeros(len(positions), int)
        if seed is not None:
            rng = np.random.default_rng(seed)
            if self.styles and isinstance(self.vectors, Words):  # one for a batch: little padding
                # from the last batch back, so that an epoch goes on as it began
                style = rng.integers(len(self.styles), size=len(positions))[::-1]
            else:
                captions = rng.integers(captions, self.starts[1:])

        def read(batch: tuple[Tensor, int]) -> list[Tensor]:
            index, style = batch
            rows, order = np.unique(index.numpy(), return_inverse=True)  # a disk likes them sorted
            arrays = self.images[rows][order], self.vectors[captions[rows] + style][order]
            tensors = [torch.from_numpy(np.asarray(array)) for array in arrays]
            pin = self.device.type == "cuda"  # a GPU fetches from such memory while it computes
            return [tensor.pin_memory() for tensor in tensors] if pin else tensors

        for pair in prefetched(read, zip(positions, style, strict=True)):
            images, vectors = (tensor.to(self.device, non_blocking=True) for tensor in pair)
            yield images, vectors.float()


def prefetched(make: Callable[[Any], Any], orders: Iterable, ahead: int = 3) -> Generator[Any]:
    """Yield ``make(order)`` for each order, in turn; threads make up to ``ahead`` more meanwhile.

    What ``make`` raises is raised here, in its turn. Closing the iterator ends the threads.
    """
    orders = iter(orders)
    with ThreadPoolExecutor(ahead, "prefetch") as pool:
        waiting = deque(pool.submit(make, order) for order in islice(orders, ahead))
        while waiting:
            waiting.extend(pool.submit(make, order) for order in islice(orders, 1))
            yield waiting.popleft().result()


def _check(name: str, array: Any, kinds: str, shape: tuple[int | str, ...]) -> None:
    """Raise ValueError unless the array is of one of ``kinds`` and has as many sides, or rows."""
    fits = str(array.dtype).removeprefix("torch.") in kinds.split(" or ")
    if not fits or array.ndim != len(shape) or shape[0] not in ("N", len(array)):
        want = f"{kinds} {shape}".replace("'", "")
        raise ValueError(f"{name} must be {want}, got {array.dtype} {tuple(array.shape)}")
