"""How nbgrader grades this course: `make assignments` puts this file into the course's folder.

It differs from nbgrader's defaults in six things. A submission runs in a sandbox of its own, which
has no network and sees neither the course nor the home folder. One that runs without end, or whose
process dies, loses the cell that did it and is graded on. Cells that a student deleted come back.
What a submission writes to stderr (a warning, a progress bar) costs no points. Of its outputs only
text and pictures stay. Feedback shows what a hidden test says, and not the test.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.preprocessors import ClearMetadataPreprocessor, CSSHTMLHeaderPreprocessor
from nbgrader import preprocessors
from traitlets.config import get_config

COURSE = Path(__file__).parent
SECONDS = 30  # for one cell; a solved set takes at most fifteen in all
MEMORY = 16 << 30  # bytes of addresses; PyTorch alone asks for several GB, and uses few of them
PROCESSES = 1024  # with threads
FILE = 1 << 30  # bytes


def walls(folder: Path) -> list[str]:
    """What to put before a command so that it runs in a sandbox (bubblewrap's, on Linux).

    It can read the system, this Python and the library, and write into an empty /tmp and into
    ``folder``. There is no network. Memory, processes and sizes of files are limited.
    """
    spec = importlib.util.find_spec("cvae_lib")
    if spec is None or spec.origin is None:
        raise RuntimeError("cvae_lib is not installed: make install")
    library = Path(spec.origin).parent
    hidden = {"/tmp", str(Path.home()), str(COURSE), str(library.parent)}
    readable = [sys.base_prefix, sys.prefix, str(library)]
    inside = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    return [
        *("prlimit", f"--as={MEMORY}", f"--nproc={PROCESSES}", f"--fsize={FILE}"),
        *("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
        *(part for path in sorted(hidden) for part in ("--tmpfs", path)),
        *(part for path in readable for part in ("--ro-bind", path, path)),
        *("--bind", str(folder), str(folder), "--chdir", "/tmp", "--clearenv"),
        *(part for name, value in inside.items() for part in ("--setenv", name, value)),
        *("--unshare-all", "--die-with-parent", "--new-session"),
    ]


class Walled(AsyncKernelManager):
    """Starts the process of a submission in a sandbox, and talks to it through files there."""

    def __init__(self, **settings: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="wtp-"))
        place = str(self.folder / "kernel.json")
        super().__init__(**{**settings, "transport": "ipc", "connection_file": place})

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        command = super().format_kernel_cmd(extra_arguments)
        if os.environ.get("TRUST_SUBMISSIONS") == "yes":
            return command
        if shutil.which("bwrap") is None:
            raise RuntimeError(
                "submissions run in a sandbox, which needs bubblewrap (Debian, Ubuntu: apt-get "
                "install bubblewrap); TRUST_SUBMISSIONS=yes runs them without"
            )
        mute = ["sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh"]  # what a notebook prints is messages
        return [*walls(self.folder), *mute, *command]

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart)
        if not restart:
            shutil.rmtree(self.folder, ignore_errors=True)

    cleanup_resources = _async_cleanup_resources


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


class PlainOutputs(preprocessors.NbGraderPreprocessor):
    """Keeps text and pictures. What was written to stderr goes: nbgrader would give the cell no
    points for it. HTML and scripts go: they would run in the browser of whoever grades."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
            for out in cell.outputs:
                if "data" in out:
                    kept = out.data.keys() & {"text/plain", "image/png"}
                    out.data = {kind: out.data[kind] for kind in sorted(kept)}
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
c.Survive.kernel_manager_class = Walled
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
    PlainOutputs,
    preprocessors.IgnorePattern,
    ClearMetadataPreprocessor,
    preprocessors.LimitOutput,
    preprocessors.SaveAutoGrades,
    preprocessors.AssignLatePenalties,
    preprocessors.CheckCellMetadata,
]
c.HTMLExporter.sanitize_html = True  # of what students wrote, in feedback and formgrader
c.GenerateFeedback.preprocessors = [
    preprocessors.GetGrades,
    HideTests,
    CSSHTMLHeaderPreprocessor,
]
