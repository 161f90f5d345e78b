"""The problem sets of book/instructor/assignments: their variants, and what a submission earns.

A set has one source, a notebook in nbgrader's format. Its cell ``variant`` holds the numbers that
differ between variants, and in its metadata what each may be; `render` writes one variant. `earned`
runs a notebook as nbgrader's autograder does, cell by cell and past every error, but in a forked
process and within seconds: that is how every set proves that its solution earns all points, an
untouched release none, and each of tests/wrong_answers exactly what it should.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import random
import re
import signal
import traceback
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

SOURCES = Path(__file__).parent.parent / "book" / "instructor" / "assignments"
PATIENCE = 120  # seconds for a whole submission
PLACE = re.compile(r"\{\{ (\w+) \}\}")


class ProblemSetError(Exception):
    """A source is not what it should be; the message names the set, the cell and the remedy."""


@dataclass(frozen=True)
class Wrong:
    """A plausible wrong submission: the solution with one piece of one answer replaced."""

    what: str
    cell: str  # grade_id of the answer
    right: str  # stands in it exactly once
    wrong: str
    loses: set[str]  # the test cells that it must fail; it must pass all others


@dataclass
class Earned:
    """What a submission earned."""

    points: dict[str, float] = field(default_factory=dict)  # by test cell
    said: dict[str, str] = field(default_factory=dict)  # the last line of each error
    stderr: str = ""

    @property
    def total(self) -> float:
        return sum(self.points.values())


def sources() -> list[Path]:
    """The sets' sources, ps1 first."""
    return sorted(SOURCES.glob("ps*.ipynb"))


def read(source: Path) -> NotebookNode:
    """A set's source."""
    return nbformat.read(source, as_version=4)


def graded(cell: NotebookNode) -> NotebookNode:
    """nbgrader's metadata of a cell, empty for a cell that it does not know."""
    return cell.metadata.get("nbgrader", {})


def max_points(notebook: NotebookNode) -> dict[str, float]:
    """The points of each cell that nbgrader grades by itself."""
    return {
        graded(cell)["grade_id"]: graded(cell)["points"]
        for cell in notebook.cells
        if graded(cell).get("grade") and not graded(cell).get("solution")
    }


def find(notebook: NotebookNode, grade_id: str) -> NotebookNode:
    """The cell of that id; ProblemSetError if there is none."""
    for cell in notebook.cells:
        if graded(cell).get("grade_id") == grade_id:
            return cell
    raise ProblemSetError(f"no cell has the grade_id {grade_id!r}")


def choose(choices: dict[str, list[Any] | None], name: str, seed: int) -> dict[str, Any]:
    """The values of variant ``seed`` of the set ``name``: the first of each list for variant 0."""
    values: dict[str, Any] = {}
    for names, options in choices.items():
        options = [seed] if options is None else options
        draw = random.Random(f"{name} {seed} {names}")
        chosen = draw.choice(options) if seed else options[0]
        keys = [key.strip() for key in names.split(",")]
        values.update({names: chosen} if len(keys) == 1 else zip(keys, chosen, strict=True))
    return values


def literal(value: Any) -> str:
    """A value as Python writes it, strings in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | list) else repr(value)


def fill(name: str, value: Any, source: str) -> str:
    """The cell ``variant`` with that value in the line of that name."""
    line = re.compile(rf"^{name} = .*?(?=  #|$)", re.MULTILINE)
    if (count := len(line.findall(source))) != 1:
        raise ProblemSetError(f"the cell `variant` has {count} lines `{name} = …`")
    written = f"{name} = {literal(value)}"
    return line.sub(lambda _: written, source)


def render(source: Path, seed: int = 0) -> NotebookNode:
    """Variant ``seed`` of a set, as an nbgrader source: the numbers written into its cell
    ``variant``, ``{{ name }}`` filled in in its text, the lists of choices gone."""
    if seed < 0:
        raise ProblemSetError(f"SEED={seed}: want 0, 1, 2 …")
    notebook = read(source)
    cell = find(notebook, "variant")
    values = choose(cell.metadata.pop("variant"), source.stem, seed)
    for name, value in values.items():
        if not name.startswith("_"):  # that of text alone
            cell.source = fill(name, value, cell.source)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if unknown := set(PLACE.findall(cell.source)) - set(values):
                raise ProblemSetError(f"{source.name}: no variant has the names {unknown}")
            cell.source = PLACE.sub(lambda place: str(values[place[1]]), cell.source)
    notebook.metadata["words_to_pictures"] = {"set": source.stem, "variant": seed}
    return notebook


def secrets(notebook: NotebookNode) -> set[str]:
    """The lines of a set that no student may see: those of its answers, model answers and hidden
    tests that stand nowhere in the open. Lines of fewer than twelve characters tell nothing."""
    hidden: set[str] = set()
    seen: set[str] = set()
    for cell in notebook.cells:
        inside = graded(cell).get("solution", False) and cell.cell_type == "markdown"
        for line in map(str.strip, cell.source.splitlines()):
            if line.startswith("### BEGIN"):
                inside = True
            (hidden if inside else seen).add(line)
            if line.startswith("### END"):
                inside = False
    return {line for line in hidden - seen if len(line) >= 12}


def spoil(notebook: NotebookNode, wrong: Wrong) -> NotebookNode:
    """A copy of the solved set with that mistake; ProblemSetError if there is no place for it."""
    spoilt = deepcopy(notebook)
    cell = find(spoilt, wrong.cell)
    if (count := cell.source.count(wrong.right)) != 1:
        raise ProblemSetError(f"{wrong.what}: {wrong.right!r} stands {count} times in {wrong.cell}")
    cell.source = cell.source.replace(wrong.right, wrong.wrong)
    return spoilt


def strip(notebook: NotebookNode, hidden: bool = True) -> NotebookNode:
    """A copy as nbgrader hands it out: stubs for answers, no hidden tests if ``hidden``."""
    from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions

    copy = deepcopy(notebook)
    for step in (ClearSolutions(), *([ClearHiddenTests()] if hidden else [])):
        copy, _ = step.preprocess(copy, {})
    return copy


def run_cells(notebook: NotebookNode) -> Iterator[tuple[NotebookNode, str]]:
    """Run the code cells in order in one namespace; for each, the last line of its error or ''."""
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    space: dict[str, Any] = {"__name__": "__main__", "display": lambda *shown: None}
    transform = TransformerManager().transform_cell
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        error = ""
        try:
            exec(compile(transform(cell.source), "<cell>", "exec"), space)
        except Exception as raised:
            error = traceback.format_exception_only(raised)[-1].strip()
        plt.close("all")
        yield cell, error


def _grade(notebook: NotebookNode, pipe: Any) -> None:
    """In the forked process: run all, send what was earned."""
    import torch

    torch.set_num_threads(1)
    result = Earned()
    signal.alarm(PATIENCE)
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        for cell, error in run_cells(notebook):
            name = graded(cell).get("grade_id", "")
            if error:
                result.said[name or cell.source[:30]] = error
            if name in max_points(notebook):
                result.points[name] = 0 if error else graded(cell)["points"]
    result.stderr = err.getvalue()
    pipe.send(result)


def earned(notebook: NotebookNode, shows: bool = True) -> Earned:
    """What the notebook's test cells earn, with or without the cells ``show-…``, which only draw;
    ProblemSetError if the run did not come to its end."""
    import torch._dynamo  # noqa: F401  once here, and each child has it (an optimizer needs it)

    from cvae_lib.data import fashion_mnist

    for split in ("train", "test"):  # decoded once, too
        fashion_mnist(split)
    if not shows:
        notebook = deepcopy(notebook)
        notebook.cells = [
            cell
            for cell in notebook.cells
            if not graded(cell).get("grade_id", "").startswith("show-")
        ]

    here, there = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_grade, args=(notebook, there))
    child.start()
    there.close()
    try:
        return here.recv()
    except EOFError as error:
        child.join()
        raise ProblemSetError(
            f"a run ended with {child.exitcode}, at the latest after {PATIENCE} s, and no result"
        ) from error
    finally:
        child.join()
        here.close()


def unproven(notebook: NotebookNode, shows: bool = False) -> list[str]:
    """What is wrong with a set: points that its solution does not earn or its stubs do."""
    name = notebook.metadata["words_to_pictures"]["set"]
    solved, blank = (earned(each, shows) for each in (notebook, strip(notebook, hidden=False)))
    faults = [
        f"{name}: the solution does not earn {test}: {solved.said.get(test, '')}"
        for test, points in max_points(notebook).items()
        if solved.points[test] != points
    ]
    faults += [
        f"{name}: {test} gives points for nothing" for test, got in blank.points.items() if got
    ]
    if solved.stderr:
        faults.append(f"{name}: the solved set writes to stderr: {solved.stderr.splitlines()[0]}")
    return faults
