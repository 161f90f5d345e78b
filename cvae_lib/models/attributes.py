"""What is measured on pictures of garments, and how it follows the code."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cvae_lib.checks import check_images, evaluating

GARMENT = 0.1  # a pixel of at least so much grey is the garment's
DRAWN = 3000  # pictures of the class that tell how an attribute follows z


def attributes(images: Tensor) -> dict[str, Tensor]:
    """Measure garments (B, 1, 28, 28) in [0, 1]; each attribute is (B,).

    "brightness": the mean grey of the garment's pixels. "width": the natural logarithm of their
    standard deviation across over that down, in pixels; 0 for a square or a disc. "shading": the
    mean grey of the garment's upper half less that of its lower half, halves of the picture.
    """
    x = check_images(images, (1, None, None))[:, 0]
    garment = (x >= GARMENT).to(x)
    area = garment.sum((1, 2)).clamp_min(1)
    spreads = []
    for axis in (2, 1):  # across, down
        share = garment.sum(3 - axis) / area[:, None]
        place = torch.arange(x.shape[axis]).to(x)
        centre = (share * place).sum(1, keepdim=True)
        spreads.append((share * (place - centre).square()).sum(1) + 1 / 12)  # a pixel has a width
    greys = [
        (x * garment)[:, rows].sum((1, 2)) / garment[:, rows].sum((1, 2)).clamp_min(1)
        for rows in (slice(x.shape[1] // 2), slice(x.shape[1] // 2, None))
    ]
    return {
        "brightness": (x * garment).sum((1, 2)) / area,
        "width": (spreads[0] / spreads[1]).log() / 2,
        "shading": greys[0] - greys[1],
    }


class Regression(NamedTuple):
    """measured ≈ weight · z + offset, for P attributes of one class of a model's pictures."""

    weight: Tensor  # (P, latent_dim)
    offset: Tensor  # (P,)
    noise: Tensor  # (P, P): the covariance of what is left
    measured: dict[str, Tensor]  # each (N,)


@torch.no_grad()
def regress(
    model: Any,
    label: int,
    names: Sequence[str],
    measure: Callable[[Tensor], dict[str, Tensor]] = attributes,
) -> Regression:
    """Regress what ``measure`` finds on z (least squares, a little ridge), for the class ``label``.

    The pictures are `DRAWN` that the conditional VAE itself draws, always the same ones.
    """
    device = model.prior.mean.device
    labels = torch.full((DRAWN,), label, device=device)
    z = model.prior.sample(DRAWN, labels, torch.Generator(device).manual_seed(0))
    with evaluating(model):
        parts = [model.decode(part, labels[: len(part)]) for part in z.split(500)]
    measured = measure(torch.cat(parts).cpu().double())
    y, z = torch.stack([measured[name] for name in names], 1), z.cpu().double()
    x, centred = z - z.mean(0), y - y.mean(0)
    gram = x.T @ x + 1e-3 * DRAWN * torch.eye(x.shape[1]).double()
    weight = torch.linalg.solve(gram, x.T @ centred).T
    left = centred - x @ weight.T
    noise = left.T @ left / DRAWN + 1e-6 * torch.eye(len(weight)).double()
    return Regression(weight, y.mean(0) - weight @ z.mean(0), noise, measured)


def directions(model: Any, label: int, fit: Regression) -> Tensor:
    """For each attribute of a regression, the way in which the codes of the class change with it.

    (P, latent_dim): the shortest step, in the spread S of the class's codes, by which the predicted
    attribute grows by one standard deviation: S w / √(wᵀ S w).
    """
    share, mean, scale = (
        part[label].cpu().double()
        for part in (model.prior.weight, model.prior.mean, model.prior.scale)
    )
    gap = mean - share @ mean
    spread = torch.einsum("k,kde,kfe->df", share, scale, scale) + (gap.T * share) @ gap
    ways = fit.weight @ spread
    return ways / (ways * fit.weight).sum(1, keepdim=True).sqrt()
