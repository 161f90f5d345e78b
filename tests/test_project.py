"""The files around the library agree with each other: addresses, environments, book, Makefile."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
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


def test_environment_and_metadata_agree_with_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    editable = re.fullmatch(r"-e \.\[(.*)\]", pip[0])
    assert editable and set(editable[1].split(",")) == {"book", "dev", "instructor"}
    assert len(pip) == 1, "every other dependency belongs into pyproject.toml"
    python = next(d for d in environment["dependencies"] if str(d).startswith("python"))
    assert python.removeprefix("python") == pyproject(r'^requires-python = "(.*)"')
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == pyproject(r'^version = "(.*)"')
    assert citation["license"] == pyproject(r'^license = "(.*)"') == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


# --- the repository's address ----------------------------------------------------------------


def test_every_copy_of_the_address_is_pyprojects() -> None:
    url = pyproject(r'^Repository = "(https://github\.com/.*)"')
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert config["repository"]["url"] == citation["repository-code"] == url
    # what can only be a copy: Colab and pip addresses, and anybody's repository of our name
    name = url.rpartition("/")[2]
    address = rf"(?:research\.google\.com/github|git\+https://github\.com)/[\w-]+/[\w.-]*\w|github\.com/[\w-]+/{name}\b"
    search = ["git", "grep", "--no-index", "--exclude-standard", "-hoIP", address]
    found = subprocess.check_output([*search, "--", ".", ":!tests"], cwd=ROOT, text=True)
    slugs = {"/".join(line.split("/")[-2:]).removesuffix(".git") for line in found.split()}
    slug = url.removeprefix("https://github.com/")
    assert slugs <= {slug, "OWNER/NAME"}, f"`make set-repository URL={url}` knows {slug}"


FIRST = "https://github.com/first/words"
FILES = {
    "pyproject.toml": f'[project.urls]\nRepository = "{FIRST}"\n',
    "README.md": f"{FIRST}. {FIRST}.git, not {FIRST}-old or {FIRST}.io or {FIRST}/issues?\n",
    "_config.yml": f'repository:\n  url: {FIRST} # here\r\nhtml:\n  baseurl: "" # there\n',
    "book/01.md": f"%pip install git+{FIRST}\nhttps://colab.research.google.com/github/first/words/ä",
    "other.md": "https://github.com/first/wordsmith https://github.com/second/words\n",
    "picture.png": f"\x89PNG\0{FIRST}",
}


def set_repository(root: Path, url: str, *book: str) -> subprocess.CompletedProcess[str]:
    """Run the tool on a small repository of ``FILES``, which are written where they are not."""
    for name, text in FILES.items():
        if not (root / name).exists():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(text.encode())
    command = [sys.executable, str(ROOT / "tools" / "set_repository.py"), url, *book]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def test_set_repository_there_and_back(tmp_path: Path) -> None:
    assert set_repository(tmp_path, "https://github.com/1-owner/my.book.git/").returncode == 0
    after = {name: (tmp_path / name).read_bytes().decode() for name in FILES}
    new = "https://github.com/1-owner/my.book"
    assert after["README.md"] == (
        f"{new}. {new}.git, not {FIRST}-old or {FIRST}.io or {new}/issues?\n"
    )
    assert after["book/01.md"] == FILES["book/01.md"].replace("first/words", "1-owner/my.book")
    assert after["_config.yml"] == FILES["_config.yml"].replace(FIRST, new)
    assert {name for name in FILES if after[name] == FILES[name]} == {"other.md", "picture.png"}
    assert set_repository(tmp_path, FIRST).returncode == 0
    assert {name: (tmp_path / name).read_bytes().decode() for name in FILES} == FILES


def test_set_repository_writes_where_the_built_book_stands(tmp_path: Path) -> None:
    address = "https://first.github.io/words/"
    assert set_repository(tmp_path, FIRST, address).returncode == 0
    after = (tmp_path / "_config.yml").read_bytes().decode()
    assert after == FILES["_config.yml"].replace('""', f'"{address}"')
    for wrong in ("first.github.io", 'https://a/"b', "https://a b"):
        done = set_repository(tmp_path, FIRST, wrong)
        assert done.returncode and "is not like https://OWNER.github.io/NAME/" in done.stderr
    assert set_repository(tmp_path, FIRST, "").returncode == 0
    assert (tmp_path / "_config.yml").read_bytes().decode() == after


@pytest.mark.parametrize("name", ["", "-a/b", "a/b/tree/main", "a/b c", "a/..", "a/.git", "http"])
def test_set_repository_refuses_what_is_no_address(name: str, tmp_path: Path) -> None:
    url = "http://github.com/a/b" if name == "http" else f"https://github.com/{name}"
    done = set_repository(tmp_path, url)
    assert done.returncode and done.stderr.endswith("is not like https://github.com/OWNER/NAME\n")
    assert {name: (tmp_path / name).read_bytes().decode() for name in FILES} == FILES


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


def test_every_citation_is_in_the_bibliography_and_can_be_looked_up() -> None:
    text = (ROOT / "book/references.bib").read_text(encoding="utf-8")
    entries = re.findall(r"^@\w+\{([^,\s]+),", text, re.M)
    assert len(entries) == len(set(entries)), "a key stands twice"
    for path in PAGES:
        used = re.findall(r"\{cite(?::[a-z]+)?\}`([^`]+)`", prose(path))
        keys = {key.strip() for group in used for key in group.split(",")}
        assert keys <= set(entries), f"{path.name}: {sorted(keys - set(entries))}"
    for entry in re.split(r"^@", text, flags=re.M)[1:]:
        key = entry.split("{")[1].split(",")[0]
        if key != "tds2024conditional":  # its address is not known
            assert re.search(r"^\s*(doi|eprint|url)\s*=", entry, re.M), key


def test_the_version_has_its_section_in_the_changelog() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    sections = re.findall(r"^## \[(.+)\] - (?:unreleased|\d{4}-\d\d-\d\d)$", changes, re.M)
    assert version and sections[0] == version[1]
    assert len(sections) == len(re.findall(r"^## ", changes, re.M)), "a section without a date"


# --- make ------------------------------------------------------------------------------------


def test_make_alone_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    described = dict(re.findall(r"^([a-z-]+):.*?## (.*)$", makefile, re.M))
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.M)
    assert phony and set(phony[1].split()) == described.keys()
    listing = make(ROOT).stdout.splitlines()
    assert len(listing) == len(described)
    for target, line in described.items():
        assert any(row.split() == ["make", target, *line.split()] for row in listing), target


@pytest.fixture
def small_house(tmp_path: Path) -> Path:
    """A folder with our Makefile, a library, and a built book with an execution cache."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("cvae_lib/losses.py", "cvae_lib/pretrained/judge.safetensors", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1", encoding="utf-8")
    assert make(tmp_path, "_build/ground.txt").stdout == ""
    (tmp_path / "_build" / ".jupyter_cache").mkdir()
    (tmp_path / "_build" / "html").mkdir()
    (tmp_path / "_build" / "html" / "index.html").touch()
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    "changed",
    [
        "cvae_lib/losses.py",
        "cvae_lib/new.py",
        "cvae_lib/pretrained/judge.safetensors",
        "cvae_lib/records/tea/green-0.json",
        "CVAE_SCALE",
        "CVAE_INCEPTION_WEIGHTS",
    ],
)
def test_a_change_and_nothing_else_empties_the_execution_cache(
    changed: str, small_house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small_house / "cvae_lib" / "losses.py").touch()
    times = small_house / "cvae_lib" / "records" / "chapters" / "01-cpu.json"
    times.parent.mkdir(parents=True)
    times.touch()  # which no chapter reads
    assert make(small_house, "_build/ground.txt").stdout == ""
    assert (small_house / "_build" / ".jupyter_cache").is_dir()
    if "/" in changed:
        (small_house / changed).parent.mkdir(parents=True, exist_ok=True)
        (small_house / changed).write_text("2", encoding="utf-8")
    else:
        monkeypatch.setenv(changed, "other")
    assert "every chapter runs anew" in make(small_house, "_build/ground.txt").stdout
    assert not (small_house / "_build" / ".jupyter_cache").exists()
    assert (small_house / "_build" / "html").is_dir(), "the built book stays until the next one"
    assert make(small_house, "_build/ground.txt").stdout == ""


def test_an_environment_of_another_folder_is_made_anew(small_house: Path) -> None:
    activate = small_house / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text(f"VIRTUAL_ENV={small_house}/.venv", encoding="utf-8")
    (small_house / ".venv" / ".installed").touch()
    assert "Installing" not in make(small_house, "-n", "install").stdout
    activate.write_text("VIRTUAL_ENV=/where/it/was/.venv", encoding="utf-8")
    assert "Installing" in make(small_house, "-n", "install").stdout


def test_serving_on_a_used_port_is_one_line(small_house: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = make(small_house, "serve", f"PORT={port}")
    assert done.returncode and done.stderr.splitlines()[0] == (
        f"make: port {port} cannot be had; name another one: make serve PORT=8001"
    )
    assert "Traceback" not in done.stderr


def test_an_old_python_is_refused_by_name(small_house: Path) -> None:
    old = small_house / "python3.9"
    old.write_text("#!/bin/sh\ntest $1 = -V && echo Python 3.9.2 || exit 1\n", encoding="utf-8")
    old.chmod(0o755)
    done = make(small_house, "install", f"PYTHON={old}")
    assert done.returncode and "Python 3.10 or newer is needed" in done.stderr
    assert "Python 3.9.2" in done.stderr


def test_threads_wait_asleep_unless_somebody_says_otherwise() -> None:
    code = "import os, cvae_lib; print(os.environ['OMP_WAIT_POLICY'])"
    for given, seen in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"} | given
        told = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
        assert told.strip() == seen


def test_the_spelling_is_british_in_notebooks_too(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    american = "colour".replace("u", "")
    text = f'["The {american}.\\n", "plot(x, {american}=colour)"]'
    (tmp_path / "a.ipynb").write_text(text, encoding="utf-8")
    command = [Path(sys.executable).with_name("typos"), "--format", "brief"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert re.findall(r"`(\w+)` should be", done.stdout) == [american]
