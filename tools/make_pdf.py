"""Print the whole built book into one PDF by Chromium: title page, contents, chapters, back matter.

    python tools/make_pdf.py _build/html _build/words-to-pictures.pdf

Links between pages lead within the file, its outline has every heading, its text is tagged for
screen readers.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from browser import NoBrowserError, chromium, served

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


def make(build: Path, browser: Browser, output: Path) -> int:
    """Print the book in the folder ``build`` into ``output``; how many of its pages are in it."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    with served(build.resolve()) as address, browser.new_page() as page:
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/index.html")  # which forwards to the preface
        page.wait_for_selector(".bd-docs-nav", state="attached")
        page.evaluate(SCRIPT)
        count: int = page.evaluate(
            "([title, author]) => wholeBook(title, author)", [config["title"], config["author"]]
        )
        output.parent.mkdir(parents=True, exist_ok=True)
        page.pdf(
            path=output,
            prefer_css_page_size=True,
            print_background=True,
            display_header_footer=True,
            header_template="<p></p>",
            footer_template=NUMBER,
            outline=True,
            tagged=True,
        )
    return count


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
