"""Open every page of a built book in Chromium, over http and from the disk, without a network.

    python tools/check_book.py _build/html

One line for each fault: a request to another host, an error on the console, an equation that is
not drawn, a picture that does not load, a control that does not change its picture, a page that is
not ready in time or that the search does not find by a word of its title; and what check_links.py
finds. Without a browser it says how to get one and checks nothing, which fails where ``CI=true``.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import check_links

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

SECONDS = 2.0  # until a page is ready: loaded, its equations drawn
PATIENCE = 20_000  # ms, then it is a fault and not a wait
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # the network is cut
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
]
UNSEARCHED = {"index.html", "search.html", "genindex.html"}  # the first forwards to the preface

# when the page is ready, in seconds since one asked for it
CLOCK = """addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  window.readyAfter = performance.now() / 1000;
});"""

# what is wrong with an open page, a line each
LOOK = r"""async () => {
  const faults = [];
  for (const math of document.querySelectorAll(".math"))
    if (!math.querySelector("mjx-container"))
      faults.push("equation not drawn: " + math.textContent);
  for (const bad of document.querySelectorAll("mjx-merror, [data-mjx-error]"))
    faults.push("equation with an error: " + (bad.dataset.mjxError ?? bad.textContent));
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (/\\[a-zA-Z([]/.test(node.data)
        && !node.parentElement.closest("code, pre, script, style, textarea, mjx-container, .math"))
      faults.push("raw TeX: " + node.data.trim());
  }
  for (const image of document.images) {
    image.loading = "eager";
    await image.decode().catch(() => {});
    if (!image.naturalWidth) faults.push("picture does not load: " + image.getAttribute("src"));
  }
  return faults;
}"""

# a picture's pixels
PIXELS = """async (image) => {
  await image.decode().catch(() => {}); // it was replaced meanwhile
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL();
}"""


class NoBrowserError(Exception):
    """There is no Chromium, or nothing to drive it with; the message has the remedy."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a network: $CHROMIUM, one on the PATH, or Playwright's own."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise NoBrowserError("there is no Playwright: `make install` brings it") from error
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=found, chromium_sandbox=False, args=ARGUMENTS
            )
        except Error as error:
            raise NoBrowserError(
                f"no Chromium starts ({error.message.strip().splitlines()[0]}): `apt-get install "
                "chromium`, `.venv/bin/playwright install chromium`, or name one in $CHROMIUM"
            ) from error
        with browser:
            yield browser


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for many files

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        """A file; no error for the picture that a browser asks of every host by itself."""
        if self.path != "/favicon.ico":
            super().do_GET()
            return
        self.send_response(204)
        self.end_headers()


class _Server(ThreadingHTTPServer):
    request_queue_size = 64  # a page asks for thirty files at once

    def handle_error(self, *args: object) -> None:
        pass  # a browser that leaves a page hangs up


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of ``folder`` on this machine."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def changed(image: Locator, before: str, seconds: float = 0.5) -> bool:
    """Whether a picture has other pixels than it had, now or before long."""
    end = time.monotonic() + seconds
    while (same := image.evaluate(PIXELS) == before) and time.monotonic() < end:
        image.page.wait_for_timeout(10)
    return not same


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
        """Keep a fault of a page, on one line of at most 200 letters."""
        self.faults.append(f"{path} ({self.base[:4]}): {' '.join(fault.split())[:200]}")

    def note_console(self, path: str, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.note(path, f"error: {message.text}")

    def note_foreign(self, path: str, url: str) -> None:
        if not url.startswith((self.base, "data:", "blob:")):
            self.note(path, f"asks another host: {url}")

    def look(self, path: str) -> str:
        """Note what is wrong with a page; the longest word of its title."""
        with self.open(path) as page:
            self.move(path, page)
            for fault in page.evaluate(LOOK):
                self.note(path, fault)
            seconds = page.evaluate("window.readyAfter")
            title = page.title()
        if seconds > self.limit:  # the machine may have been busy: the better of two counts
            with self.open(path) as page:
                seconds = min(seconds, page.evaluate("window.readyAfter"))
        if seconds > self.limit:
            self.note(path, f"ready after {seconds:.1f} s, want at most {self.limit:g}")
        self.slowest = max(self.slowest, (seconds, path))
        return max(re.findall(r"\w+", title.partition("—")[0]), key=len, default="")

    def move(self, path: str, page: Page) -> None:
        """Move every control over a picture by keyboard; note those that do not change it."""
        for box in page.locator(".frames").all():
            image = box.locator("img")
            for control in box.locator("input, select").all():
                before = image.evaluate(PIXELS)
                for key in ("ArrowUp", "ArrowDown"):  # it may stand at an end
                    control.press(key)
                    if changed(image, before):
                        break
                else:
                    name = control.evaluate("control => control.labels[0]?.innerText")
                    self.note(path, f"a control does not change its picture: {name}")

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
    except NoBrowserError as error:
        if os.environ.get("CI") == "true":
            sys.exit(f"make: {error}")
        print(f"Not checked in a browser: {error}.")
        return
    print(summary)
    sys.exit("\n".join(faults) or None)


if __name__ == "__main__":
    main()
