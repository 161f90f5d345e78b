"""The pages of the library: every public name, nothing private; the examples of docstrings run."""

import ast
import doctest
import importlib
import re
import shutil
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import check_book
import public
import pytest
import small_book

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = sorted((small_book.ROOT / "book" / "api").glob("*.md"))
TOC = """format: jb-book
root: book/index
chapters:
- file: book/second
- file: book/01_tea
- file: book/api/library
  sections:
"""
TEA = """{"nbformat": 4, "nbformat_minor": 5, "metadata": {
"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}, "cells": [
{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Tea"},
{"cell_type": "code", "id": "b", "metadata": {}, "outputs": [], "execution_count": null,
 "source": "from cvae_lib import losses\\nfrom cvae_lib.models import VAE\\nlosses.elbo"}]}
"""


def write(folder: Path) -> None:
    """A book of a chapter and the pages of the library."""
    small_book.write(folder)
    shutil.copytree(small_book.ROOT / "book" / "api", folder / "book" / "api")
    pages = [f"  - file: book/api/{page.stem}\n" for page in PAGES if page.stem != "library"]
    (folder / "_toc.yml").write_text(TOC + "".join(pages), encoding="utf-8")
    config = folder / "_config.yml"  # "found" asks chapters for more
    unfound = config.read_text("utf-8").replace("    found: tools", "    #")
    config.write_text(unfound, encoding="utf-8")
    (folder / "book" / "01_tea.ipynb").write_text(TEA, encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages."""
    small_book.need_packages()
    write(folder := tmp_path_factory.mktemp("library"))
    done = small_book.build(folder, GITHUB_REPOSITORY="tea/words-to-pictures")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "_build" / "html"


def described(site: Path) -> set[str]:
    """The names that the built pages describe, by the index that they bring for other books."""
    packed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(packed).decode("utf-8").splitlines()
    return {line.split()[0] for line in lines if " py:" in line}


def says_nothing_new(module: str, name: str) -> bool:
    """Whether a method has no docstring and replaces one of a base of the library."""
    owner, _, last = name.rpartition(".")
    kind = getattr(importlib.import_module(module), owner, None) if owner else None
    if kind is None or getattr(vars(kind).get(last, ""), "__doc__", ""):
        return False
    return any(last in vars(b) and "cvae_lib" in b.__module__ for b in kind.__mro__[1:])


def test_every_public_name_stands_on_a_page_and_no_private_one(site: Path) -> None:
    names = described(site)
    wanted = {
        f"{module}.{name}"
        for module in public.modules()
        for name in public.module(module).places
        if not says_nothing_new(module, name)
    }
    assert len(wanted) > 400 and not wanted - names
    assert not set(public.modules()) - names
    inner = {part for name in names for part in name.split(".") if part.startswith("_")}
    assert inner == {"__call__"}
    inherited = {name for name in names - wanted - set(public.modules()) if "__" not in name}
    assert all(".encoders." in name for name in inherited), inherited


def test_every_module_is_asked_for_once() -> None:
    told = [room for page in PAGES for room in re.findall(r"\{api\} ([\w.]+)", page.read_text())]
    assert sorted(f"cvae_lib.{room}" for room in told) == sorted(public.modules())
    contents = (small_book.ROOT / "book" / "api" / "library.md").read_text("utf-8")
    listed = [room for line in re.findall(r"\{rooms\} (.*)", contents) for room in line.split()]
    assert sorted(listed) == sorted(told)


def test_a_name_leads_to_its_source_its_chapters_and_its_kin(site: Path) -> None:
    page = (site / "book" / "api" / "losses.html").read_text("utf-8")
    place = public.module("cvae_lib.losses").places["gaussian_kl"]
    assert (
        "https://github.com/tea/words-to-pictures/blob/main/cvae_lib/losses.py"
        f"#L{place.first}-L{place.last}"
    ) in page
    assert 'href="../01_tea.html"' in page
    assert 'href="#cvae_lib.losses.elbo"' in page  # log_weights names it
    assert "<p>passes over the training set</p>" in page  # a comment, for a field
    chapter = (site / "book" / "01_tea.html").read_text("utf-8")
    assert 'href="api/losses.html#cvae_lib.losses.elbo"' in chapter
    assert 'href="api/models.html#cvae_lib.models.garments.VAE"' in chapter


@pytest.mark.parametrize(("scheme", "name"), [("http", "ground"), ("file", "losses")])
def test_the_pages_can_be_read_everywhere(
    scheme: str, name: str, site: Path, browser: "Browser"
) -> None:
    with check_book.served(site) as address:
        walk = check_book.Walk(browser, address if scheme == "http" else site.as_uri(), limit=10)
        walk.look(f"book/api/{name}.html")
    assert walk.faults == []


SOURCE = '''"""Tea."""
from math import pi
from cvae_lib.losses import elbo
__all__ = ["Pot", "elbo"]
LEAVES = CUPS = 3  # of tea
_hidden = 1
RULES = [  # for guests
    pi,
]  # fmt: skip
class Pot:
    size: int = 2  # cups
    def pour(self): ...  # a cup
    def _boil(self): ...
def drink(cup): return cup
'''


def test_what_is_public_is_read_from_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cvae_lib").mkdir()
    (tmp_path / "cvae_lib" / "tea.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.setattr(public, "ROOT", tmp_path)
    tea = public.module("cvae_lib.tea")
    comments = {name: place.comment for name, place in tea.places.items()}
    assert comments == {
        "LEAVES": "of tea", "CUPS": "of tea", "RULES": "for guests", "Pot": "", "Pot.size": "cups",
        "Pot.pour": "a cup", "drink": "",
    }  # fmt: skip
    assert tea.offers == {"elbo": "cvae_lib.losses.elbo"} and tea.summary == "Tea."
    public.module.cache_clear()


@pytest.mark.parametrize("module", public.modules())
def test_the_examples_of_docstrings_run(module: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(module), report=False)
    assert failed == 0, f"{sys.executable} -m doctest shows them: {module}"


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [t for m in public.modules() for t in finder.find(importlib.import_module(m))]
    assert sum(len(test.examples) for test in found) >= 8


def raised(node: ast.AST) -> set[str]:
    """The errors that a function raises itself, but for those that it catches again."""
    found: set[str] = set()
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.Raise) and isinstance(part.exc, ast.Call):
            found.add(ast.unparse(part.exc.func))
        elif isinstance(part, ast.Try):
            found |= set().union(*map(raised, [*part.handlers, *part.orelse, *part.finalbody]))
        elif not isinstance(part, ast.FunctionDef):
            found |= raised(part)
    return found


@pytest.mark.parametrize("module", public.modules())
def test_an_error_stands_in_the_docstring_of_what_raises_it(module: str) -> None:
    tree = ast.parse(public.module(module).path.read_text("utf-8"))
    whole = ast.get_docstring(tree) or ""  # may speak for all functions
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            told = whole + (ast.get_docstring(node) or "")
            assert not {name for name in raised(node) if name not in told}, node.name
