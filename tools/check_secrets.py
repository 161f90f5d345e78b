"""Look for answers and hidden tests of the problem sets where students could read them.

    python tools/check_secrets.py _build/html _build/slides

Every line of an answer, a model answer or a hidden test, of several variants, is looked for in
every page, script, notebook and text below the folders. Lines that the book itself shows, because a
chapter teaches them, do not count.
"""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from problem_sets import SOURCES, render, secrets, sources

BOOK = SOURCES.parent.parent
VARIANTS = range(5)
READABLE = {".html", ".ipynb", ".js", ".json", ".md", ".py", ".txt", ".csv", ".xml", ".svg"}


def taught() -> set[str]:
    """Every line of the book's own chapters."""
    lines: set[str] = set()
    for path in BOOK.glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            lines |= {line.strip() for line in cell.source.splitlines()}
    return lines


def secret_lines() -> set[str]:
    """What no student may read."""
    told = {line for path in sources() for seed in VARIANTS for line in secrets(render(path, seed))}
    return told - taught()


def strings(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def text_of(path: Path) -> str:
    """What a file says to its reader: a page without its markup, the texts of a notebook."""
    text = path.read_text("utf-8", errors="replace")
    if path.suffix == ".html":
        return html.unescape(re.sub(r"<[^>]+>", "", text))
    if path.suffix in (".ipynb", ".json"):
        return "\n".join(strings(json.loads(text)))
    return text


def told(folder: Path, lines: set[str]) -> Iterator[str]:
    """Each secret line that stands in a file of the folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in READABLE:
            seen = set(map(str.strip, text_of(path).splitlines()))
            yield from (f"{path}: {line}" for line in sorted(seen & lines))


def main() -> None:
    """Check the folders; end with 1 if one tells something."""
    lines = secret_lines()
    found = [fault for folder in sys.argv[1:] for fault in told(Path(folder), lines)]
    if found:
        sys.exit("check_secrets: students could read\n" + "\n".join(found))


if __name__ == "__main__":
    main()
