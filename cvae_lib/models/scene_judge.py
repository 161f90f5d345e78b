"""The judge of drawn scenes: it says which shapes of which colours a picture shows, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvae_lib.checks import check_images, evaluating, whole_number
from cvae_lib.data.sets import CaptionedSet
from cvae_lib.data.shapes import CENTRES, COLOURS, SHAPES, SIZES, Scene
from cvae_lib.models.judges import blurred, convolution

SIDE = 64  # pixels: pictures of other sizes are resized to it


class Reading(NamedTuple):
    """What the judge sees, a row for each of the 8 colours: no scene has two things of one."""

    presence: Tensor  # (B, 8) logits: is there a thing of this colour?
    shape: Tensor  # (B, 8, 6) logits
    size: Tensor  # (B, 8, 3) logits
    place: Tensor  # (B, 8, 2) x and y of its centre, in widths of the picture


class Seen(NamedTuple):
    """A thing that a picture may show, by names, and the probability that it is there at all."""

    presence: float
    colour: str
    shape: str
    size: str
    row: int
    column: int


class SceneJudge(nn.Module):
    """Reads a scene: one attention map for each colour says where its thing is.

    `features` (B, width) feed the Fréchet distance, `forward` gives a `Reading`, `things` names.
    """

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

    @property
    def architecture(self) -> dict[str, Any]:
        """The constructor's arguments, for checkpoints."""
        return {"width": self.width}

    def maps(self, x: Tensor) -> Tensor:
        """x (B, 3, S, S) in [0, 1] → feature maps (B, width, 16, 16)."""
        x = check_images(x, (3, None, None), "pictures").float()
        if x.shape[2:] != (SIDE, SIDE):
            x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)
        return self.trunk(x.to(self.heat.weight.dtype))

    def features(self, x: Tensor) -> Tensor:
        """x (B, 3, S, S) in [0, 1] → (B, width), non-negative: the maps' means."""
        return self.maps(x).float().mean((2, 3))

    def forward(self, x: Tensor) -> Reading:
        """x (B, 3, S, S) in [0, 1] → what it shows."""
        maps = self.maps(x)
        heat = self.heat(maps).float().flatten(2)  # (B, 8, 256)
        attention = heat.softmax(2)
        seen = attention @ maps.float().flatten(2).transpose(1, 2)  # (B, 8, width)
        shape, size = (head(seen.to(head.weight.dtype)).float() for head in (self.shape, self.size))
        return Reading(heat.amax(2), shape, size, attention @ self.grid.float())

    @torch.no_grad()
    def things(self, images: Tensor, batch_size: int = 500) -> list[list[Seen]]:
        """What each picture (N, 3, S, S) shows: a thing of every colour, the surest first."""
        pictures = []
        with evaluating(self):
            readings = [self(batch) for batch in check_images(images).split(batch_size)]
        for reading in readings:
            presence = reading.presence.sigmoid().tolist()
            shape, size = reading.shape.argmax(2).tolist(), reading.size.argmax(2).tolist()
            nearest = (
                (reading.place[..., None] - torch.tensor(CENTRES).to(reading.place)).abs().argmin(3)
            )
            for sure, kinds, sizes, cells in zip(
                presence, shape, size, nearest.tolist(), strict=True
            ):
                seen = [
                    Seen(
                        sure[k], colour, list(SHAPES)[kinds[k]], list(SIZES)[sizes[k]], row, column
                    )
                    for k, (colour, (column, row)) in enumerate(zip(COLOURS, cells, strict=True))
                ]
                pictures.append(sorted(seen, key=lambda thing: -thing.presence))
        return pictures


def judge_targets(truths: Sequence[Scene]) -> Tensor:
    """Truths of scenes → float32 (N, 8 · 5): for each colour presence, shape, size, x, y."""
    targets = torch.zeros(len(truths), len(COLOURS), 5)
    for row, scene in enumerate(truths):
        for thing in scene.things:
            shape, size = list(SHAPES).index(thing.shape), list(SIZES).index(thing.size)
            about = torch.tensor([1.0, shape, size, thing.x, thing.y])
            targets[row, list(COLOURS).index(thing.colour)] = about
    return targets.flatten(1)


def truth_set(data: CaptionedSet) -> CaptionedSet:
    """Scenes with their truths, as `judge_targets`, in place of the captions' vectors."""
    if data.truths is None:
        raise ValueError(f"{data.source} has no truths: the judge learns from Scenes")
    return replace(
        data,
        vectors=judge_targets(data.truths).numpy(),
        starts=np.arange(len(data) + 1, dtype=np.int64),
        texts=[""] * len(data),
        styles=(),
    )


def judge_losses(reading: Reading, targets: Tensor) -> dict[str, Tensor]:
    """Each term of the judge's loss, per example: nats, and widths of the picture for "place"."""
    present, shape, size, x, y = targets.view(len(targets), -1, 5).unbind(2)
    logits = {"shape": (reading.shape, shape), "size": (reading.size, size)}
    terms = {
        "presence": F.binary_cross_entropy_with_logits(
            reading.presence, present, reduction="none"
        ).sum(1)
    }
    for name, (scores, truth) in logits.items():
        nats = F.cross_entropy(scores.flatten(0, 1), truth.long().flatten(), reduction="none")
        terms[name] = (nats.view_as(present) * present).sum(1)
    off = (reading.place - torch.stack([x, y], 2)).abs().sum(2)
    return terms | {"place": (off * present).sum(1)}


def scene_judge_objective(
    model: Any,
    x: Tensor,
    targets: Tensor,
    generator: torch.Generator | None = None,
    beta: float | Tensor = 1.0,
) -> dict[str, Tensor]:
    """The sum of `judge_losses` and its terms per example; training pictures are blurred."""
    if model.training:
        x = blurred(x, torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device))
    terms = judge_losses(model(x), targets)
    return {"loss": torch.stack(list(terms.values())).sum(0), **terms}
