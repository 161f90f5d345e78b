"""How nbgrader grades this course: `make assignments` puts this file into the course's folder.

It differs from nbgrader's defaults in four things. A submission that runs without end, or whose
process dies, loses the cell that did it and is graded on. Cells that a student deleted come back.
What a submission writes to stderr (a warning, a progress bar) costs no points. Feedback shows what
a hidden test says, and not the test.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.preprocessors import ClearMetadataPreprocessor, CSSHTMLHeaderPreprocessor
from nbgrader import preprocessors
from traitlets.config import get_config

COURSE = Path(__file__).parent
SECONDS = 30  # for one cell; a solved set takes at most fifteen in all


class Survive(preprocessors.Execute):
    """Runs a submission to its end, whatever it does.

    After a cell that ran too long or took its process along, a new process runs all others.
    """

    def preprocess(self, nb: Any, resources: Any, km: Any = None) -> tuple[Any, Any]:
        self.fatal: dict[int, str] = {}  # cells that must not run again, and why
        while True:
            try:
                return super().preprocess(nb, resources, km)
            except CellTimeoutError:
                self.fatal[self.at] = f"ran for more than {self.timeout} seconds and was stopped"
            except DeadKernelError:
                self.fatal[self.at] = "ended the process it ran in"

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        self.at = index
        if index not in self.fatal:
            return super().preprocess_cell(cell, resources, index)
        said = f"This cell {self.fatal[index]}."
        cell.outputs = [nbformat.v4.new_output("error", ename="Stopped", evalue=said)]
        return cell, resources


class RestoreCells(preprocessors.NbGraderPreprocessor):
    """Puts back every cell of the release that the submission lacks, behind its neighbour."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        names = resources["nbgrader"]
        path = COURSE / "release" / names["assignment"] / f"{names['notebook']}.ipynb"
        ids = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in nb.cells]
        behind = 0
        for cell in nbformat.read(path, as_version=4).cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in ids and name is not None:
                behind = ids.index(name) + 1
            elif name is not None:
                nb.cells.insert(behind, cell)
                ids.insert(behind, name)
                behind += 1
        return nb, resources


class DropStderr(preprocessors.NbGraderPreprocessor):
    """Removes what was written to stderr: nbgrader would give the cell no points for it."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
        return cell, resources


class HideTests(preprocessors.ClearHiddenTests):
    """Takes hidden tests out of feedback, and of every traceback all but its last line."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        cell, resources = super().preprocess_cell(cell, resources, index)
        for out in cell.get("outputs", []):
            if out.output_type == "error":
                said = re.sub(r"\x1b\[[0-9;]*m", "", out.evalue)
                out.traceback = [f"{out.ename}: {said}" if said else out.ename]
        return cell, resources


c = get_config()
c.CourseDirectory.course_id = "words-to-pictures"
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError()"}
c.ClearSolutions.text_stub = "YOUR ANSWER HERE"
c.Survive.timeout = SECONDS
c.Survive.interrupt_on_timeout = False  # a new process instead: a loop may be deaf
c.LimitOutput.max_lines = 200
c.Autograde.sanitize_preprocessors = [
    preprocessors.ClearOutput,
    preprocessors.DeduplicateIds,
    RestoreCells,
    preprocessors.OverwriteKernelspec,
    preprocessors.OverwriteCells,
    preprocessors.CheckCellMetadata,
]
c.Autograde.autograde_preprocessors = [
    Survive,
    DropStderr,
    preprocessors.IgnorePattern,
    ClearMetadataPreprocessor,
    preprocessors.LimitOutput,
    preprocessors.SaveAutoGrades,
    preprocessors.AssignLatePenalties,
    preprocessors.CheckCellMetadata,
]
c.GenerateFeedback.preprocessors = [
    preprocessors.GetGrades,
    HideTests,
    CSSHTMLHeaderPreprocessor,
]
