"""The instructor's pages: minutes add up, and what they name stands in the chapters.

Fast and static, but for the two programs of the project sheet, which run here. A row of a schedule
is "05 · Title of a section", "{ref}`ex-05-2`: its title" or anything else that takes time.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_book import OPTION, Chapter, chapters, figures

from cvae_lib import records

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "book" / "instructor"
MINUTES = {"read", "lecture", "together", "in class", "reading", "sets", "project", "at home"}


def page(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


SCHEDULES = page("schedules.md")


def plain(text: str) -> str:
    """Text without Markdown's marks and line breaks."""
    return " ".join(re.sub(r"[*`]", "", text).split())


def titles(chapter: Chapter) -> list[str]:
    return [plain(title) for title in re.findall(r"^## (.*)$", chapter.text, re.M)]


BY_NUMBER = {chapter.number: chapter for chapter in chapters()}
TITLES = {number: titles(chapter) for number, chapter in BY_NUMBER.items()}


def tables(text: str) -> list[list[list[str]]]:
    """Each table's rows of cells, the head first."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        rows = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in block.splitlines()]
        found.append([[cell.strip() for cell in row] for k, row in enumerate(rows) if k != 1])
    return found


def minutes(cell: str) -> int:
    return 0 if cell == "–" else int(cell.strip("*"))


def total(table: list[list[str]]) -> dict[str, int]:
    """The last row's minutes by column; "class" is what lecture and together make."""
    found = {name: minutes(cell) for name, cell in zip(table[0][1:], table[-1][1:], strict=True)}
    return found | {"class": found.get("lecture", 0) + found.get("together", 0)}


def units(part: str) -> list[tuple[str, str, list[list[str]]]]:
    """(title, sentence below it, table) of each session, day or block of a plan."""
    _, _, rest = SCHEDULES.partition(f"\n## {part}\n")
    found = []
    for unit in rest.partition("\n## ")[0].split("\n:::{dropdown} ")[1:]:
        title, _, text = unit.partition("\n")
        (table,) = tables(text)
        found.append((title, plain(text.partition("\n\n")[0]), table))
    return found


PLANS = {part: units(part) for part in ("Four weeks", "One week", "One day")}
UNITS = [unit for plan in PLANS.values() for unit in plan]


# --- schedules -------------------------------------------------------------------------------


@pytest.mark.parametrize("table", tables(SCHEDULES), ids=lambda table: "-".join(table[0])[:40])
def test_the_minutes_of_each_table_add_up(table: list[list[str]]) -> None:
    head, *rows, last = table
    columns = [k for k, name in enumerate(head) if name in MINUTES]
    if columns:
        assert last[0] == "**Sum**", last
    for k in columns:
        assert sum(minutes(row[k]) for row in rows) == minutes(last[k]), (head[k], last)


@pytest.mark.parametrize(("title", "said", "table"), UNITS, ids=[unit[0][:12] for unit in UNITS])
def test_what_is_said_above_a_table_is_what_it_holds(
    title: str, said: str, table: list[list[str]]
) -> None:
    times = {int(n) for n in re.findall(r"(\d+) minutes", said)}
    assert times == {total(table)["class"], total(table).get("read", 0)} - {0}, title
    links = re.findall(r"\[(\d\d)\]\(\.\./(\S+?)\)", said)
    numbers = re.findall(r"^(\d\d) · ", "\n".join(row[0] for row in table), re.M)
    assert dict(links) == {n: BY_NUMBER[n].path.name for n in numbers}, title


def test_sessions_days_and_blocks_are_equally_long() -> None:
    lengths = {part: [total(table)["class"] for _, _, table in PLANS[part]] for part in PLANS}
    assert lengths == {"Four weeks": [90] * 8 + [0], "One week": [300] * 5, "One day": [75] * 4}


def test_rows_name_sections_and_exercises_of_the_chapters() -> None:
    named = 0
    for title, _, table in UNITS:
        for name, *_ in table[1:-1]:
            if found := re.match(r"(\d\d) · (.*)", name):
                assert plain(found[2]) in TITLES[found[1]], f"{title}: {name!r} is no heading"
                assert not found[2].startswith("Deeper"), f"{title}: {name!r} may be skipped"
                named += 1
    assert named > 200


def test_an_exercise_has_its_title_and_takes_what_it_says() -> None:
    known, used = {}, 0
    gate = r"\{exercise-start\} (.*)\n:label: (ex-\S+)\n```\s+★+ · (\d+) minutes\."
    for chapter in chapters():
        for name, label, time in re.findall(gate, chapter.text):
            known[f"{{ref}}`{label}`: {name}"] = int(time)
    for title, _, table in UNITS:
        for name, *_, together in table[1:-1]:
            if "{ref}" in name:
                assert minutes(together) == known[name], f"{title}: {name}"
                used += 1
    assert used >= 8


def test_reading_adds_to_the_chapters_time_lines() -> None:
    reads: dict[str, set[int]] = {}
    sums: Counter[str] = Counter()
    for part in ("Four weeks", "One week"):
        for _, _, table in PLANS[part]:
            for row in table[1:-1]:
                cells = dict(zip(table[0], row, strict=True))
                if re.match(r"\d\d · ", row[0]) and not row[0].endswith("Check yourself"):
                    reads.setdefault(row[0], set()).add(minutes(cells["read"]))
                    sums[row[0][:2]] += minutes(cells["read"]) if part == "Four weeks" else 0
    assert all(len(values) == 1 and min(values) > 0 for values in reads.values()), reads
    times = {n: re.findall(r"\*\*Time\*\* (\d+) min", c.text) for n, c in BY_NUMBER.items()}
    assert {number: [str(sums[number])] for number in BY_NUMBER} == times
    for number, found in TITLES.items():
        core = [t for t in found[:-4] if not t.startswith("Deeper")]
        own = [plain(name[5:]) for name in reads if name.startswith(number)]
        assert own == core, f"chapter {number}: all its sections, in their order"


def test_the_weeks_at_home_follow_from_the_sessions() -> None:
    weeks: Counter[str] = Counter()
    for title, _, table in PLANS["Four weeks"]:
        weeks[re.findall(r"week (\d)", title)[0]] += total(table)["read"]
    (table,) = [t for t in tables(SCHEDULES) if "at home" in t[0]]
    for row in table[1:-1]:
        week, in_class, reading, sets, project, home = row
        assert minutes(reading) == weeks[week], f"week {week}"
        assert minutes(in_class) == (180 if week < "5" else 0), f"week {week}"
        assert minutes(home) == 2 * minutes(reading) + minutes(sets) + minutes(project), row


def test_sections_to_leave_out_are_sections() -> None:
    part = SCHEDULES.partition("\n## What to leave out when time is short\n")[2]
    bullets = re.findall(r"^- \*\*(\d\d)\*\*: (.*(?:\n  .*)*)", part.partition("\n## ")[0], re.M)
    assert [number for number, _ in bullets] == sorted(BY_NUMBER)
    for number, text in bullets:
        for name in re.findall(r"\*([^*]+)\*", text):
            assert plain(name) in TITLES[number], f"{number}: {name!r} is no heading"


def test_the_codes_time_is_that_of_the_records() -> None:
    seconds = [round(r["seconds"]) for r in records.runs("chapters") if r["scale"] == "cpu"]
    assert len(seconds) == len(BY_NUMBER)
    for value in (sum(seconds), max(seconds)):
        said = "{} min {} s".format(*divmod(value, 60))
        assert said in plain(SCHEDULES), f"schedules.md, without a GPU: the records say {said}"


def test_the_readiness_check_has_ten_questions_and_right_answers() -> None:
    check = SCHEDULES.partition("\n## A readiness check: ten questions\n")[2].partition("\n## ")[0]
    questions, _, answers = check.partition(":::{dropdown} Answers")
    numbered = [re.findall(r"^(\d+)\. (.*)", text, re.M) for text in (questions, answers)]
    assert [[int(n) for n, _ in found] for found in numbered] == [list(range(1, 11))] * 2
    sums = torch.arange(6).reshape(2, 3).sum(1)
    mu = torch.tensor(1.0, requires_grad=True)
    ((3 * mu + 1) ** 2).backward()
    assert mu.grad is not None
    share = float(torch.tensor(1 / 2**0.5).erf())
    said = {
        1: f"`tensor({sums.tolist()})`, of shape `({len(sums)},)`",
        3: f"is {mu.grad:.0f}",
        4: f"About {share:.0%}".replace("%", " %"),
        6: "−253",
        8: f"= 1/{0.108 / 0.009:.0f}$",
        9: f"= {torch.tensor(10.0).log():.2f}$ nats",
    }
    for number, text in said.items():
        assert text in numbered[1][number - 1][1], (number, text)


# --- misconceptions --------------------------------------------------------------------------


@pytest.mark.parametrize("number", sorted(BY_NUMBER))
def test_each_misconception_is_revealed_by_a_question(number: str) -> None:
    chapter = BY_NUMBER[number]
    part = page("misconceptions.md").partition(f"\n## Chapter {number}\n")[2].partition("\n## ")[0]
    assert f"](../{chapter.path.name})" in part
    entries = re.split(r"^(“.*”)$", part, flags=re.M)[1:]
    assert 2 <= len(entries) // 2 <= 3, f"chapter {number} has {len(entries) // 2}"
    section = chapter.section("Check yourself")
    for says, text in zip(entries[::2], entries[1::2], strict=True):
        found = re.search(r"\*\*Question (\d)\*\*, \*([^*]+)\*, option \*([^*]+)\*", text)
        assert found and text.startswith("\n: *Tempting* because"), says
        question = section.partition(f"**{found[1]}.** ")[2].partition("\n**")[0]
        assert plain(question).startswith(plain(found[2])), f"{says}: question {found[1]}"
        wrong = [o["option"] for o in OPTION.finditer(question) if o["explanation"][:2] == "No"]
        assert plain(found[3]) in map(plain, wrong), f"{says}: {found[3]!r} is no wrong option"


def test_figures_equations_and_exercises_exist() -> None:
    everywhere = "\n".join(chapter.text for chapter in chapters())
    known = {name for chapter in chapters() for name in figures(chapter)}
    known |= set(re.findall(r"^\$\$ \((eq-[^)]+)\)", everywhere, re.M))
    known |= set(re.findall(r"^:label: (\S+)$", everywhere, re.M))
    for path in PAGES.rglob("*.md"):
        for target in re.findall(r"\{(?:numref|eq|ref)\}`([^`]+)`", path.read_text("utf-8")):
            assert target in known, f"{path.name}: {target}"
    part = page("misconceptions.md")
    for number, text in re.findall(r"^## Chapter (\d\d)\n(.*?)(?=^## |\Z)", part, re.M | re.S):
        used = re.findall(r"`(?:fig|eq|ex)-(\d\d)-", text)
        assert used and set(used) == {number}, f"chapter {number} shows {used}"


# --- project, grading, syllabus --------------------------------------------------------------


def test_the_rubric_has_a_hundred_points() -> None:
    part = page("assignments/project.md").partition("\n## Rubric: 100 points\n")[2]
    parts = re.findall(
        r"^### .*: (\d+) points\n\n((?:- \*\*\d+\*\*: .*\n(?:  .*\n)*)+)", part, re.M
    )
    assert len(parts) == 5 and sum(int(points) for points, _ in parts) == 100
    for points, levels in parts:
        values = [int(v) for v in re.findall(r"^- \*\*(\d+)\*\*: ", levels, re.M)]
        assert len(values) == 4 and values == sorted(values, reverse=True), values
        assert values[0] == int(points) and values[-1] == 0, values


def test_runs_take_as_long_as_recorded() -> None:
    (table,) = [t for t in tables(page("assignments/project.md")) if t[0][0] == "run"]
    for about, _, said in table[1:]:
        experiment, arm = re.findall(r"`([^`]+)`", about)
        runs = [run for run in records.runs(experiment) if run["arm"] == arm]
        assert all(run["hardware"].endswith("1 thread") for run in runs), about
        times = [run["seconds"] / 60 for run in runs]
        assert said == f"{min(times):.1f} to {max(times):.1f}", about


def test_the_programs_of_the_project_sheet_run(tmp_path: Path) -> None:
    programs = re.findall(r"^```python\n(.*?)^```$", page("assignments/project.md"), re.M | re.S)
    assert len(programs) == 2
    pixels = np.random.default_rng(0)
    for kind in ("leaf", "stone", "shell"):
        (tmp_path / "mine" / kind).mkdir(parents=True)
        for k in range(10):
            photo = Image.fromarray(pixels.integers(0, 256, (40, 60, 3), dtype=np.uint8))
            photo.save(tmp_path / "mine" / kind / f"{k}.jpg")
    programs[0] += "\nprint(len(train), len(valid))"
    said = []
    for program in programs:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0 and not done.stderr, done.stderr
        said.append(done.stdout.strip())
    assert said == ["24 6", str(records.interval([0.71, 0.68, 0.73]))]
    assert json.loads((tmp_path / "nearest-0.json").read_text())["measured"]["n"] == 500


def test_shares_and_points_add_up() -> None:
    (shares,) = [t for t in tables(page("syllabus.md")) if t[0] == ["part", "share"]]
    assert sum(int(row[1].removesuffix(" %")) for row in shares[1:]) == 100
    settings = page("grading.md").partition("Three settings that fit together:")[2]
    for line in re.findall(r"^- (.*(?:\n  .*)*)", settings, re.M):
        assert sum(int(n) for n in re.findall(r"(\d+) %", line)) == 100, line
    assert "30 · 4 = 120" in plain(page("grading.md"))
