"""Readers' first minute, and all that follows, on a machine like Colab's (colab.py).

Deselected by ``-m "not colab"``. ``CVAE_WHEEL`` names another address of the library, as pip takes
it: file:///… or https://….whl, or git+https://….
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlparse

import colab
import nbformat
import pytest
import small_book
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT / "book").glob("[0-9]*.ipynb"))
SETS = sorted((ROOT / "book" / "instructor" / "assignments").glob("ps*.ipynb"))
INSTALL_SECONDS = 60
WHEEL_MIB = 60
IMPORT_SECONDS = 2
JOBS = 2  # notebooks at a time, with one thread each

pytestmark = pytest.mark.colab


class Installed(NamedTuple):
    """A machine after the first chapter's setup cell."""

    machine: colab.Machine
    before: set[str]  # its packages
    seconds: float
    printed: str


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def printed(notebook: NotebookNode) -> str:
    """All text that its cells put out, and the types of what else they did."""
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    return "".join(out.get("text", str(sorted(out.get("data", {})))) for out in outputs)


def normal(pins: set[str]) -> set[str]:
    """Requirements as PyPI compares them; those of its own builds, ``+cpu``, as their versions."""
    return {pin.partition("+")[0].lower().replace("_", "-") for pin in pins}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The library, installed by the first chapter's setup cell into a new machine. All chapters
    then run there: their setup cells install the same, and kernels share nothing else."""
    try:
        caches = Path(colab.uv("cache", "dir"))
        caches.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="colab-", dir=caches) as home:  # hard links
            machine = colab.make_machine(Path(home))
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("JUPYTER_PATH", home)  # its kernel, for this process
                yield install(machine)
    except colab.UnavailableError as error:
        small_book.unavailable(str(error))


def install(machine: colab.Machine) -> Installed:
    """Run the first chapter's setup cell."""
    notebook = read(CHAPTERS[0])
    end = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code") + 1
    notebook.cells = notebook.cells[:end]
    before, start = machine.packages(), time.monotonic()
    machine.run(notebook, "setup")
    return Installed(machine, before, time.monotonic() - start, printed(notebook))


def test_the_library_is_installed_in_under_a_minute_and_asks_for_no_restart(
    installed: Installed,
) -> None:
    assert installed.seconds < INSTALL_SECONDS
    assert "restart" not in installed.printed.lower(), installed.printed
    assert "error" not in installed.printed.lower(), installed.printed
    where = installed.machine.says("-c", "import cvae_lib; print(cvae_lib.__file__)")
    assert where.startswith(str(installed.machine.home / "env")), where


def test_no_package_of_colab_is_replaced(installed: Installed) -> None:
    after = installed.machine.packages()
    assert installed.before - after == set()
    assert any(line.startswith("words-to-pictures @ ") for line in after - installed.before)


def test_the_machine_is_like_colab(installed: Installed) -> None:
    machine = installed.machine
    pins = {pin for name, pin in colab.pins().items() if name not in machine.newest}
    assert normal(pins) <= normal(installed.before)
    version = machine.says("-c", "import sys; print(*sys.version_info[:2], sep='.')").strip()
    if version != colab.COLABS_PYTHON or machine.newest:
        newest = ", ".join(machine.newest) or "none"
        pytest.skip(f"Colab has Python {colab.COLABS_PYTHON}, this {version}; newer here: {newest}")


def run(machine: colab.Machine, path: Path) -> NotebookNode:
    """A chapter, or a student's version of a problem set, as it came to its end."""
    if path in CHAPTERS:
        machine.run(notebook := read(path), path.stem)
        return notebook
    from problem_sets import render, strip

    machine.run(notebook := strip(render(path)), path.stem, allow_errors=True)
    return notebook


@pytest.fixture(scope="module")
def runs(
    installed: Installed, request: pytest.FixtureRequest
) -> Iterator[dict[Path, Future[NotebookNode]]]:
    """All notebooks that this session's tests ask for, ``JOBS`` of them at a time."""
    tests = [item for item in request.session.items if item.path == request.path]
    asked = [item.callspec.params["path"] for item in tests if hasattr(item, "callspec")]
    pool = ThreadPoolExecutor(JOBS)
    yield {path: pool.submit(run, installed.machine, path) for path in asked}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_without_the_repository_beside_it(
    runs: dict[Path, Future[NotebookNode]], path: Path
) -> None:
    warned = {
        cell.id: out.text
        for cell in runs[path].result().cells
        for out in cell.get("outputs", [])
        if out.get("name") == "stderr"
    }
    assert not warned, warned


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_a_student_gets_to_work(runs: dict[Path, Future[NotebookNode]], path: Path) -> None:
    """In a set without answers only these and their tests may fail; the setup stands."""
    pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[instructor]'")
    from problem_sets import graded

    failed = [
        cell
        for cell in runs[path].result().cells
        if any(out.output_type == "error" for out in cell.get("outputs", []))
    ]
    assert failed, "tests pass without an answer"
    for cell in failed:
        told = graded(cell)
        assert told["solution"] or told["grade"], (told["grade_id"], cell.outputs[-1])


def test_the_wheel_is_small_and_sound(installed: Installed) -> None:
    address = urlparse(installed.machine.address)
    if address.scheme != "file":
        pytest.skip(f"CVAE_WHEEL={installed.machine.address} is no file")
    wheel = Path(unquote(address.path))
    assert wheel.stat().st_size <= WHEEL_MIB * 2**20
    twine = ("tool", "run", "--quiet", "twine")
    try:
        colab.uv(*twine, "--version")
    except colab.UnavailableError as error:
        small_book.unavailable(str(error))
    said = colab.uv(*twine, "check", "--strict", wheel)
    assert "PASSED" in said, said


IMPORTS = f"""
import sys, time
import torch
before = set(sys.modules)
start = time.process_time()
import cvae_lib
from cvae_lib import losses, models, text
seconds = time.process_time() - start
assert seconds < {IMPORT_SECONDS}, seconds
print(*sorted(name for name in set(sys.modules) - before if "." not in name))
"""
HEAVY = {"accelerate", "clip", "ipywidgets", "matplotlib", "pandas", "scipy", "sentencex"}
HEAVY |= {"skimage", "sklearn", "tokenizers", "torch_fidelity", "torchvision", "wordllama"}


def test_what_a_chapter_does_not_need_is_not_imported(installed: Installed) -> None:
    loaded = set(installed.machine.says("-c", IMPORTS).split())
    assert "cvae_lib" in loaded and not loaded & HEAVY
