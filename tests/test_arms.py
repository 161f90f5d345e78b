"""The command line of the experiments, the order of their runs, and that none is repeated."""

from __future__ import annotations

from pathlib import Path

import arms
import pytest

from cvae_lib import records

SEEDS = {"plain": range(2), "heavy": range(1)}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "FOLDER", tmp_path)


def test_every_arms_first_seed_comes_before_the_second() -> None:
    jobs = list(arms.seed_by_seed("tests", SEEDS))
    assert jobs == [("tests", "plain", 0), ("tests", "heavy", 0), ("tests", "plain", 1)]


def test_a_run_with_a_record_is_run_again_only_if_asked() -> None:
    ran = []

    def run(arm: str, seed: int) -> dict[str, object]:
        ran.append((arm, seed))
        return {"arm": arm, "metrics": {"times": len(ran)}}

    jobs = list(arms.seed_by_seed("tests", SEEDS))
    arms.run_missing(jobs[:1], run, again=False)
    arms.run_missing(jobs, run, again=False)
    assert ran == [("plain", 0), ("heavy", 0), ("plain", 1)]
    arms.run_missing(jobs[:1], run, again=True)
    assert [found["metrics"]["times"] for found in records.runs("tests")] == [2, 4, 3]


def test_the_command_line_names_arms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(arms.torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr("sys.argv", ["script", "heavy", "--again"])
    given = arms.parse(arms.parser("What it does.\n\nAnd more."), SEEDS)
    assert (given.arms, given.again) == (["heavy"], True)
    monkeypatch.setattr("sys.argv", ["script"])
    assert arms.parse(arms.parser(None), SEEDS).arms == list(SEEDS)
    monkeypatch.setattr("sys.argv", ["script", "light"])
    with pytest.raises(SystemExit):
        arms.parse(arms.parser(None), SEEDS)
    assert "unknown arm light: choose of plain, heavy" in capsys.readouterr().err
