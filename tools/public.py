"""What of `cvae_lib` is public, and where it stands, read from its source without importing it.

Public is every name that a module defines, or a class of it, and that begins with no underscore.
The command line (`cvae_lib.cli`) is none of it: its commands are called from a shell.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import io
import json
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "cvae_lib"
COMMAND_LINE = ("__main__", "cli")
LIBRARY = Path(importlib.util.find_spec(PACKAGE).origin).parent  # type: ignore[union-attr,arg-type]
ROOT = LIBRARY.parent
NO_WORDS = re.compile(r"#\s*(noqa|type:|fmt:)")  # comments that speak to tools


@dataclass(frozen=True)
class Place:
    """Where a name is defined, and what its line says of it."""

    first: int  # lines, from 1
    last: int
    comment: str = ""  # behind the code on one of the two lines
    value: bool = False  # a constant or a field, neither class nor function


@dataclass(frozen=True)
class Module:
    """A module of the library."""

    name: str  # "cvae_lib.models.base"
    path: Path
    summary: str  # the first paragraph of its docstring
    places: dict[str, Place]  # "VAE", "VAE.sample", in the order of the source
    offers: dict[str, str]  # of ``__all__``: name → where it is defined, for those of other modules

    @property
    def names(self) -> list[str]:
        """Its public names, without those inside classes."""
        return [name for name in self.places if "." not in name]


def comments_of(source: str) -> dict[int, str]:
    """The comment that ends each line of a source, by line; without those that speak to tools."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    found = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    return {line: text.lstrip("# ") for line, text in found.items() if not NO_WORDS.match(text)}


def bound(node: ast.stmt) -> list[str]:
    """The public names that a statement defines."""
    names: list[str] = []
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        names = [node.name]
    elif isinstance(node, ast.AnnAssign):
        names = [target.id for target in [node.target] if isinstance(target, ast.Name)]
    elif isinstance(node, ast.Assign):
        inside = [name for target in node.targets for name in ast.walk(target)]
        names = [name.id for name in inside if isinstance(name, ast.Name)]
    return [name for name in names if not name.startswith("_")]


def places_of(body: list[ast.stmt], comments: dict[int, str], prefix: str = "") -> dict[str, Place]:
    """The public names of a module's or a class's body, and of the classes in it."""
    places: dict[str, Place] = {}
    for node in body:
        value = isinstance(node, ast.Assign | ast.AnnAssign)
        last = node.end_lineno or node.lineno
        comment = ""
        if value or last == node.lineno:
            comment = comments.get(last, "") or comments.get(node.lineno, "")
        for name in bound(node):
            places.setdefault(prefix + name, Place(node.lineno, last, comment, value))
        if isinstance(node, ast.ClassDef) and bound(node) and not prefix:
            places |= places_of(node.body, comments, f"{node.name}.")
    return places


def offers_of(tree: ast.Module, name: str) -> dict[str, str]:
    """What ``__all__`` of a module offers of others: name → where that one imports it from."""
    told = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    wanted = set(ast.literal_eval(told[0])) if told else set()
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    origins = {alias.name: node.module or "" for node in imports for alias in node.names}
    return {each: f"{origins[each]}.{each}" for each in sorted(wanted) if each in origins}


@functools.cache
def module(name: str) -> Module:
    """The module called ``name``; FileNotFoundError if there is none."""
    path = ROOT.joinpath(*name.split("."))
    path = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    summary = (ast.get_docstring(tree) or "").partition("\n\n")[0].replace("\n", " ")
    places = places_of(tree.body, comments_of(source))
    return Module(name, path, summary, places, offers_of(tree, name))


@functools.cache
def modules() -> tuple[str, ...]:
    """The names of all public modules, without that of the package itself."""
    found = []
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if len(parts) > 1 and not any(part in COMMAND_LINE for part in parts):
            found.append(".".join(parts))
    return tuple(found)


def defined(name: str) -> str | None:
    """Where the public name ``name`` ("cvae_lib.models.VAE") is defined; None if there is none."""
    if name in modules():
        return name
    home, _, last = name.rpartition(".")
    if home not in modules():
        return None
    if last in module(home).places:
        return name
    return defined(module(home).offers[last]) if last in module(home).offers else None


@functools.cache
def used(notebook: Path) -> list[str]:
    """The public names that the code of a notebook imports or takes from a module, sorted."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    code = re.sub(r"^(\s*)[%!].*$", r"\1pass", "\n".join(sources), flags=re.M)
    tree = ast.parse(code)
    imported = dict(imports(tree))
    names = [name for name in imported.values() if name not in modules()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names.append(f"{imported.get(node.value.id)}.{node.attr}")
    return sorted({place for name in names if (place := defined(name))})


def imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The names that come from the library: as they are called there, and with their modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"
