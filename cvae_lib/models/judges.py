"""The judge of drawn garments, a small classifier, and what it learns from."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvae_lib.checks import check_images, whole_number
from cvae_lib.models.garments import N_CLASSES


class FashionJudge(nn.Module):
    """A small residual classifier of garments: the judge of drawn pictures.

    `features` (B, 64) feed the Fréchet distance, `forward` gives logits (B, 10).
    """

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

    @property
    def architecture(self) -> dict[str, Any]:
        """The constructor's arguments, for checkpoints."""
        return {"width": self.width}

    def features(self, x: Tensor) -> Tensor:
        """x (B, 1, 28, 28) in [0, 1] → (B, 64), non-negative."""
        return self.trunk(check_images(x, (1, 28, 28)).to(self.head.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, 1, 28, 28) in [0, 1] → class logits (B, 10)."""
        return self.head(self.dropout(self.features(x)))


def convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """3×3 convolution, BatchNorm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def judge_objective(
    model: Any,
    x: Tensor,
    labels: Tensor,
    generator: torch.Generator | None = None,
    beta: float | Tensor = 1.0,
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


def blurred(x: Tensor, share: Tensor) -> Tensor:
    """Images (B, C, H, W), each blurred by a ``share`` (B, 1, 1, 1) of σ = 1.5 pixels."""
    from torchvision.transforms.functional import gaussian_blur  # seconds: for a judge's training

    return torch.lerp(x, gaussian_blur(x, [7, 7], [1.5, 1.5]), share)
