"""check_book.py names what keeps a reader out; what is printed is whole."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import check_book
import pytest
from small_book import LONG

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDE = "<table><tr>" + "<td>steeped&nbsp;in&nbsp;cups</td>" * 12 + "</tr></table>"
DAMAGE = {
    '<p style="background: #fff; color: #bbb">pale</p>': "light: color-contrast, 1 times, first <p",
    '<p style="background: #fff; color: var(--pst-color-text-base)">always on white</p>': (
        "dark: color-contrast, 2 times, first <p"
    ),
    "<button></button>": "light: button-name, 1 times, first <button",
    '<img src="../_static/file.png">': "picture without alt text: ../_static/file.png",
    WIDE: "on a phone: scrolls sideways, ",
    f'<div style="overflow-x: auto">{WIDE}</div>': "on a phone: first column out of view: <table",
    '<a href="#" style="outline: none !important">tea</a>': "focus not visible: <a> tea",
    f'<pre style="white-space: pre !important">{"tea" * 99}</pre>': "on paper: cut off: <pre",
    "<script>document.querySelector('#pst-skip-link').remove()</script>": "keyboard: the first",
    "<script>for (const e of document.querySelectorAll('summary'))"
    " e.onclick = () => false</script>": "keyboard: Enter does not open details > summary",
}


@pytest.fixture(scope="module")
def faults(book: Path, browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What check_book.py says of a page with all of ``DAMAGE``."""
    site = Path(shutil.copytree(book, tmp_path_factory.mktemp("damaged") / "html"))
    page = site / "book" / "second.html"
    text = page.read_text("utf-8").replace("</article>", "".join(DAMAGE) + "</article>", 1)
    page.write_text(text, encoding="utf-8")
    with check_book.served(site) as address:
        walk = check_book.Walk(browser, address, limit=10)
        walk.look("book/second.html")
    return walk.faults


@pytest.mark.parametrize("fault", DAMAGE.values())
def test_each_fault_is_named(fault: str, faults: list[str]) -> None:
    assert any(seen.startswith(f"book/second.html (http): {fault}") for seen in faults), faults


@pytest.fixture
def page(book: Path, browser: "Browser") -> "Page":
    page = browser.new_page()
    page.goto((book / "book" / "second.html").resolve().as_uri())
    return page


def test_a_tap_enlarges_a_figure_and_another_puts_it_back(page: "Page") -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("img.enlarges").first.click()
    enlarged = page.locator("dialog.enlarged img")
    assert enlarged.is_visible() and enlarged.bounding_box()["width"] > 390
    enlarged.click(position={"x": 5, "y": 5})
    assert not enlarged.is_visible()


def test_a_printed_page_is_whole_and_the_open_one_as_it_was(page: "Page", tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf", reason="`make install` brings it")
    state = "[...document.querySelectorAll('details')].map(d => [d.open, d.getAttribute('name')])"
    before = page.evaluate(state)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    assert page.evaluate(state) == before
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    pdf = pypdf.PdfReader(tmp_path / "page.pdf")
    text = "".join("".join(sheet.extract_text() for sheet in pdf.pages).split())
    for whole in (LONG, "It takes four minutes.", "that was roasted", "steeped in cup 11", "KL(q"):
        assert "".join(whole.split()) in text
    assert "Previous" not in text and "Skip to" not in text
    assert sum(len(sheet.images) for sheet in pdf.pages) == 2  # a shoe, bars


def test_the_whole_book_is_one_file(book: Path, browser: "Browser", tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf", reason="`make install` brings it")
    import make_pdf

    assert make_pdf.make(book, browser, tmp_path / "book.pdf") == 2
    pdf = pypdf.PdfReader(tmp_path / "book.pdf")
    assert len(pdf.pages) >= 4  # title, contents, two pages of the book
    outline = [entry.title for entry in pdf.outline if not isinstance(entry, list)]
    assert outline == ["Preface", "Second thoughts"]
    assert sum(len(sheet.images) for sheet in pdf.pages) == 3  # the cover, a shoe, bars
    names = pdf.named_destinations
    links = [note.get_object() for sheet in pdf.pages for note in sheet.get("/Annots", [])]
    inner = [link["/Dest"] for link in links if "/Dest" in link]
    assert len(inner) >= 4 and all(str(name) in names for name in inner)
    assert not any("127.0.0.1" in str(link) for link in links)
