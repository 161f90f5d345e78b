"""Open every page of a built book in Chromium, over http and from the disk, without a network.

    python tools/check_book.py _build/html

One line for each fault: a request to another host, an error on the console, an equation that is
not drawn, a picture that does not load, a control that does not change its picture, a page that is
not ready in time, too heavy, or not found by the search for a word of its title; what is too wide
for a phone, out of the keyboard's reach, or serious to axe-core in the light or in the dark
(check_page.py); and what check_links.py finds. Without a browser it says how to get one and checks
nothing, which fails where ``CI=true``.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import check_links
import check_page
import vendor
from browser import NoBrowserError, chromium, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

SECONDS = 2.0  # until a page is ready: loaded, its equations drawn
MEGABYTES = {"book/playground.html": 15.0}  # that a page may load besides pictures
FEW_MEGABYTES = 1.5  # on all other pages
PATIENCE = 20_000  # ms, then it is a fault and not a wait
FORWARDS = "index.html"  # to the preface
UNSEARCHED = {FORWARDS, "search.html", "genindex.html"}

# when the page is ready, in seconds since one asked for it
CLOCK = """addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  window.readyAfter = performance.now() / 1000;
});"""


@dataclass
class Walk:
    """The pages of a book below one address, and what is wrong with them."""

    browser: Browser
    base: str
    limit: float = SECONDS
    faults: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")

    def __post_init__(self) -> None:
        self.context = self.browser.new_context()
        self.context.add_init_script(CLOCK)
        self.context.set_default_timeout(PATIENCE)

    @contextmanager
    def open(self, path: str) -> Iterator[Page]:
        """A page that is open and at rest; what went wrong on the way is noted."""
        with self.context.new_page() as page:
            page.on("request", lambda request: self.note_foreign(path, request.url))
            page.on("pageerror", lambda error: self.note(path, f"error: {error}"))
            page.on("console", lambda message: self.note_console(path, message))
            page.goto(f"{self.base}/{path}")
            page.wait_for_load_state("networkidle")
            page.wait_for_function("window.readyAfter")
            yield page

    def note(self, path: str, fault: str) -> None:
        """Keep a fault of a page, on one line of at most 400 letters."""
        self.faults.append(f"{path} ({self.base[:4]}): {' '.join(fault.split())[:400]}")

    def note_console(self, path: str, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.note(path, f"error: {message.text}")

    def note_foreign(self, path: str, url: str) -> None:
        if not url.startswith((self.base, "data:", "blob:")):
            self.note(path, f"asks another host: {url}")

    def note_heavy(self, path: str, weight: float) -> None:
        """Note a page that loads more than it may; ``weight`` in megabytes."""
        if weight > (limit := MEGABYTES.get(path, FEW_MEGABYTES)):
            self.note(path, f"loads {weight:.2f} MB besides pictures, want at most {limit:g}")

    def look(self, path: str) -> str:
        """Note what is wrong with a page; the longest word of its title."""
        with self.open(path) as page:
            seconds, title = page.evaluate("window.readyAfter"), page.title()
            for fault in check_page.drawn(page):
                self.note(path, fault)
            if self.base.startswith("http") and path != FORWARDS:  # from the disk it is the same
                self.note_heavy(path, page.evaluate("checks.weight()") / 1e6)
                for look in check_page.LOOKS:
                    for fault in look(page):
                        self.note(path, fault)
            for fault in check_page.controls(page):
                self.note(path, fault)
        if seconds > self.limit:  # the machine may have been busy: the better of two counts
            with self.open(path) as page:
                seconds = min(seconds, page.evaluate("window.readyAfter"))
        if seconds > self.limit:
            self.note(path, f"ready after {seconds:.1f} s, want at most {self.limit:g}")
        self.slowest = max(self.slowest, (seconds, path))
        return max(re.findall(r"\w+", title.partition("—")[0]), key=len, default="")

    def search(self, word: str, path: str) -> None:
        """Note if the search for ``word`` does not find the page."""
        with self.open(f"search.html?q={quote(word)}") as page:
            page.wait_for_function("Search.title?.innerText === 'Search Results'")
            links = page.locator("#search-results a").evaluate_all("all => all.map(a => a.href)")
        if not any(link.partition("#")[0].partition("?")[0].endswith(path) for link in links):
            self.note(path, f"the search for {word!r} does not find it")

    def visit(self, path: str) -> None:
        """Look at a page, and search for it; a page that never comes to rest is a fault too."""
        from playwright.sync_api import Error

        try:
            word = self.look(path)
            if path not in UNSEARCHED:
                self.search(word, path)
        except Error as error:
            self.note(path, f"error: {error}")


def check(build: Path, browser: Browser, limit: float = SECONDS) -> tuple[list[str], str]:
    """One line for each fault of the book, and a line on what was opened."""
    pages, faults = check_links.crawl(build)
    build = build.resolve()
    paths = [page.relative_to(build).as_posix() for page in pages]
    slowest = (0.0, "")
    with served(build) as address:
        for base in (address, build.as_uri()):
            walk = Walk(browser, base, limit)
            for path in paths:
                walk.visit(path)
            faults += dict.fromkeys(walk.faults)
            slowest = max(slowest, walk.slowest)
    return faults, f"{len(paths)} pages; the slowest, {slowest[1]}, ready after {slowest[0]:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("build", type=Path, help="the book's folder, _build/html")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="until a page is ready")
    given = parser.parse_args()
    if not (given.build / "index.html").is_file():
        parser.error(f"no book in {given.build}: `make book` builds it")
    try:
        with chromium() as browser:
            faults, summary = check(given.build, browser, given.seconds)
    except vendor.VendorError as error:
        sys.exit(f"make: {error}")
    except NoBrowserError as error:
        if os.environ.get("CI") == "true":
            sys.exit(f"make: {error}")
        print(f"Not checked in a browser: {error}.")
        return
    print(summary)
    sys.exit("\n".join(faults) or None)


if __name__ == "__main__":
    main()
