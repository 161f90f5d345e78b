"""A headless Chromium without a network, and a server of a folder on this machine for it."""

from __future__ import annotations

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # the network is cut
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
]


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
