"""What a training tells of itself: a row an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

from cvae_lib import plots


@dataclass
class History:
    """One row an epoch: means over the training and validation images, images/s, seconds.

    ``settings`` has what decides about speed and the last bits of the numbers: "precision",
    "channels_last", "threads" (None on a GPU) and "device".
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, column: str) -> list[float]:
        return [row[column] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def last(self) -> dict[str, float]:
        """The last epoch's row."""
        return self.rows[-1]

    def plot(self) -> Figure:
        """Draw each term over the epochs, training beside validation."""
        return plots.plot_history(self.rows)
