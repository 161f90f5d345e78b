"""Write nbgrader's grades into the file that Canvas or Moodle exports, for the way back.

    python tools/export_grades.py _build/assignments/variant-0 --into canvas.csv --to grades.csv

Canvas (Grades → Export): students are found by ID, SIS User ID or SIS Login ID; a set's points go
into the column of its name ("ps1", or "ps1 (4711)" as Canvas writes it), which is added if there is
none. Moodle (Assignment → Download grading worksheet): students are found by the number of their
Identifier ("Participant 4711"), by e-mail address or by ID number; the points go into the column
Grade, of one set. Several courses, one a variant, are read together; a student who has one set in
two of them is an error.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CANVAS = ("ID", "SIS User ID", "SIS Login ID")
MOODLE = ("Identifier", "Email address", "ID number")


class ExportError(Exception):
    """The grades cannot be written; the message names what is missing and the remedy."""


@dataclass(frozen=True)
class Grade:
    """What one student has for one set."""

    student: str
    set_name: str
    points: float
    of: float
    open: int  # cells that wait for a grade by hand


def read_grades(course: Path) -> list[Grade]:
    """All grades of a course, late penalties taken off; ExportError if it has no gradebook."""
    from nbgrader.api import Gradebook

    path = course / "gradebook.db"
    if not path.is_file():
        raise ExportError(f"{path} is missing: `nbgrader autograde` writes it")
    with Gradebook(f"sqlite:///{path}") as gradebook:
        return [
            Grade(
                submission.student.id,
                assignment.name,
                max(0.0, submission.score - submission.late_submission_penalty),
                assignment.max_score,
                sum(
                    cell.needs_manual_grade for book in submission.notebooks for cell in book.grades
                ),
            )
            for assignment in gradebook.assignments
            for submission in assignment.submissions
        ]


def gather(courses: list[Path]) -> list[Grade]:
    """The grades of all courses; ExportError if a student has one set in several of them."""
    where: dict[tuple[str, str], Path] = {}
    grades = []
    for course in courses:
        for grade in read_grades(course):
            if (before := where.setdefault((grade.student, grade.set_name), course)) != course:
                raise ExportError(
                    f"{grade.student} has grades for {grade.set_name} in {before} and in {course}; "
                    "in the wrong one's folder say: "
                    f"nbgrader db student remove {grade.student} --force"
                )
            grades.append(grade)
    return grades


def number(points: float) -> str:
    """Points as both platforms read them: 88, 72.5."""
    return f"{points:.2f}".rstrip("0").rstrip(".")


def keys(row: dict[str, str], columns: Iterable[str]) -> set[str]:
    """What a student of the platform's file may be called here."""
    found = {row.get(column, "").strip() for column in columns}
    return {re.sub(r"^Participant ", "", key) for key in found} - {""}


def into_canvas(rows: list[dict[str, str]], fields: list[str], grades: list[Grade]) -> set[str]:
    """Fill in a Canvas export; the students that were found in it."""
    found = set()
    for name in sorted({grade.set_name for grade in grades}):
        pattern = re.compile(rf"{re.escape(name)}(?: \(\d+\))?")
        column = next((field for field in fields if pattern.fullmatch(field)), name)
        if column not in fields:
            fields.append(column)
        for row in rows:
            row.setdefault(column, "")
            if "Points Possible" in row["Student"]:
                row[column] = number(next(g.of for g in grades if g.set_name == name))
            for grade in grades:
                if grade.set_name == name and grade.student in keys(row, CANVAS):
                    row[column] = number(grade.points)
                    found.add(grade.student)
    return found


def into_moodle(rows: list[dict[str, str]], grades: list[Grade]) -> set[str]:
    """Fill in a Moodle worksheet, which has one set; the students that were found in it."""
    if len(sets := {grade.set_name for grade in grades}) > 1:
        raise ExportError(f"a Moodle worksheet has one set: choose with --set of {sorted(sets)}")
    found = set()
    for row in rows:
        for grade in grades:
            if grade.student in keys(row, MOODLE):
                most = float(row.get("Maximum Grade") or row.get("Maximum grade") or grade.of)
                row["Grade"] = number(grade.points * most / grade.of)
                found.add(grade.student)
    return found


def fill(text: str, grades: list[Grade]) -> tuple[list[dict[str, str]], list[str], set[str]]:
    """Rows and columns of a platform's file with the grades in them, and whom it knows."""
    reader = csv.DictReader(text.splitlines())
    rows, fields = list(reader), list(reader.fieldnames or [])
    if {"Student", "ID", "Section"} <= set(fields):
        return rows, fields, into_canvas(rows, fields, grades)
    if {"Identifier", "Grade"} <= set(fields):
        return rows, fields, into_moodle(rows, grades)
    raise ExportError(
        "neither Canvas's columns (Student, ID, Section, …) nor those of Moodle's grading "
        f"worksheet (Identifier, Grade, …), but {', '.join(fields[:6]) or 'nothing'}"
    )


def main() -> None:
    """Write the grades of courses into a platform's file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("courses", type=Path, nargs="+", help="_build/assignments/variant-0, …")
    parser.add_argument("--into", type=Path, required=True, help="the file Canvas or Moodle gave")
    parser.add_argument("--to", type=Path, required=True, help="the file to give back")
    parser.add_argument("--set", dest="set_name", help="ps1 alone, …")
    given = parser.parse_args()
    try:
        grades = gather(given.courses)
        if given.set_name:
            grades = [grade for grade in grades if grade.set_name == given.set_name]
        rows, fields, found = fill(given.into.read_text("utf-8-sig"), grades)
    except ExportError as error:
        sys.exit(f"export_grades: {error}")
    with given.to.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(found)} students have grades in {given.to}.")
    if missing := sorted({grade.student for grade in grades} - found):
        print(f"Not in {given.into}: {', '.join(missing)}")
    if waiting := sorted({grade.student for grade in grades if grade.open}):
        print(f"Still to be graded by hand (nbgrader's formgrader): {', '.join(waiting)}")


if __name__ == "__main__":
    main()
