"""What experiments measured: one JSON file a run, kept in ``records/EXPERIMENT/RUN.json``."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cvae_lib.files import write_atomically

FOLDER = Path(__file__).parent / "records"


class Interval(NamedTuple):
    """A mean over seeds and the half width of its 95 % confidence interval."""

    mean: float
    half_width: float

    def __str__(self) -> str:
        """Two significant digits of the half width, and the mean to the same place."""
        if not self.half_width or not math.isfinite(self.half_width):
            return f"{self.mean:.4g} ± {self.half_width:.2g}"
        places = max(0, 1 - math.floor(math.log10(self.half_width)))
        return f"{self.mean:.{places}f} ± {self.half_width:.{places}f}"


def interval(values: Sequence[float]) -> Interval:
    """Mean and Student's 95 % confidence interval of independent runs.

    Raises:
        ValueError: for fewer than two values: one run has no spread.
    """
    if len(values) < 2:
        raise ValueError(f"an interval needs at least 2 runs, got {len(values)}")
    from scipy.stats import t  # seconds to import

    values = [float(value) for value in values]  # tensors and NumPy's numbers, too
    error = statistics.stdev(values) / math.sqrt(len(values))
    return Interval(statistics.fmean(values), float(t.ppf(0.975, len(values) - 1)) * error)


def experiments() -> list[str]:
    """The names of all experiments that have records, sorted."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def runs(experiment: str) -> list[dict[str, Any]]:
    """Every run of an experiment, sorted by name; each has its own name under "run".

    Raises:
        ValueError: for an experiment without records; the message lists those with.
    """
    if experiment not in experiments():
        raise ValueError(f"no experiment {experiment!r}: choose one of {', '.join(experiments())}")
    paths = sorted((FOLDER / experiment).glob("*.json"))
    return [{"run": path.stem, **json.loads(path.read_text("utf-8"))} for path in paths]


def write_run(experiment: str, run: str, result: dict[str, Any]) -> Path:
    """Keep what a run measured; return the file."""
    path = FOLDER / experiment / f"{run}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode())
    return path
