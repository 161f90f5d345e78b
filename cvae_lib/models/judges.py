"""The judges of drawn pictures: a classifier of garments, a reader of scenes; their losses."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cvae_lib.checks import check_images, evaluating, whole_number
from cvae_lib.data.sets import CaptionedSet
from cvae_lib.data.shapes import CENTRES, COLOURS, SHAPES, SIZES
from cvae_lib.models.base import Rebuildable
from cvae_lib.models.garments import N_CLASSES

SIDE = 64  # pixels: scenes of other sizes are resized to it
COLOUR_NAMES, SHAPE_NAMES, SIZE_NAMES = list(COLOURS), list(SHAPES), list(SIZES)


class FashionJudge(Rebuildable):
    """A small convolutional classifier of garments; `features` feed the Fréchet distance."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width = whole_number("width", width, at_least=1)
        self.trunk = nn.Sequential(
            convolution(1, width),
            convolution(width, width),
            nn.MaxPool2d(2),
            convolution(width, 2 * width),
            convolution(2 * width, 2 * width),
            nn.MaxPool2d(2),
            convolution(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4 * width, 64),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(64, N_CLASSES)

    def features(self, x: Tensor) -> Tensor:
        """x (B, 1, 28, 28) in [0, 1] → (B, 64), non-negative."""
        return self.trunk(check_images(x, (1, 28, 28)).to(self.head.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, 1, 28, 28) in [0, 1] → class logits (B, 10)."""
        return self.head(self.dropout(self.features(x)))


def judge_objective(
    model: Any, x: Tensor, labels: Tensor, generator: Generator | None = None, beta: Any = 1.0
) -> dict[str, Tensor]:
    """Cross-entropy (nats) and error (0 or 1) per example; training images are mirrored, blurred.

    A judge of drawn pictures should say what they show, not how sharp they are: trained on sharp
    pictures alone, it takes a blurred sandal for a sneaker.
    """
    if model.training:
        mirrored, share = torch.rand(2, len(x), 1, 1, 1, generator=generator, device=x.device)
        x = blurred(torch.where(mirrored < 0.5, x.flip(3), x), share)
    logits = model(x).float()
    smoothing = 0.1 if model.training else 0.0
    loss = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    return {"loss": loss, "error": (logits.argmax(1) != labels).float()}


class Seen(NamedTuple):
    """A thing that a picture may show, by names, and the probability that it is there at all."""

    presence: float  # probability, 0 … 1
    colour: str
    shape: str
    size: str
    row: int  # 0 is the top
    column: int  # 0 is left


class SceneJudge(Rebuildable):
    """Reads a scene: one attention map for each colour says where its thing is."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.width = width = whole_number("width", width, at_least=2)
        self.trunk = nn.Sequential(
            convolution(3, width // 2, stride=2),
            convolution(width // 2, width, stride=2),
            *(convolution(width, width) for _ in range(3)),
        )
        self.heat = nn.Conv2d(width, len(COLOURS), 1)
        self.shape = nn.Linear(width, len(SHAPES))
        self.size = nn.Linear(width, len(SIZES))
        centres = (torch.arange(SIDE // 4) + 0.5) / (SIDE // 4)
        grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1)
        self.grid: Tensor
        self.register_buffer("grid", grid.view(-1, 2), persistent=False)

    def maps(self, x: Tensor) -> Tensor:
        """x (B, 3, S, S) in [0, 1] → feature maps (B, width, 16, 16)."""
        x = check_images(x, (3, None, None), "pictures").float()
        if x.shape[2:] != (SIDE, SIDE):
            x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)
        return self.trunk(x.to(self.heat.weight.dtype))

    def features(self, x: Tensor) -> Tensor:
        """x (B, 3, S, S) in [0, 1] → (B, width), non-negative, for the Fréchet distance."""
        return self.maps(x).float().mean((2, 3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x (B, 3, S, S) in [0, 1] → what it shows of each colour: no scene has two things of one.

        Logits of its presence (B, 8), of its shape (B, 8, 6) and size (B, 8, 3); x and y of its
        centre (B, 8, 2), in widths of the picture.
        """
        maps = self.maps(x)
        heat = self.heat(maps).float().flatten(2)  # (B, 8, 256)
        attention = heat.softmax(2)
        seen = attention @ maps.float().flatten(2).transpose(1, 2)  # (B, 8, width)
        shape, size = (head(seen.to(head.weight.dtype)).float() for head in (self.shape, self.size))
        return heat.amax(2), shape, size, attention @ self.grid.float()

    @torch.no_grad()
    def things(self, images: Tensor) -> list[list[Seen]]:
        """What each picture (N, 3, S, S) shows: a thing of every colour, the surest first."""
        with evaluating(self):
            readings = [self(batch) for batch in check_images(images).split(500)]
        parts = zip(*readings, strict=True)
        presence, shape, size, place = (torch.cat(part).cpu() for part in parts)
        nearest = (place[..., None] - torch.tensor(CENTRES)).abs().argmin(3)
        read = presence.sigmoid(), shape.argmax(2), size.argmax(2), nearest
        pictures = []
        for picture in zip(*(part.tolist() for part in read), strict=True):
            seen = [
                Seen(sure, colour, SHAPE_NAMES[kind], SIZE_NAMES[wide], row, column)
                for colour, sure, kind, wide, (column, row) in zip(COLOURS, *picture, strict=True)
            ]
            pictures.append(sorted(seen, key=lambda thing: -thing.presence))
        return pictures


def truth_set(data: CaptionedSet) -> CaptionedSet:
    """Scenes with truths for vectors, (N, 8 · 5): of each colour presence, shape, size, x, y.

    ValueError for a set without truths.
    """
    if data.truths is None:
        raise ValueError(f"{data.source} has no truths: the judge learns from Scenes")
    targets = np.zeros((len(data), len(COLOURS), 5), np.float32)
    for row, scene in zip(targets, data.truths, strict=True):
        for thing in scene.things:
            kind = SHAPE_NAMES.index(thing.shape), SIZE_NAMES.index(thing.size)
            row[COLOUR_NAMES.index(thing.colour)] = 1, *kind, thing.x, thing.y
    starts = np.arange(len(data) + 1, dtype=np.int64)
    vectors, texts = targets.reshape(len(data), -1), [""] * len(data)
    return replace(data, vectors=vectors, starts=starts, texts=texts, styles=())


def scene_judge_objective(
    model: Any, x: Tensor, targets: Tensor, generator: Generator | None = None, beta: Any = 1.0
) -> dict[str, Tensor]:
    """The loss and its terms (B,): nats; widths of the picture for "place".

    ``x`` is (B, 3, H, W), ``targets`` (B, 40) are those of `truth_set`. Training pictures are
    blurred.
    """
    if model.training:
        x = blurred(x, torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device))
    there, true_shape, true_size, *centre = targets.view(len(targets), -1, 5).unbind(2)
    presence, shape, size, place = model(x)
    found = F.binary_cross_entropy_with_logits(presence, there, reduction="none")
    terms = {"presence": found.sum(1)}
    for name, logits, truth in (("shape", shape, true_shape), ("size", size, true_size)):
        nats = F.cross_entropy(logits.flatten(0, 1), truth.long().flatten(), reduction="none")
        terms[name] = (nats.view_as(there) * there).sum(1)
    off = (place - torch.stack(centre, 2)).abs().sum(2)
    terms["place"] = (off * there).sum(1)
    return {"loss": torch.stack(list(terms.values())).sum(0), **terms}


def convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """3×3 convolution, BatchNorm, ReLU: (B, C_in, S, S) → (B, C_out, S/stride, S/stride)."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def blurred(x: Tensor, share: Tensor) -> Tensor:
    """Images (B, C, H, W), each blurred by a ``share`` (B, 1, 1, 1) of σ = 1.5 pixels."""
    from torchvision.transforms.functional import gaussian_blur  # seconds: for a judge's training

    return torch.lerp(x, gaussian_blur(x, [7, 7], [1.5, 1.5]), share)
