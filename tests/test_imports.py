"""Imports inside the library run one way. Lazy ones, inside functions, count too."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cvae_lib

LIBRARY = Path(cvae_lib.__file__).parent

# A room is a module or a sub-package; it may import the rooms listed here and nobody else.
# The same map in words stands in CONTRIBUTING.md.
MAY_IMPORT: dict[str, set[str]] = {
    "checkpoint": {"files"},
    "checks": set(),
    "clip": set(),
    "config": {"checks"},
    "corpus": {"data", "encoders", "scale"},
    "data": {"checks", "files", "text"},
    "distributed": set(),
    "encoders": {"checks", "clip", "data", "files", "text"},
    "files": set(),
    "frames": set(),
    "grammar": set(),
    "latent": {"checks", "config", "data", "losses", "models"},
    "losses": {"checks", "distributed"},
    "evaluation": {"checks", "data", "losses", "metrics", "models", "pretrained"},
    "metrics": {"checks", "files"},
    "models": {"checks", "data", "losses"},
    "plots": {"checks"},
    "pretrained": {"checkpoint", "checks", "data", "encoders", "files", "models"},
    "recipes": {
        "evaluation",
        "checkpoint",
        "config",
        "data",
        "distributed",
        "encoders",
        "files",
        "latent",
        "losses",
        "models",
        "pretrained",
        "train",
    },
    "records": set(),
    "run": {"checkpoint", "config", "data", "distributed"},
    "scale": set(),
    "text": {"checks", "grammar"},
    "train": {"checkpoint", "checks", "config", "data", "files", "losses", "run"},
    "widgets": {"frames", "plots", "text"},
}
KNOW_ALL = {"cli", "__main__"}
# The package itself offers a version and nothing that would load a room.
PACKAGE = "__init__"


def room_of(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def rooms() -> set[str]:
    return {room_of(path) for path in LIBRARY.rglob("*.py")}


def imported_rooms(path: Path, known: set[str]) -> Iterator[tuple[str, int]]:
    """Every (room, line) of the library that the file at `path` imports, wherever it does so."""
    package = ["cvae_lib", *path.relative_to(LIBRARY).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            modules = [".".join([*base, alias.name]) for alias in node.names]
        for module in modules:
            first, *rest = module.split(".")
            if first == "cvae_lib":
                yield (rest[0] if rest and rest[0] in known else PACKAGE), node.lineno


def test_every_room_is_on_the_map() -> None:
    unknown = rooms() - MAY_IMPORT.keys() - KNOW_ALL - {PACKAGE}
    assert not unknown, f"say what {sorted(unknown)} may import: here and in CONTRIBUTING.md"


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda p: p.name)
def test_imports_run_one_way(path: Path) -> None:
    room = room_of(path)
    if room in KNOW_ALL:
        return
    allowed = MAY_IMPORT.get(room, set()) | {room, PACKAGE}
    wrong = [
        f"{path.name}:{line} imports {other}"
        for other, line in imported_rooms(path, rooms())
        if other not in allowed
    ]
    assert not wrong, f"{wrong}; {room} may import {sorted(allowed - {room, PACKAGE})}"


def test_the_map_has_no_circle() -> None:
    left = {room: set(others) for room, others in MAY_IMPORT.items()}
    while left:
        free = [room for room, others in left.items() if not others & left.keys()]
        assert free, f"these import each other in a circle: {sorted(left)}"
        for room in free:
            del left[room]


def test_the_floors_of_the_map_are_those_of_the_table() -> None:
    text = (LIBRARY.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| (.*) \|$", text, re.MULTILINE)
    floor = {room: int(number) for number, line in rows for room in re.findall(r"`(\w+)`", line)}
    assert floor.keys() == MAY_IMPORT.keys() | {"cli"}
    for room, others in MAY_IMPORT.items():
        assert all(floor[other] < floor[room] for other in others), room


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import cvae_lib.losses", {"losses"}),
        ("from cvae_lib import losses, text", {"losses", "text"}),
        ("from . import losses", {"losses"}),
        ("from .data import fashion", {"data"}),
        ("def f():\n    from .losses import elbo", {"losses"}),
        ("from cvae_lib import __version__", {PACKAGE}),
        ("import numpy", set()),
    ],
)
def test_the_reader_of_imports_sees(
    source: str, found: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.LIBRARY", tmp_path)
    path = tmp_path / "somebody.py"
    path.write_text(source, encoding="utf-8")
    assert {room for room, _ in imported_rooms(path, {"losses", "text", "data"})} == found


def test_a_file_in_a_sub_package_reaches_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.LIBRARY", tmp_path)
    path = tmp_path / "data" / "fashion.py"
    path.parent.mkdir()
    path.write_text("from ..losses import kl\nfrom . import coco\n", encoding="utf-8")
    assert [room for room, _ in imported_rooms(path, {"losses", "data"})] == ["losses", "data"]
