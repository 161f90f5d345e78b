"""The problem sets: every solution earns all, every stub nothing, every mistake what it should."""

from __future__ import annotations

import ast
import importlib
import re
import symtable
from itertools import combinations
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[instructor]'")

import check_secrets
import problem_sets
from IPython.core.inputtransformer2 import TransformerManager
from problem_sets import (
    SOURCES,
    Wrong,
    earned,
    find,
    graded,
    max_points,
    read,
    render,
    secrets,
    spoil,
    strip,
)

SEEDS = range(5)
SETS = {path.stem: path for path in problem_sets.sources()}
each_set = pytest.mark.parametrize("name", SETS)


def mistakes(name: str) -> list[Wrong]:
    return importlib.import_module(f"wrong_answers.{name}").WRONG


EVERY_MISTAKE = [
    pytest.param(name, wrong, id=f"{name}: {wrong.what}")
    for name in SETS
    for wrong in mistakes(name)
]


@each_set
def test_a_set_is_a_whole_nbgrader_source(name: str) -> None:
    notebook = read(SETS[name])
    known = [graded(cell) for cell in notebook.cells if graded(cell)]
    ids = [cell["grade_id"] for cell in known]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9-]+", grade_id) for grade_id in ids)
    assert sum(cell["points"] for cell in known if cell["grade"]) == 100
    assert 1 <= sum(cell["grade"] and cell["solution"] for cell in known) <= 2
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (not cell.outputs and cell.execution_count is None)
        assert cell.cell_type == "markdown" or graded(cell), cell.source
        lines = cell.source.splitlines() if cell.cell_type == "code" else []
        assert all(len(line) <= 80 or "%pip" in line for line in lines), max(lines, key=len)
        assert not graded(cell) or graded(cell)["cell_type"] == cell.cell_type
    assert [cell["grade_id"] for cell in known][:2] == ["setup", "variant"]
    assert "%pip install" in find(notebook, "setup").source


@each_set
@pytest.mark.parametrize("seed", SEEDS)
def test_each_variant_is_proven(name: str, seed: int) -> None:
    assert problem_sets.unproven(render(SETS[name], seed), shows=seed == 0) == []


@each_set
def test_variants_differ_and_variant_0_is_the_source(name: str) -> None:
    source = find(read(SETS[name]), "variant").source
    cells = [find(render(SETS[name], seed), "variant").source for seed in SEEDS]
    assert cells[0] == source
    for one, other in combinations(cells, 2):
        lines = zip(one.splitlines(), other.splitlines(), strict=True)
        assert sum(a != b for a, b in lines if not a.startswith("seed =")) >= 2


@each_set
def test_another_variant_s_answers_with_its_numbers_lose_points(name: str) -> None:
    """Answers that have the numbers of variant 0 in them, as those of a neighbour would."""
    cell = find(read(SETS[name]), "variant")
    lost = []
    for seed in SEEDS[1:]:
        notebook = render(SETS[name], seed)
        for answer in notebook.cells:
            if answer.cell_type == "code" and graded(answer).get("solution"):
                lines = answer.source.split("### BEGIN SOLUTION")
                indent = lines[0].rpartition("\n")[2]
                theirs = cell.source.replace("\n", f"\n{indent}")
                answer.source = f"{lines[0]}{theirs}\n{indent}### BEGIN SOLUTION".join(
                    ["", *lines[1:]]
                )
        lost.append(sum(max_points(notebook).values()) - earned(notebook, shows=False).total)
    assert all(points > 0 for points in lost), lost


@each_set
def test_every_check_says_what_is_wrong(name: str) -> None:
    """Without a message, students read the single word AssertionError."""
    notebook = read(SETS[name])
    for test in max_points(notebook):
        for node in ast.walk(ast.parse(find(notebook, test).source)):
            assert not isinstance(node, ast.Assert) or node.msg, f"{test}: {ast.unparse(node)}"


def global_names(source: str) -> tuple[set[str], set[str]]:
    """The global names that a cell defines, and those that it uses."""
    source = TransformerManager().transform_cell(source)
    whole = symtable.symtable(source, "cell", "exec")
    defined = {s.get_name() for s in whole.get_symbols() if s.is_assigned() or s.is_imported()}
    used, tables = set(whole.get_identifiers()), whole.get_children()
    while tables:
        table = tables.pop()
        used |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        tables += table.get_children()
    return defined, used


@each_set
def test_no_test_cell_needs_another(name: str) -> None:
    """A cell that runs into the time limit is not run again, and what it defines is missing."""
    notebook = read(SETS[name])
    tests = {test: global_names(find(notebook, test).source) for test in max_points(notebook)}
    always = {"_"}
    for cell in notebook.cells:
        known = graded(cell)
        given = cell.cell_type == "code" and not known["grade"] and not known["solution"]
        if given and not known["grade_id"].startswith("show-"):
            always |= global_names(cell.source)[0]
    for test, (defined, used) in tests.items():
        for other, (theirs, _) in tests.items():
            needed = (used - defined - always) & theirs
            assert not needed, f"{test} needs {needed} of {other}"


@pytest.mark.parametrize(("name", "wrong"), EVERY_MISTAKE)
def test_a_mistake_costs_what_it_should(name: str, wrong: Wrong) -> None:
    notebook = render(SETS[name])
    result = earned(spoil(notebook, wrong), shows=False)
    failed = {
        test for test, points in max_points(notebook).items() if result.points[test] != points
    }
    assert failed == wrong.loses, {test: result.said.get(test) for test in failed ^ wrong.loses}


@each_set
def test_three_mistakes_reach_each_test(name: str) -> None:
    for test in max_points(read(SETS[name])):
        assert sum(test in wrong.loses for wrong in mistakes(name)) >= 3, test


@each_set
def test_a_student_s_version_tells_nothing(name: str) -> None:
    notebook = render(SETS[name])
    handed_out = "\n".join(cell.source for cell in strip(notebook).cells)
    assert len(secrets(notebook)) > 20
    assert [line for line in secrets(notebook) if line in handed_out] == []
    assert "HIDDEN" not in handed_out and "SOLUTION" not in handed_out


ANSWER = "return 0.5 * (variance + squared - 1 - variance.log()).sum(1)"
PLANTED = {
    "page.html": f"<pre>  <span>{ANSWER.replace(' ', '</span> <span>')}</span>\n</pre>",
    "set.ipynb": '{"source": ["rate\\n", "    ANSWER"]}'.replace("ANSWER", ANSWER),
    "notes.txt": f"\t{ANSWER}",
}


@pytest.mark.parametrize("name", PLANTED)
def test_an_answer_in_a_built_page_is_found(tmp_path: Path, name: str) -> None:
    lines = check_secrets.secret_lines()
    assert list(check_secrets.told(tmp_path, lines)) == []
    (tmp_path / name).write_text(PLANTED[name], "utf-8")
    assert len(list(check_secrets.told(tmp_path, lines))) == 1


@pytest.mark.parametrize("folder", ["html", "slides"])
def test_nothing_built_tells_an_answer(folder: str) -> None:
    built = SOURCES.parents[2] / "_build" / folder
    if not built.is_dir():
        pytest.skip(f"{built} is not there: `make book` and `make slides` build them")
    assert list(check_secrets.told(built, check_secrets.secret_lines())) == []


def test_unusable_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(problem_sets.ProblemSetError, match="SEED=-1: want 0, 1, 2"):
        render(next(iter(SETS.values())), -1)
    with pytest.raises(problem_sets.ProblemSetError, match="no cell has the grade_id 'zz'"):
        find(read(next(iter(SETS.values()))), "zz")
