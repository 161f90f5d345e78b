"""The instructor's guide: its commands run, word for word, and do what it says."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import problem_sets
import pytest
from test_grading import needs_walls

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "book" / "instructor" / "guide.md"

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[instructor]'")
at_home = pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv", reason="needs to run in the environment of `make install`"
)


def commands() -> str:
    """The guide's commands in one script; this checkout stands for the clone."""
    blocks = re.findall(r"^```bash\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    script = "\n".join(blocks)
    clone = "git clone https://github.com/OWNER/words-to-pictures\ncd words-to-pictures\n"
    assert script.count(clone) == 1
    return "set -e\n" + script.replace(clone, f"cd {ROOT}\n")


@needs_walls
@at_home
def test_the_guide_s_commands_do_what_it_says(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash"],
        input=commands(),
        env={**os.environ, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with (tmp_path / "grades.csv").open(encoding="utf-8", newline="") as file:
        grades = {row["SIS Login ID"]: row["ps1 (4711)"] for row in csv.DictReader(file)}
    assert grades == {"": "100", "ada": "88", "bob": "0"}
    assert "Still to be graded by hand (nbgrader's formgrader): ada\n" in done.stdout
    assert "bob: got variant 1, handed in variant 0" in done.stdout
    course = tmp_path / "course" / "variant-0"
    for made in (
        "release/ps1/ps1.ipynb",
        "colab/ps1.ipynb",
        "instructor/ps1.ipynb",
        "source/ps1/ps1.ipynb",
        "nbgrader_config.py",
        "gradebook.db",
        "feedback/ada/ps1/ps1.html",
    ):
        assert (course / made).is_file(), made
    assert (tmp_path / "course" / "variant-1" / "submitted" / "bob" / "ps1" / "ps1.ipynb").is_file()


def test_the_guide_knows_how_long_each_set_takes() -> None:
    rows = re.findall(r"^\| (ps\d) \|.*\| (\d+) \|$", GUIDE.read_text("utf-8"), re.MULTILINE)
    written = {}
    for path in problem_sets.sources():
        title = problem_sets.read(path).cells[0].source
        minutes = re.findall(r"^\|.* (\d+) \| \d+ \|$", title, re.MULTILINE)
        written[path.stem] = sum(map(int, minutes))
    assert {name: int(minutes) for name, minutes in rows} == written
