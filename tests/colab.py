"""A machine like one of Google Colab's, for tests of what readers run there.

It stands outside the repository and has Colab's Python, where that can be had, and the packages of
colab.txt. Its kernels do what colab_startup.py says, and know nothing of this repository.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LIST = HERE / "colab.txt"
COLABS_PYTHON = re.findall(r"^# Python: (\S+)$", LIST.read_text("utf-8"), re.MULTILINE)[0]
PYTHONS = (COLABS_PYTHON, "3.12")  # the first that is here, else the one that runs this
KERNEL = "colab"
ADDRESS = re.compile(r'(?<=%pip install --quiet "words-to-pictures @ )[^"]+(?=")')
CELL_TIMEOUT = 120  # seconds


class UnavailableError(Exception):
    """Something from outside cannot be had; the message says what, and uv's reason."""


def uv(*arguments: str | Path, **environment: str) -> str:
    """What uv prints on stdout; UnavailableError if there is no uv or it fails."""
    beside = Path(sys.executable).with_name("uv")
    program = str(beside) if beside.exists() else shutil.which("uv")
    if program is None:
        raise UnavailableError("there is no uv: pip install uv")
    command = [program, "--no-progress", *map(str, arguments)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "UV_PYTHON_DOWNLOADS": "never", **environment},
        cwd=Path(sys.prefix).anchor,  # where no project is
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise UnavailableError(f"uv {' '.join(command[2:5])} … failed:\n{said}")
    return done.stdout.strip()


def find_python() -> str:
    """The first of PYTHONS that is on the PATH, or that pyenv has; else the one that runs this."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    for version in PYTHONS:
        folders = [str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin"))]
        path = os.pathsep.join([*folders, os.environ["PATH"]])
        try:
            return uv("python", "find", "--system", version, PATH=path)
        except UnavailableError:
            continue
    return sys.executable


def pins() -> dict[str, str]:
    """The requirements of colab.txt, by name."""
    lines = [line for line in LIST.read_text("utf-8").splitlines() if "==" in line]
    return {line.partition("==")[0]: line for line in lines}


def install(python: Path) -> list[str]:
    """Install what Colab has; the packages whose version that Python cannot have, and which are
    the newest instead."""
    into = ("pip", "install", "--quiet", "--python", python, "--only-binary", ":all:")

    def has(*requirements: str, options: tuple[str, ...] = ()) -> bool:
        try:
            uv(*into, *options, *requirements)
        except UnavailableError:
            return False
        return True

    if has("--requirement", str(LIST)):
        return []
    single = ("--dry-run", "--no-deps")
    if not has(pins()["pip"], options=single):
        uv(*into, *single, pins()["pip"])  # says why nothing can be had
    with ThreadPoolExecutor(4) as pool:
        there = list(pool.map(lambda pin: has(pin, options=single), pins().values()))
    missing = [name for name, found in zip(pins(), there, strict=True) if not found]
    wanted = [name if name in missing else pin for name, pin in pins().items()]
    uv(*into, *wanted)
    return missing


def build_wheel(folder: Path) -> Path:
    """The library's wheel, from a copy: a build leaves files beside its sources."""
    copy = folder / "source"
    shutil.copytree(
        ROOT / "cvae_lib", copy / "cvae_lib", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    uv("build", "--quiet", "--wheel", "--out-dir", folder, copy)
    shutil.rmtree(copy)
    (wheel,) = folder.glob("*.whl")
    return wheel


def replace_address(notebook: NotebookNode, address: str) -> None:
    """Let the setup cell install the library from there; ValueError if it does not install it."""
    setup = next(cell for cell in notebook.cells if cell.cell_type == "code")
    setup.source, count = ADDRESS.subn(lambda _: address, setup.source)
    if count != 1:
        raise ValueError(f"the setup cell names {count} addresses, not 1:\n{setup.source}")


@dataclass(frozen=True)
class Machine:
    """One of Colab's, in a folder of its own."""

    home: Path
    address: str  # of the library, for pip
    newest: list[str]  # packages that are not of Colab's version, for want of it

    @property
    def python(self) -> Path:
        return self.home / "env" / "bin" / "python"

    def environment(self) -> dict[str, str]:
        """What a kernel finds: the machine's programs, empty caches, nothing of this process."""
        ours = ("CVAE_", "COV_", "IPY", "JUPYTER", "MPL", "PYTEST", "PYTHON", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **kept,
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            "PATH": f"{self.python.parent}:{kept['PATH']}",
            "IPYTHONDIR": str(self.home / "ipython"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "CVAE_SCALE": "smoke",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else a debugger greets on stderr
        }

    def says(self, *arguments: str) -> str:
        """What its Python prints, stderr too; CalledProcessError if that fails."""
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.home,
            env=self.environment(),
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ).stdout

    def packages(self) -> set[str]:
        """`pip freeze`."""
        return set(self.says("-m", "pip", "freeze", "--all").splitlines())

    def run(self, notebook: NotebookNode, name: str, allow_errors: bool = False) -> None:
        """Execute it, alone in an empty folder; its outputs stand in it then, to the last cell
        that ran. CellExecutionError as nbclient raises it."""
        folder = self.home / name
        folder.mkdir()
        replace_address(notebook, self.address)
        nbformat.write(notebook, folder / f"{name}.ipynb")
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT,
            kernel_name=KERNEL,
            allow_errors=allow_errors,
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute(env=self.environment())


def write_kernel(home: Path, python: Path) -> None:
    """The kernel's description, what it does at its start, and a package ``google.colab``."""
    description = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Colab",
        "language": "python",
    }
    startup = home / "ipython" / "profile_default" / "startup"
    (packages,) = python.parent.parent.glob("lib/python*/site-packages")
    for folder in (kernel := home / "kernels" / KERNEL, startup, packages / "google" / "colab"):
        folder.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps(description), "utf-8")
    shutil.copy(HERE / "colab_startup.py", startup)
    (packages / "google" / "colab" / "__init__.py").touch()


def make_machine(home: Path) -> Machine:
    """A machine as Colab starts one, without the library; UnavailableError if it cannot be had."""
    address = os.environ.get("CVAE_WHEEL") or build_wheel(home).as_uri()
    uv("venv", "--quiet", "--python", find_python(), home / "env")
    python = home / "env" / "bin" / "python"
    newest = install(python)
    write_kernel(home, python)
    # what the library adds can be had, or this says what cannot
    wanted = f"words-to-pictures @ {address}"
    uv("pip", "install", "--quiet", "--dry-run", "--python", python, wanted)
    return Machine(home, address, newest)
