"""Print the whole built book into one PDF by Chromium: title page, contents, chapters, back matter.

    python tools/make_pdf.py _build/html _build/words-to-pictures.pdf

Links between pages lead within the file, and its outline has every part and page of the book.
"""

from __future__ import annotations

import argparse
import logging
import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from browser import NoBrowserError, chromium, served
from pypdf import PdfReader, PdfWriter

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = Path(__file__).with_suffix(".js").read_text("utf-8")
MEGABYTES = 60  # that the file may have
PATIENCE = 300_000  # ms for the book
NUMBER = (
    '<p style="font: 8px sans-serif; margin: 0; text-align: center; width: 100%">'
    '<span class="pageNumber"></span></p>'
)


def outlined(printed: bytes, pages: list[tuple[str, str, str]]) -> PdfWriter:
    """The printed book with an outline of its ``pages``: part, title and anchor of each."""
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns of how Chromium counts objects
    writer: Any = PdfWriter(clone_from=BytesIO(printed))
    reader = PdfReader(BytesIO(printed))
    places = reader.named_destinations
    parts: dict[str, Any] = {"": None}
    for part, title, anchor in pages:
        number = reader.get_destination_page_number(places[f"/{anchor}"])
        if part not in parts:
            parts[part] = writer.add_outline_item(title=part, page_number=number)
        writer.add_outline_item(title=title, page_number=number, parent=parts[part])
    return writer


def make(build: Path, browser: Browser, output: Path) -> int:
    """Print the book in the folder ``build`` into ``output``; how many of its pages are in it."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    with served(build.resolve()) as address, browser.new_page() as page:
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/index.html")  # which forwards to the preface
        page.wait_for_selector(".bd-docs-nav", state="attached")
        page.evaluate(SCRIPT)
        pages = page.evaluate(
            "([title, author]) => wholeBook(title, author)", [config["title"], config["author"]]
        )
        printed = page.pdf(
            prefer_css_page_size=True,
            print_background=True,
            display_header_footer=True,
            header_template="<p></p>",
            footer_template=NUMBER,
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    outlined(printed, pages).write(output)
    return len(pages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("build", type=Path, help="the book's folder, _build/html")
    parser.add_argument("output", type=Path, help="the file to write")
    given = parser.parse_args()
    if not (given.build / "index.html").is_file():
        parser.error(f"no book in {given.build}: `make book` builds it")
    try:
        with chromium() as browser:
            count = make(given.build, browser, given.output)
    except NoBrowserError as error:
        sys.exit(f"make: {error}")
    size = given.output.stat().st_size / 1e6
    print(f"{count} pages of the book in {given.output}, {size:.1f} MB.")
    if size > MEGABYTES:
        sys.exit(f"make: {given.output} has {size:.0f} MB, want at most {MEGABYTES}")


if __name__ == "__main__":
    main()
