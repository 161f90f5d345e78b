"""The files around the library agree with each other: addresses, environments, book, Makefile."""

import json
import re
import subprocess
from pathlib import Path

import fresh_cache
import pytest
import set_repository
import yaml

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
PAGES = NOTEBOOKS + sorted((ROOT / "book").glob("*.md"))


def pyproject(pattern: str) -> str:
    """The first group of `pattern` in pyproject.toml (Python 3.10 has no tomllib)."""
    match = re.search(pattern, (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert match, pattern
    return match[1]


def prose(path: Path) -> str:
    """A page without its code cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    captions = [
        str(cell["metadata"].get("mystnb", {}).get("figure", {}).get("caption", ""))
        for cell in cells
    ]
    markdown = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return "\n".join(markdown + captions)


# --- environments and metadata ---------------------------------------------------------------


def test_environment_yml_installs_the_package_with_its_extras() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    editable = re.fullmatch(r"-e \.\[(.*)\]", pip[0])
    assert editable and set(editable[1].split(",")) == {"book", "dev"}
    assert len(pip) == 1, "every other dependency belongs into pyproject.toml"
    python = next(d for d in environment["dependencies"] if str(d).startswith("python"))
    assert python.removeprefix("python") == pyproject(r'^requires-python = "(.*)"')


def test_versions_and_licences_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == pyproject(r'^version = "(.*)"')
    assert citation["license"] == pyproject(r'^license = "(.*)"') == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


# --- the repository's address ----------------------------------------------------------------


def test_every_copy_of_the_address_is_pyprojects() -> None:
    slug = set_repository.current(ROOT)
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert set_repository.slug(config["repository"]["url"]) == slug
    assert set_repository.slug(citation["repository-code"]) == slug

    name = slug.split("/")[1]
    strays = []
    # what can only be a copy: Colab and pip addresses, and anybody's repository of our name
    address = re.compile(
        r"(colab\.research\.google\.com/github/|git\+https://github\.com/|github\.com/)"
        r"([A-Za-z0-9-]+/[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)"
    )
    for path in set_repository.text_files(ROOT):
        if path.is_relative_to(ROOT / "tests"):
            continue
        for prefix, found in address.findall(set_repository.read_text(path) or ""):
            found = found.removesuffix(".git")
            ours = prefix != "github.com/" or found.split("/")[1] == name
            if ours and found not in {slug, "OWNER/NAME"}:
                strays.append(f"{path.relative_to(ROOT)}: {prefix}{found}")
    assert not strays, f"{strays}; `make set-repository URL=https://github.com/{slug}` knows {slug}"


def small_repository(root: Path) -> dict[str, str]:
    old = "https://github.com/first/words"
    files = {
        "pyproject.toml": f'[project.urls]\nRepository = "{old}"\n',
        "README.md": f"See {old}. Clone {old}.git, not {old}-old or {old}.io or {old}/issues?\n",
        "_config.yml": f"repository:\n  url: {old} # here\r\n",
        "book/01.ipynb": json.dumps(
            {
                "cells": [
                    {"source": [f"%pip install git+{old}\n", "print('ä')"]},
                    {
                        "source": [
                            "https://colab.research.google.com/github/first/words/blob/main/x"
                        ]
                    },
                ]
            },
            indent=1,
        ),
        "other.md": "https://github.com/first/wordsmith https://github.com/second/words\n",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
    (root / "picture.png").write_bytes(b"\x89PNG\0" + old.encode())
    return files


@pytest.mark.parametrize("with_git", [True, False])
def test_set_repository_there_and_back(tmp_path: Path, with_git: bool) -> None:
    before = small_repository(tmp_path)
    if with_git:
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)

    changed = set_repository.set_repository(tmp_path, "https://github.com/new-owner/my.book.git/")
    assert {path.name for path in changed} == set(
        ["pyproject.toml", "README.md", "_config.yml", "01.ipynb"]
    )
    new = "https://github.com/new-owner/my.book"
    assert set_repository.current(tmp_path) == "new-owner/my.book"
    old = "https://github.com/first/words"
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == (
        f"See {new}. Clone {new}.git, not {old}-old or {old}.io or {new}/issues?\n"
    )
    notebook = json.loads((tmp_path / "book/01.ipynb").read_text(encoding="utf-8"))
    assert notebook["cells"][0]["source"][0] == f"%pip install git+{new}\n"
    assert "colab.research.google.com/github/new-owner/my.book/" in str(notebook)
    assert (tmp_path / "picture.png").read_bytes().endswith(old.encode())

    assert set_repository.set_repository(tmp_path, new) == [], "a second call changes nothing"
    set_repository.set_repository(tmp_path, old)
    after = {name: (tmp_path / name).read_bytes().decode() for name in before}
    assert after == before


@pytest.mark.parametrize(
    "url",
    [
        "",
        "github.com/a/b",
        "http://github.com/a/b",
        "git@github.com:a/b.git",
        "https://gitlab.com/a/b",
        "https://github.com/a",
        "https://github.com/-a/b",
        "https://github.com/a/b/tree/main",
        "https://github.com/a/b c",
        "https://github.com/a/..",
        "https://github.com/a/.git",
    ],
)
def test_set_repository_refuses_what_is_no_address(url: str, tmp_path: Path) -> None:
    before = small_repository(tmp_path)
    with pytest.raises(ValueError, match=r"https://github\.com/OWNER/NAME"):
        set_repository.set_repository(tmp_path, url)
    assert {n: (tmp_path / n).read_bytes().decode() for n in before} == before


# --- the book --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_committed_clean(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"] >= 5) == (4, True)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids)), "cell ids repeat"
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert not cell["outputs"], f"cell {cell['id']} has outputs"
        assert cell["execution_count"] is None, f"cell {cell['id']} has an execution count"
        assert "execution" not in cell["metadata"], f"cell {cell['id']} has run times"


def toc_files(node: object) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in toc_files(item)]
    if isinstance(node, dict):
        own = [str(node[key]) for key in ("root", "file") if key in node]
        return own + [name for value in node.values() for name in toc_files(value)]
    return []


def test_the_table_of_contents_and_the_book_agree() -> None:
    listed = toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    assert len(listed) == len(set(listed))
    for name in listed:
        found = [name + end for end in (".md", ".ipynb") if (ROOT / (name + end)).is_file()]
        assert len(found) == 1, f"{name} in _toc.yml is {found or 'no file'}"
    unlisted = [p.stem for p in NOTEBOOKS if f"book/{p.stem}" not in listed]
    assert not unlisted, f"{unlisted} stand in no _toc.yml"


def test_every_citation_is_in_the_bibliography() -> None:
    entries = re.findall(
        r"^@\w+\{([^,\s]+),", (ROOT / "book/references.bib").read_text(encoding="utf-8"), re.M
    )
    assert len(entries) == len(set(entries)), "a key stands twice"
    for path in PAGES:
        used = re.findall(r"\{cite(?::[a-z]+)?\}`([^`]+)`", prose(path))
        keys = {key.strip() for group in used for key in group.split(",")}
        assert keys <= set(entries), f"{path.name}: {sorted(keys - set(entries))}"


def test_every_reference_can_be_looked_up() -> None:
    text = (ROOT / "book/references.bib").read_text(encoding="utf-8")
    for entry in re.split(r"^@", text, flags=re.M)[1:]:
        key = entry.split("{")[1].split(",")[0]
        if key != "tds2024conditional":  # its address is not known
            assert re.search(r"^\s*(doi|eprint|url)\s*=", entry, re.M), key


# --- make ------------------------------------------------------------------------------------


def test_make_alone_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    described = dict(re.findall(r"^([a-z-]+):.*?## (.*)$", makefile, re.M))
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.M)
    assert phony and set(phony[1].split()) == described.keys()
    listing = subprocess.run(
        ["make"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(listing) == len(described)
    for target, line in described.items():
        assert any(row.split() == ["make", target, *line.split()] for row in listing), target


def cached_book(root: Path) -> Path:
    (root / "cvae_lib" / "pretrained").mkdir(parents=True)
    (root / "cvae_lib" / "losses.py").write_text("a = 1\n", encoding="utf-8")
    (root / "cvae_lib" / "pretrained" / "judge.safetensors").write_bytes(b"weights")
    (root / "cvae_lib" / "data" / "fashion-mnist").mkdir(parents=True)
    fresh_cache.refresh(root)
    cache = root / "_build" / ".jupyter_cache"
    cache.mkdir()
    (root / "_build" / ".doctrees").mkdir()
    (root / "_build" / "html").mkdir()
    return cache


def test_an_unchanged_library_keeps_the_execution_cache(tmp_path: Path) -> None:
    cache = cached_book(tmp_path)
    (tmp_path / "cvae_lib" / "records" / "chapters").mkdir(parents=True)
    (tmp_path / "cvae_lib" / "records" / "chapters" / "01-cpu.json").touch()
    assert not fresh_cache.refresh(tmp_path)
    assert cache.is_dir()


@pytest.mark.parametrize(
    "what", ["library", "new module", "weights", "new record", "scale", "pictures"]
)
def test_a_change_empties_the_execution_cache(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CVAE_SCALE", raising=False)
    cache = cached_book(tmp_path)
    if what == "library":
        (tmp_path / "cvae_lib" / "losses.py").write_text("a = 2\n", encoding="utf-8")
    elif what == "new module":
        (tmp_path / "cvae_lib" / "data" / "new.py").touch()
    elif what == "weights":
        (tmp_path / "cvae_lib" / "pretrained" / "judge.safetensors").write_bytes(b"others")
    elif what == "new record":
        (tmp_path / "cvae_lib" / "records" / "tea").mkdir(parents=True)
        (tmp_path / "cvae_lib" / "records" / "tea" / "green-0.json").touch()
    elif what == "scale":
        monkeypatch.setenv("CVAE_SCALE", "gpu")
    else:
        (tmp_path / "cvae_lib" / "data" / "fashion-mnist" / "test-1.png").write_bytes(b"png")
    assert fresh_cache.refresh(tmp_path)
    assert not cache.exists()
    assert not (tmp_path / "_build" / ".doctrees").exists()
    assert (tmp_path / "_build" / "html").is_dir(), "the built book stays until the next one"
    assert not fresh_cache.refresh(tmp_path)
