"""Records of experiments: the interval, reading and writing, and what the kept ones hold."""

import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from arms import write_run
from scipy import stats

from cvae_lib import records


def test_interval_is_students() -> None:
    values = [3.1, 2.7, 3.9, 3.3, 2.9]
    low, high = stats.t.interval(
        0.95, len(values) - 1, loc=statistics.fmean(values), scale=stats.sem(values)
    )
    for given in (values, torch.tensor(values).double(), np.array(values)):
        mean, half_width = records.interval(given)  # type: ignore[arg-type]
        assert (mean - half_width, mean + half_width) == pytest.approx((low, high))
    with pytest.raises(ValueError, match="at least 2 runs, got 1"):
        records.interval([1.0])


@pytest.mark.parametrize(
    ("mean", "half_width", "text"),
    [
        (236.834, 0.4321, "236.83 ± 0.43"),
        (0.88812, 0.0042, "0.8881 ± 0.0042"),
        (8.9, 12.3, "9 ± 12"),
        (1.0, 0.0, "1 ± 0"),
    ],
)
def test_an_interval_shows_two_digits_of_its_width(
    mean: float, half_width: float, text: str
) -> None:
    assert str(records.Interval(mean, half_width)) == text


def test_runs_come_back_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    for seed in (1, 0):
        write_run("tea", f"green-{seed}", {"seed": seed, "note": "ß"})
    assert records.experiments() == ["tea"]
    assert records.runs("tea") == [
        {"run": "green-0", "seed": 0, "note": "ß"},
        {"run": "green-1", "seed": 1, "note": "ß"},
    ]
    with pytest.raises(ValueError, match="no experiment 'coffee': choose one of tea"):
        records.runs("coffee")
