"""What experiments measured, one JSON file a run in ``records/EXPERIMENT/RUN.json``, and where."""

import json
import math
import platform
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

FOLDER = Path(__file__).parent / "records"


class Interval(NamedTuple):
    """A mean over seeds and the half width of its 95 % confidence interval."""

    mean: float  # in the unit of the runs
    half_width: float  # the interval is mean ± half_width

    def __str__(self) -> str:
        """Two significant digits of the half width, and the mean to the same place."""
        if not self.half_width or not math.isfinite(self.half_width):
            return f"{self.mean:.4g} ± {self.half_width:.2g}"
        places = max(0, 1 - math.floor(math.log10(self.half_width)))
        return f"{self.mean:.{places}f} ± {self.half_width:.{places}f}"


def interval(values: Sequence[float]) -> Interval:
    """Mean and Student's 95 % confidence interval of independent runs; ValueError for only one."""
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
    """Every run of an experiment, sorted by name, its name under "run"; ValueError without any."""
    if experiment not in experiments():
        raise ValueError(f"no experiment {experiment!r}: choose one of {', '.join(experiments())}")
    paths = sorted((FOLDER / experiment).glob("*.json"))
    return [{"run": path.stem, **json.loads(path.read_text("utf-8"))} for path in paths]


def hardware() -> str:
    """Name of the processor or GPU, and the number of threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        name = found[1].strip() if found else name
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' if threads > 1 else ''}"
