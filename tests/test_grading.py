"""Grading a class from the command line, with every way there is to hand something in."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[instructor]'")

import address
import export_grades
import make_assignments
import nbgrader_config
import twelve
from collect import CollectError, Handed, collect, latest, parse, read_downloads, student_of
from export_grades import ExportError, Grade, fill, read_grades
from nbformat import NotebookNode
from problem_sets import SOURCES, graded, render, secrets

BIN = Path(sys.executable).parent
SAMPLES = SOURCES.parent / "samples"
SECONDS = 15  # of patience with a cell, half of what a real course has


def nbgrader(course: Path, *arguments: str) -> str:
    """Run nbgrader in the course; what it said."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    if no_walls():
        environment["TRUST_SUBMISSIONS"] = "yes"
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=course, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with problem set 1, without the cells that only draw."""
    course = tmp_path_factory.mktemp("course")
    notebook = render(SOURCES / "ps1.ipynb")
    shown = [cell for cell in notebook.cells if "show-" not in graded(cell).get("grade_id", "")]
    notebook.cells = shown
    config = make_assignments.CONFIG.read_text("utf-8")
    impatient = config.replace("\nSECONDS = 30", f"\nSECONDS = {SECONDS}")
    assert impatient != config
    (course / make_assignments.CONFIG.name).write_text(impatient, "utf-8")
    (course / "source" / "ps1").mkdir(parents=True)
    nbformat.write(notebook, course / "source" / "ps1" / "ps1.ipynb")
    make_assignments.release(course, "ps1")
    return course


@pytest.fixture(scope="module")
def release(course: Path) -> NotebookNode:
    return nbformat.read(course / "release" / "ps1" / "ps1.ipynb", as_version=4)


@pytest.fixture(scope="module")
def class_graded(
    course: Path, release: NotebookNode, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The course after everybody handed in, was graded and got feedback."""
    downloads = tmp_path_factory.mktemp("downloads")
    source = nbformat.read(course / "source" / "ps1" / "ps1.ipynb", as_version=4)
    twelve.hand_in(downloads, release, source)
    remarks = collect("ps1", downloads, [course], {})
    assert remarks == [
        "empty: empty/ps1.ipynb is empty",
        "picture: picture/ps1.ipynb is not a notebook",
    ]
    nbgrader(course, "autograde", "ps1")
    nbgrader(course, "generate_feedback", "ps1")
    nbgrader(course, "export")
    yield course


def no_walls() -> str:
    """Why there can be no sandbox here, or ''."""
    if shutil.which("bwrap") is None:
        return "needs bubblewrap: apt-get install bubblewrap"
    done = subprocess.run(["bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"], check=False)
    return "the kernel lets nobody make a sandbox" if done.returncode else ""


needs_walls = pytest.mark.skipif(bool(no_walls()), reason=no_walls() or "there is a sandbox")


def feedback(course: Path, student: str) -> str:
    return (course / "feedback" / student / "ps1" / "ps1.html").read_text("utf-8")


def test_everybody_has_the_right_score(class_graded: Path) -> None:
    with (class_graded / "grades.csv").open(encoding="utf-8") as file:
        scores = {row["student_id"]: float(row["raw_score"]) for row in csv.DictReader(file)}
    assert scores == twelve.SCORES


def test_everybody_gets_feedback_and_no_hidden_test(class_graded: Path) -> None:
    hidden = secrets(render(SOURCES / "ps1.ipynb"))
    blank = feedback(class_graded, "empty")
    assert [line for line in hidden if line in blank] == []
    for student in twelve.SCORES:
        assert "HIDDEN TESTS" not in feedback(class_graded, student)


@pytest.mark.parametrize(
    ("student", "said"),
    [
        ("wrong", "a KL divergence is never negative"),
        ("stubborn", f"This cell ran for more than {SECONDS} seconds and was stopped."),
        ("crash", "This cell ended the process it ran in."),
        ("renamed", "posterior"),
        ("empty", "The file that you handed in is empty"),
        ("picture", "The file that you handed in is not a notebook"),
    ],
)
def test_feedback_says_what_went_wrong(class_graded: Path, student: str, said: str) -> None:
    assert said in feedback(class_graded, student).replace("&#39;", "'")


def test_grades_go_into_both_platforms(class_graded: Path) -> None:
    grades = read_grades(class_graded)
    assert {grade.student: grade.points for grade in grades} == twelve.SCORES
    assert {grade.of for grade in grades} == {100}
    assert all(grade.open == 0 for grade in grades if grade.student in ("empty", "picture"))


@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("lovelaceada_101_555_ps1.ipynb", "101"),
        ("lovelaceada_LATE_101_555_ps1-2.ipynb", "101"),
        ("Ada Lovelace_201_assignsubmission_file/ps1.ipynb", "201"),
        ("Ada Lovelace_201_assignsubmission_file_/my work.ipynb", "201"),
        ("ada/ps1.ipynb", "ada"),
        ("ada_ps1.ipynb", "ada"),
        ("ada@example.org/ps1.ipynb", "ada@example.org"),
    ],
)
def test_a_download_s_name_tells_whose_it_is(path: str, student: str) -> None:
    assert student_of(path) == student


@pytest.mark.parametrize(
    "path", ["../ps1.ipynb", ".ssh/ps1.ipynb", "a b/ps1.ipynb", "x/../ps1.ipynb"]
)
def test_a_name_that_is_no_student_s_is_refused(path: str) -> None:
    with pytest.raises(CollectError, match="cannot tell whose it is"):
        student_of(path)


def test_a_zip_file_is_read_and_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ada_1_7_ps1.ipynb", "first")
        archive.writestr("ada_1_8_ps1-1.ipynb", "second")
        archive.writestr("ada_1_9_notes.txt", "notes")
    assert latest(read_downloads(path)) == {"1": Handed("1", "ada_1_8_ps1-1.ipynb", b"second")}
    with pytest.raises(CollectError, match="neither a folder nor a zip file"):
        list(read_downloads(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\xff\xfe", "is not a notebook"),
        (b"[1, 2]", "is not a notebook"),
        (b'{"cells": 3}', "is not a notebook"),
        (b"[" * 100_000, "is not a notebook"),
        (b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "not that of this"),
        (b"x" * (20 * 2**20 + 1), "has more than 20 MB"),
    ],
)
def test_what_cannot_be_read_becomes_a_blank_release(
    release: NotebookNode, content: bytes, reason: str
) -> None:
    notebook, said = parse(Handed("ada", "ps1.ipynb", content), release)
    assert reason in said
    assert len(notebook.cells) == len(release.cells) + 1
    assert said in notebook.cells[0].source


def test_a_submission_goes_to_its_variant(release: NotebookNode, tmp_path: Path) -> None:
    courses = []
    for variant in (0, 3):
        notebook = nbformat.from_dict(release)
        notebook.metadata["words_to_pictures"] = {"set": "ps1", "variant": variant}
        folder = tmp_path / f"variant-{variant}" / "release" / "ps1"
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / "ps1.ipynb")
        courses.append(tmp_path / f"variant-{variant}")
        for student in (f"own-{variant}", f"others-{variant}"):
            (tmp_path / "down" / student).mkdir(parents=True)
            nbformat.write(notebook, tmp_path / "down" / student / "ps1.ipynb")
    collect("ps1", tmp_path / "down", courses, {})  # and again, with a list: nothing stays behind
    remarks = collect("ps1", tmp_path / "down", courses, {"others-0": 3, "own-3": 3})
    assert remarks == ["others-0: got variant 3, handed in variant 0"]
    for course, students in zip(
        courses, ({"own-0"}, {"own-3", "others-3", "others-0"}), strict=True
    ):
        assert {path.name for path in (course / "submitted").iterdir()} == students


def test_another_set_s_notebook_is_no_answer(release: NotebookNode) -> None:
    other = nbformat.writes(render(SOURCES / "ps2.ipynb")).encode()
    _, said = parse(Handed("ada", "ps1.ipynb", other), release)
    assert said == "is a notebook, but not that of this problem set"


def test_a_set_that_counts_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"variant-0": [Grade("ada", "ps1", 88, 100, 0)], "variant-1": []}
    monkeypatch.setattr(export_grades, "read_grades", lambda course: found[course.name])
    courses = [Path("variant-0"), Path("variant-1")]
    assert export_grades.gather(courses) == found["variant-0"]
    found["variant-1"] = [Grade("ada", "ps2", 1, 2, 0), Grade("ada", "ps1", 0, 100, 0)]
    with pytest.raises(ExportError, match=r"ada has grades for ps1 in variant-0 .*student remove"):
        export_grades.gather(courses)


GRADES = [
    Grade("101", "ps1", 88, 100, 0),
    Grade("s0102", "ps1", 72.5, 100, 1),
    Grade("201", "ps1", 88, 100, 0),
    Grade("claude@example.org", "ps1", 72.5, 100, 0),
]


def test_canvas_gets_its_own_columns_back() -> None:
    rows, fields, found = fill((SAMPLES / "canvas.csv").read_text("utf-8"), GRADES)
    assert fields == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "ps1 (4711)"]
    assert [row["ps1 (4711)"] for row in rows] == ["100", "88", "72.5", ""]
    assert found == {"101", "s0102"}
    more = [*GRADES, Grade("103", "ps2", 50, 100, 0)]
    rows, fields, _ = fill((SAMPLES / "canvas.csv").read_text("utf-8"), more)
    assert fields[-1] == "ps2"
    assert [row["ps2"] for row in rows] == ["100", "", "", "50"]


def test_moodle_gets_its_worksheet_back() -> None:
    rows, fields, found = fill((SAMPLES / "moodle.csv").read_text("utf-8"), GRADES)
    assert fields[0] == "Identifier" and "Feedback comments" in fields
    assert [row["Grade"] for row in rows] == ["88", "72.5", ""]
    assert found == {"201", "claude@example.org"}
    with pytest.raises(ExportError, match="a Moodle worksheet has one set"):
        fill((SAMPLES / "moodle.csv").read_text("utf-8"), [*GRADES, Grade("203", "ps2", 1, 2, 0)])


def test_another_file_is_refused() -> None:
    with pytest.raises(ExportError, match=r"neither Canvas's columns .* but name, mark"):
        fill("name,mark\nada,1\n", GRADES)
    with pytest.raises(ExportError, match="`nbgrader autograde` writes it"):
        read_grades(Path("nowhere"))


def test_the_button_opens_the_fork_s_notebook(
    release: NotebookNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = "https://colab.research.google.com/github/ada/fork/blob/assignments/variant-2/ps1.ipynb"
    for slug, there in (("ada/fork", True), (None, False)):
        monkeypatch.setattr(address, "found", lambda slug=slug: slug)
        notebook = make_assignments.for_colab(nbformat.from_dict(release), "ps1", 2)
        assert (page in notebook.cells[0].source) is there
        assert "File → Download" in notebook.cells[0].source
        written = make_assignments.addressed(render(SOURCES / "ps1.ipynb")).cells
        assert any("github.com/ada/fork" in cell.source for cell in written) is there


def walled(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code as a submission runs."""
    command = [*nbgrader_config.walls(folder), sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True)


@needs_walls
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import socket; socket.create_connection(('1.1.1.1', 53), 2)", "Network is unreachable"),
        ("open('/etc/words', 'w')", "Read-only file system"),
        ("import cvae_lib.losses; open(cvae_lib.losses.__file__, 'a')", "Read-only file system"),
        ("bytearray(20 << 30)", "MemoryError"),
        (f"open({str(SOURCES / 'ps1.ipynb')!r})", "No such file"),
        (f"open({str(Path.home() / '.profile')!r})", "No such file"),
        ("import os; os.environ['SECRET']", "KeyError: 'SECRET'"),
    ],
)
def test_a_sandbox_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    monkeypatch.setenv("SECRET", "words")
    done = walled(tmp_path, code)
    assert done.returncode and said in done.stderr


@needs_walls
def test_a_sandbox_lets_work_be_done(tmp_path: Path) -> None:
    done = walled(tmp_path, "import cvae_lib.data as d; print(len(d.fashion_mnist('test')))")
    assert done.stdout == "10000\n", done.stderr


@needs_walls
def test_a_burglar_finds_nothing(class_graded: Path) -> None:
    assert "the course: False, what it said: False" in feedback(class_graded, "burglar")


def test_without_a_sandbox_nothing_runs_unless_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    manager = nbgrader_config.Walled(kernel_name="python3")
    monkeypatch.delenv("TRUST_SUBMISSIONS", raising=False)
    with pytest.raises(RuntimeError, match=r"install bubblewrap.*TRUST_SUBMISSIONS=yes"):
        manager.format_kernel_cmd()
    monkeypatch.setenv("TRUST_SUBMISSIONS", "yes")
    assert "bwrap" not in manager.format_kernel_cmd()
    shutil.rmtree(manager.folder)
