"""The judge of drawn garments: a small classifier."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from cvae_lib.models.garments import N_CLASSES


class FashionJudge(nn.Module):
    """A small residual classifier of garments: the judge of drawn pictures.

    `features` (B, 64) feed the Fréchet distance, `forward` gives logits (B, 10).
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
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
        return self.trunk(x)

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
