"""A course for nbgrader: the problem sets of one variant, for students, for Colab, for instructors.

    make assignments                          # variant 0 → _build/assignments/variant-0
    make assignments SEED=3 TO=$HOME/course   # another variant → $HOME/course/variant-3

In the course's folder stand then

    source/ps1/ps1.ipynb      with solutions and hidden tests: what nbgrader grades by
    release/ps1/ps1.ipynb     what students get
    colab/ps1.ipynb           the same with a button that opens it in Colab
    instructor/ps1.ipynb      solved and executed, to look at
    nbgrader_config.py, gradebook.db

Every set is proven first: its solution must earn all points and its blank cells none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import address
import nbformat
from check_secrets import told
from nbclient import NotebookClient
from nbformat import NotebookNode
from problem_sets import ProblemSetError, render, secrets, sources, unproven

HOUSE = Path(__file__).parent.parent
CONFIG = Path(__file__).with_name("nbgrader_config.py")
BRANCH = "assignments"  # of the repository that students open in Colab


def addressed(notebook: NotebookNode) -> NotebookNode:
    """The notebook with the address of this checkout's repository in place of the sources'."""
    if slug := address.found():
        for cell in notebook.cells:
            cell.source = address.rewrite(cell.source, slug)
    return notebook


def for_colab(notebook: NotebookNode, name: str, seed: int) -> NotebookNode:
    """The student's version with a button that opens it in Colab, where the repository is known."""
    badge = "https://colab.research.google.com/assets/colab-badge.svg"
    host = f"https://colab.research.google.com/github/{address.found()}/blob"
    page = f"{host}/{BRANCH}/variant-{seed}/{name}.ipynb"
    button = f"[![Open in Colab]({badge})]({page})\n\n" if address.found() else ""
    text = (
        "Save a copy of your own (*File → Save a copy in Drive*), and run the first cell: it "
        "installs the library. To hand in: *File → Download → Download .ipynb*, and give the file "
        f"the name `{name}.ipynb` again."
    )
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(button + text, id="open-in-colab"))
    return notebook


def release(course: Path, name: str) -> None:
    """Let nbgrader make the student's version; ProblemSetError with what it said if it fails."""
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", name, "--force"]
    # nbgrader looks for a program of its own, alembic, on the PATH
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, cwd=course, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise ProblemSetError(f"nbgrader generate_assignment {name} failed:\n{done.stderr}")


def make_set(source: Path, course: Path, seed: int) -> None:
    """All versions of one set; ProblemSetError if it is not proven or tells a secret."""
    notebook = addressed(render(source, seed))
    if faults := unproven(notebook):
        raise ProblemSetError("\n".join(faults))
    name = source.stem
    for folder in (f"source/{name}", "colab", "instructor"):
        (course / folder).mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, course / "source" / name / f"{name}.ipynb")
    release(course, name)
    handed_out = nbformat.read(course / "release" / name / f"{name}.ipynb", as_version=4)
    nbformat.write(for_colab(handed_out, name, seed), course / "colab" / f"{name}.ipynb")
    for folder in ("release", "colab"):
        if seen := list(told(course / folder, secrets(notebook))):
            raise ProblemSetError("a student would see\n" + "\n".join(seen))
    quiet = ["--log-level=ERROR"]  # no advice about ports
    NotebookClient(notebook, timeout=120, kernel_name="python3", extra_arguments=quiet).execute()
    nbformat.write(notebook, course / "instructor" / f"{name}.ipynb")


def make(course: Path, seed: int, names: list[str]) -> None:
    """A course with the named sets, all if none is named."""
    known = {path.stem: path for path in sources()}
    if unknown := set(names) - set(known):
        raise ProblemSetError(f"no set {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    course.mkdir(parents=True, exist_ok=True)
    shutil.copy(CONFIG, course)
    for name in names or known:
        make_set(known[name], course, seed)
        print(f"{name}: proven, and written")


def main() -> None:
    """Make a course."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="ps1", help="all, if none is named")
    parser.add_argument("--seed", type=int, default=0, help="the variant: 0, 1, 2 …")
    parser.add_argument("--to", type=Path, default=HOUSE / "_build" / "assignments")
    given = parser.parse_args()
    course = given.to / f"variant-{given.seed}"
    try:
        make(course, given.seed, given.sets)
    except ProblemSetError as error:
        sys.exit(f"make_assignments: {error}")
    print(f"The course of variant {given.seed} is in {course}.")


if __name__ == "__main__":
    main()
