"""book/results.md and the chapters' times say what the records say."""

from pathlib import Path
from typing import Any

import chapter_times
import chapters
import nbformat
import pytest
import write_results

from cvae_lib import records


def test_the_page_is_up_to_date() -> None:
    written = write_results.PAGE.read_text(encoding="utf-8")
    assert written == write_results.page(), "`make results` writes book/results.md anew"


def run(arm: str, seed: int, **metrics: Any) -> dict[str, Any]:
    return {"arm": arm, "seed": seed, "metrics": metrics, "seconds": 1800, "hardware": "abacus"}


def tea(monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
    entry = write_results.Experiment("Tea", "How hot?", "tea.py", {"heat": "cup.heat"}, **more)
    monkeypatch.setitem(write_results.EXPERIMENTS, "tea", entry)


def test_an_arm_is_a_row_with_mean_and_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    tea(monkeypatch)
    runs = [
        run("t-10", 0, cup={"heat": 3.0}),
        run("t-9", 0, cup={"heat": 1.0}),
        run("t-9", 1, cup={"heat": 2.0}),
    ]
    title, about, command, table = write_results.experiment("tea", runs, "https://a.example")
    assert title == "## Tea"
    assert about == "How hot? 3 runs took 1.5 hours in all (abacus)."
    assert command.startswith("`python benchmarks/tea.py --again` ([script](https://a.example/")
    assert table.splitlines()[2:] == [
        f"| `t-9` | 2 | {records.interval([1.0, 2.0])} |",
        "| `t-10` | 1 | 3 |",
    ]


def test_an_experiment_without_an_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="experiment 'coffee' has records and no entry"):
        write_results.experiment("coffee", [run("a", 0, heat=1.0)], "")


def test_an_arm_or_a_number_that_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tea(monkeypatch, arms={"green": "green tea"})
    with pytest.raises(ValueError, match="does not describe: \\['black'\\]"):
        write_results.experiment("tea", [run("black", 0, cup={"heat": 1.0})], "")
    with pytest.raises(ValueError, match="no record has the numbers of heat"):
        write_results.experiment("tea", [run("green", 0, cold=1.0)], "")
    with pytest.raises(ValueError, match=r"'cup\.heat' stands in 1 of 2 runs"):
        runs = [run("green", 0, cup={"heat": 1.0}), run("green", 1)]
        write_results.experiment("tea", runs, "")


# --- the chapters' times ---------------------------------------------------------------------


CPU = {"chapter": "04_a", "scale": "cpu", "device": "cpu", "seconds": 113.4}
GPU = {"chapter": "04_a", "scale": "gpu", "device": "cuda", "seconds": 45, "hardware": "NVIDIA T4"}


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        ([], "not measured yet."),
        ([CPU | {"chapter": "05_b"}, CPU | {"scale": "smoke"}], "not measured yet."),
        (
            [CPU | {"threads": 2, "hardware": "AMD EPYC 9B14, 2 threads"}],
            "1 min 53 s on 2 CPU cores (AMD EPYC 9B14), not measured on a GPU.",
        ),
        (
            [CPU | {"threads": 1, "hardware": "AMD EPYC, 1 thread"}, GPU],
            "1 min 53 s on 1 CPU core (AMD EPYC); 45 s on a GPU (NVIDIA T4).",
        ),
        ([GPU], "not measured on a CPU; 45 s on a GPU (NVIDIA T4)."),
    ],
)
def test_a_time_is_told_as_measured(runs: list[dict[str, Any]], text: str) -> None:
    assert chapter_times.code_time("04_a", runs) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (59.4, "59 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "60 min")],
)
def test_clock(seconds: float, text: str) -> None:
    assert chapter_times.clock(seconds) == text


def test_only_the_time_is_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = '["**Time** 40 minutes to read; code: not measured yet.\\n", "ß"]'
    path = tmp_path / "book" / "04_a.ipynb"
    path.parent.mkdir()
    path.write_text(before, encoding="utf-8")
    monkeypatch.setattr(chapter_times, "ROOT", tmp_path)
    monkeypatch.setattr(chapter_times, "kept", lambda: [GPU])
    for _ in range(2):
        chapter_times.main()
        after = before.replace(
            "not measured yet", "not measured on a CPU; 45 s on a GPU (NVIDIA T4)"
        )
        assert path.read_text(encoding="utf-8") == after
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"04_a\.ipynb has 0 lines"):
        chapter_times.main()


def test_a_chapters_time_is_that_of_its_cells(tmp_path: Path) -> None:
    cells = [
        nbformat.v4.new_markdown_cell("# Tea"),
        nbformat.v4.new_code_cell("import time"),
        nbformat.v4.new_code_cell("time.sleep(0.3)"),
        nbformat.v4.new_code_cell(""),
    ]
    path = tmp_path / "01_tea.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    before = path.read_bytes()
    assert 0.3 <= chapters.run(path) < 30
    assert path.read_bytes() == before
