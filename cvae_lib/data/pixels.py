"""Bytes to numbers in [0, 1] and back; anything else is refused."""

import torch
from torch import Tensor


def to_unit(images: Tensor) -> Tensor:
    """uint8 images, any shape, → new float32 ones in [0, 1]."""
    if images.dtype != torch.uint8:
        raise ValueError(f"images to scale to [0, 1] must be uint8, {_range(images)}")
    return images.to(torch.float32).div_(255)


def to_bytes(images: Tensor) -> Tensor:
    """Floating images in [0, 1], any shape, → uint8, rounded to the nearest grey.

    What lies outside is refused on the CPU; on a GPU, which need not be waited for, it is clamped.
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
