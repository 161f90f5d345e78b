"""book/results.md and the chapters' times say what the records say."""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import arms
import chapter_times
import execute_book
import nbformat
import pytest
import write_results
from jupyter_cache import get_cache

from cvae_lib import __version__, records


def test_the_page_is_up_to_date() -> None:
    written = write_results.PAGE.read_text(encoding="utf-8")
    assert written == write_results.page(), "`make results` writes book/results.md anew"


def run(arm: str, seed: int, **metrics: Any) -> dict[str, Any]:
    return {"arm": arm, "seed": seed, "metrics": metrics, "seconds": 1800, "hardware": "abacus"}


def tea(**more: Any) -> ModuleType:
    """A script that describes an experiment."""
    script = ModuleType("tea")
    entry = arms.Experiment("Tea", "How hot?", {"heat": "cup.heat"}, **more)
    vars(script).update(EXPERIMENTS={"tea": entry}, ARMS=["t-9", "t-10"])
    return script


def test_an_arm_is_a_row_with_mean_and_interval() -> None:
    runs = [
        run("t-10", 0, cup={"heat": 3.0}),
        run("t-9", 0, cup={"heat": 1.0}),
        run("t-9", 1, cup={"heat": 2.0}),
    ]
    title, about, command, table = write_results.experiment("tea", tea(), runs, "https://a.example")
    assert title == "## Tea"
    assert about == "How hot? 3 runs took 1.5 hours in all (abacus)."
    assert command.startswith("`python benchmarks/tea.py --again` ([script](https://a.example/")
    assert table.splitlines()[2:] == [
        f"| `t-9` | 2 | {records.interval([1.0, 2.0])} |",
        "| `t-10` | 1 | 3 |",
    ]


def test_what_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    script = tea(arms={"green": "green tea"})
    for runs, message in (
        ([run("black", 0, cup={"heat": 1.0})], "does not describe its arms \\['black'\\]"),
        ([run("green", 0, cold=1.0)], "no record has the numbers of heat"),
        (
            [run("green", 0, cup={"heat": 1.0}), run("green", 1)],
            r"'cup\.heat' stands in 1 of 2 runs",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            write_results.experiment("tea", script, runs, "")
    monkeypatch.setattr(records, "experiments", lambda: ["coffee"])
    with pytest.raises(ValueError, match="'coffee' has records and no script"):
        write_results.page()


@pytest.mark.parametrize(
    "name",
    ["adjectives", "busy", "conditioning", "directions", "photos", "scenes", "sentences"],
)
def test_every_arm_is_described(name: str) -> None:
    script = pytest.importorskip(name)
    assert script.EXPERIMENTS[name].arms.keys() == script.ARMS.keys()


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
        (
            [CPU | {"threads": 1, "hardware": "AMD EPYC, 1 thread"}, GPU | {"at_once": 6}],
            "1 min 53 s on 1 CPU core (AMD EPYC); 45 s on a GPU (NVIDIA T4, 6 chapters at a time).",
        ),
    ],
)
def test_a_time_is_told_as_measured(runs: list[dict[str, Any]], text: str) -> None:
    assert chapter_times.code_time("04_a", runs) == text


def test_clock() -> None:
    told = [chapter_times.clock(seconds) for seconds in (0.2, 59.4, 59.6, 61, 3600)]
    assert told == ["1 s", "59 s", "1 min", "1 min 1 s", "60 min"]


def test_only_the_time_is_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = '["**Time** 40 minutes to read; code: not measured yet.\\n", "ß"]'
    path = tmp_path / "book" / "04_a.ipynb"
    path.parent.mkdir()
    path.write_text(before, encoding="utf-8")
    monkeypatch.setattr(chapter_times, "ROOT", tmp_path)
    cpu = CPU | {"threads": 1, "hardware": "AMD EPYC, 1 thread"}
    monkeypatch.setattr(chapter_times, "kept", lambda: [cpu, GPU])
    monkeypatch.setattr(chapter_times, "keep", lambda path, cache: None)
    for _ in range(2):
        chapter_times.main([])
        time = "1 min 53 s on 1 CPU core (AMD EPYC); 45 s on a GPU (NVIDIA T4)"
        after = before.replace("not measured yet", time)
        assert path.read_text(encoding="utf-8") == after
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"04_a\.ipynb has 0 lines"):
        chapter_times.main([])


def test_times_on_a_gpu_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of benchmarks/gpu.sh: those of the chapters that came to their end, and of no rehearsal."""
    monkeypatch.setattr(chapter_times, "ROOT", tmp_path)
    monkeypatch.setattr(chapter_times.records, "FOLDER", tmp_path)
    ends = {"04_a": {"seconds": 45.0}, "05_b": {"stopped": "ValueError: tea", "cell": "x"}}
    told = {"scale": "gpu", "device": "cuda", "at_once": 6, "chapters": ends, "cuda": "13.0"}
    told |= {"library_commit": "c0ffee", "hardware": "NVIDIA T4", "torch": "2.9"}
    (out := tmp_path / "chapters.json").write_text(json.dumps(told), "utf-8")
    chapter_times.main([str(out)])
    assert capsys.readouterr().err == "05_b stopped: ValueError: tea\n"
    (run,) = chapter_times.kept()
    assert (run["run"], run["seconds"], run["at_once"]) == ("04_a-gpu", 45.0, 6)
    cpu = CPU | {"threads": 1, "hardware": "AMD EPYC, 1 thread"}
    line = chapter_times.code_time("04_a", [cpu, run])
    assert line.endswith("; 45 s on a GPU (NVIDIA T4, 6 chapters at a time).")
    out.write_text(json.dumps(told | {"scale": "smoke", "device": "cpu"}), "utf-8")
    with pytest.raises(SystemExit, match="of scale smoke on cpu, not on a GPU"):
        chapter_times.main([str(out)])


def chapter(folder: Path, name: str, code: str) -> Path:
    cell = nbformat.v4.new_code_cell(code)
    path = folder / f"{name}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path


def test_chapters_are_executed_once_and_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = get_cache(tmp_path / "cache")
    tea = chapter(tmp_path, "01_tea", "import time; time.sleep(0.3); 'green'")
    wrong = chapter(tmp_path, "02_wrong", "1 / 0")
    before = tea.read_bytes()
    assert not execute_book.execute([tea, wrong], 2, False, 60, cache)
    out, err = capsys.readouterr()
    assert "02_wrong.ipynb: CellExecutionError" in err and "division by zero" in err
    assert out.startswith("01_tea: ") and tea.read_bytes() == before
    assert execute_book.execute([tea], 2, False, 60, cache) and capsys.readouterr().out == ""
    _, merged = cache.merge_match_into_notebook(nbformat.read(tea, 4))
    assert merged.cells[0].outputs[0]["data"]["text/plain"] == "'green'"

    monkeypatch.setattr(records, "FOLDER", tmp_path / "records")
    (tmp_path / "records").mkdir()
    chapter_times.keep(tea, cache)
    assert records.experiments() == [], "two at a time measure nothing"
    assert execute_book.execute([tea], 1, True, 60, cache)
    about = cache.match_cache_notebook(nbformat.read(tea, 4)).data
    assert about["version"] == __version__ and about["scale"] == "smoke"
    assert re.fullmatch(r"[0-9a-f]{10}( with changes)?|unknown", about["commit"])
    assert about["hardware"] == records.hardware()
    chapter_times.keep(tea, cache)
    (kept,) = records.runs("chapters")
    assert kept["chapter"] == "01_tea" and 0.3 <= kept["seconds"] < 30


def test_the_longest_chapter_starts_first() -> None:
    name = "11_scaling"
    (kept,) = (run["seconds"] for run in chapter_times.kept() if run["chapter"] == name)
    assert execute_book.length(Path(f"{name}.ipynb")) == kept
    assert execute_book.length(Path("99_new.ipynb")) == float("inf")
