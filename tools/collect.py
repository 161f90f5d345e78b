"""Sort what a learning platform lets you download into courses that nbgrader can grade.

    python tools/collect.py ps1 submissions.zip _build/assignments/variant-0

The downloads, a zip file or a folder, may be named as Canvas does (ada_123_456_ps1.ipynb: student
123), as Moodle does (Ada Lovelace_123_assignsubmission_file/ps1.ipynb: student 123), or simply
(ada/ps1.ipynb, ada_ps1.ipynb: student ada). With several courses, one a variant, each submission
goes to the variant that a class list (student,variant) gives its student, else to the one that it
says it is; one that was collected into another of these courses before is taken out there. A file
that cannot be read as a notebook becomes an untouched release with a note above it, so that its
author too gets a grade and feedback, and nobody else notices.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from problem_sets import max_points

LIMIT = 20 * 2**20  # bytes of a submission; a solved set with its figures has half a million
STUDENT = re.compile(r"[\w@][\w@.-]*")
CANVAS = re.compile(r"[^_]+(?:_LATE)?_(\d+)_\d+_.+")
MOODLE = re.compile(r".+_(\d+)_assignsubmission_file_?")


class CollectError(Exception):
    """The downloads cannot be sorted; the message names what and the remedy."""


@dataclass(frozen=True)
class Handed:
    """A file that a student handed in."""

    student: str
    name: str  # as it was downloaded
    content: bytes  # at most LIMIT and one


def student_of(path: str) -> str:
    """Whose file it is, from its path among the downloads; CollectError if that does not tell."""
    *folders, name = path.split("/")
    if folders and (found := MOODLE.fullmatch(folders[0])):
        return found[1]
    if found := CANVAS.fullmatch(name):
        return found[1]
    student = folders[-1] if folders else re.sub(r"_[^_]*$", "", name.rpartition(".")[0])
    if not STUDENT.fullmatch(student):
        raise CollectError(
            f"{path}: cannot tell whose it is; name it STUDENT/ps1.ipynb, with letters, digits, "
            "@ . _ - in STUDENT"
        )
    return student


def read_downloads(downloads: Path) -> Iterator[Handed]:
    """Every file of a zip file or a folder; nothing is unpacked onto the disk."""
    if downloads.is_dir():
        for path in sorted(downloads.rglob("*")):
            if path.is_file() and not path.is_symlink():
                name = path.relative_to(downloads).as_posix()
                with path.open("rb") as file:
                    yield Handed(student_of(name), name, file.read(LIMIT + 1))
    elif zipfile.is_zipfile(downloads):
        with zipfile.ZipFile(downloads) as archive:
            for member in sorted(archive.namelist()):
                if not member.endswith("/"):
                    with archive.open(member) as packed:
                        yield Handed(student_of(member), member, packed.read(LIMIT + 1))
    else:
        raise CollectError(f"{downloads} is neither a folder nor a zip file")


def latest(files: Iterator[Handed]) -> dict[str, Handed]:
    """One file a student: a notebook rather than another, and of several the last attempt
    (Canvas numbers them: ps1.ipynb, ps1-1.ipynb, ps1-2.ipynb)."""

    def order(handed: Handed) -> tuple[bool, int]:
        attempt = re.search(r"-(\d+)\.\w+$", handed.name)
        return handed.name.endswith(".ipynb"), int(attempt[1]) if attempt else 0

    found: dict[str, Handed] = {}
    for handed in files:
        before = found.get(handed.student)
        if before is None or order(handed) >= order(before):
            found[handed.student] = handed
    return found


def parse(handed: Handed, release: NotebookNode) -> tuple[NotebookNode, str]:
    """The notebook and '', or the untouched release and why the file could not be graded."""
    reason = ""
    try:
        if len(handed.content) > LIMIT:
            reason = f"has more than {LIMIT >> 20} MB"
        elif not handed.content.strip():
            reason = "is empty"
        else:
            notebook = nbformat.reads(handed.content.decode("utf-8"), as_version=4)
            nbformat.validate(notebook)
            if max_points(notebook).keys() & max_points(release).keys():
                return notebook, ""
            reason = "is a notebook, but not that of this problem set"
    except Exception:  # whatever a file from outside may do to a parser
        reason = "is not a notebook"
    note = f"The file that you handed in {reason}: it could not be graded. Talk to your instructor."
    blank = nbformat.from_dict(release)
    blank.cells = [nbformat.v4.new_markdown_cell(note, id="could-not-be-graded"), *release.cells]
    return blank, reason


def class_list(path: Path | None) -> dict[str, int]:
    """The variant of each student, from a file with the columns student and variant."""
    if path is None:
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return {row["student"]: int(row["variant"]) for row in csv.DictReader(file)}
        except (KeyError, ValueError) as error:
            raise CollectError(f"{path}: want the columns student,variant ({error})") from error


def releases(name: str, courses: list[Path]) -> dict[int, tuple[Path, NotebookNode]]:
    """For each variant its course, and what students got."""
    found = {}
    for course in courses:
        path = course / "release" / name / f"{name}.ipynb"
        if not path.is_file():
            raise CollectError(f"{path} is missing: `make assignments` makes it")
        release = nbformat.read(path, as_version=4)
        found[release.metadata["words_to_pictures"]["variant"]] = course, release
    return found


def collect(name: str, downloads: Path, courses: list[Path], variants: dict[str, int]) -> list[str]:
    """Write submitted/STUDENT/NAME/NAME.ipynb for each student; what an instructor should know."""
    by_variant = releases(name, courses)
    first = min(by_variant)
    remarks = []
    for student, handed in latest(read_downloads(downloads)).items():
        notebook, reason = parse(handed, by_variant[first][1])
        says = notebook.metadata.get("words_to_pictures", {}).get("variant")
        given = variants.get(student)
        variant = given if given in by_variant else says if says in by_variant else first
        course, release = by_variant[variant]
        if reason:
            notebook, _ = parse(handed, release)
            remarks.append(f"{student}: {handed.name} {reason}")
        elif says != variant:
            remarks.append(f"{student}: got variant {variant}, handed in variant {says}")
        for other, _ in by_variant.values():  # none of an earlier run is left in another variant
            shutil.rmtree(other / "submitted" / student / name, ignore_errors=True)
            with suppress(OSError):  # it holds other sets, or is not there
                (other / "submitted" / student).rmdir()
        folder = course / "submitted" / student / name
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / f"{name}.ipynb")
    return remarks


def main() -> None:
    """Collect the submissions of one set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", help="ps1, …")
    parser.add_argument("downloads", type=Path, help="a zip file or a folder")
    parser.add_argument("courses", type=Path, nargs="+", help="_build/assignments/variant-0, …")
    parser.add_argument("--class", type=Path, dest="students", help="CSV: student,variant")
    given = parser.parse_args()
    try:
        remarks = collect(given.set, given.downloads, given.courses, class_list(given.students))
    except CollectError as error:
        sys.exit(f"collect: {error}")
    print("\n".join(remarks) or "Every file is a notebook of its student's variant.")


if __name__ == "__main__":
    main()
