"""Check a built book: every internal link and anchor leads somewhere, every picture has alt text.

    python tools/check_links.py _build/html

Starts at index.html and follows the links, so that pages left from an older build do not count.
Addresses on other machines are `make linkcheck`'s business.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LINKS = {"a": "href", "link": "href", "img": "src", "script": "src", "iframe": "src"}
# without alt text Sphinx writes the picture's own address there
ADDRESS = (".png", ".svg", ".jpg", ".jpeg", ".gif", ".webp")


class Page(HTMLParser):
    """The links, anchors and pictures without alt text of one page; (line, address) each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[tuple[int, str]] = []
        self.anchors = {"", "top"}
        self.silent: list[tuple[int, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: (value or "").strip() for name, value in attrs}
        self.anchors.update(given[key] for key in ("id", "name") if key in given)
        line = self.getpos()[0]
        if tag == "meta" and given.get("http-equiv", "").lower() == "refresh":
            self.links.append((line, given.get("content", "").partition("url=")[2]))
        if LINKS.get(tag) in given:
            self.links.append((line, given[LINKS[tag]]))
        alt = given.get("alt", "").lower()
        if tag == "img" and (not alt or alt.endswith(ADDRESS)):
            self.silent.append((line, given.get("src", "")))


def crawl(build: Path) -> tuple[list[Path], list[str]]:
    """The pages that can be reached from index.html, and one line for each fault; both sorted."""
    build = build.resolve()
    faults: set[str] = set()
    pages: dict[Path, Page] = {}
    queue = [build / "index.html"]

    def page(path: Path) -> Page:
        if path not in pages:
            pages[path] = Page(path.read_text(encoding="utf-8"))
            queue.append(path)
        return pages[path]

    while queue:
        path = queue.pop()
        name = path.relative_to(build).as_posix()
        for line, source in page(path).silent:
            faults.add(f"{name}:{line}: picture without alt text: {source[:80]}")
        for line, link in page(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            base = build if parts.path.startswith("/") else path.parent
            target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_relative_to(build) or not target.is_file():
                faults.add(f"{name}:{line}: no such file: {link}")
            elif target.suffix == ".html" and unquote(parts.fragment) not in page(target).anchors:
                faults.add(f"{name}:{line}: no such anchor: {link}")
    return sorted(pages), sorted(faults)


def check(build: Path) -> list[str]:
    """One line for each fault of the pages that can be reached from index.html, sorted."""
    return crawl(build)[1]


if __name__ == "__main__":
    sys.exit("\n".join(check(Path(sys.argv[1]))) or None)
