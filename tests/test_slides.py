"""Slides: what goes on them, and that each can be read in a browser without a network."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import make_slides
import pytest
import slide_figures
import slide_text
import slides
import small_book
import vendor
from bs4 import BeautifulSoup, Tag
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build" / "html"
FAULTS = Path(__file__).with_name("slide_faults.js").read_text("utf-8")
TOC = """
root: book/index
parts:
  - caption: Part I · Tea
    numbered: 1
    chapters: [{file: book/second}]
  - caption: Back matter
    chapters: [{file: book/index}]
"""
SLIDERS = "Reveal.slide(Reveal.getSlides().findIndex(s => s.querySelector('.frames')))"
PICTURE = "document.querySelector('.present .frames img')"
LOCAL = ("file:", "data:", "blob:", "about:")


def parse(text: str) -> Tag:
    found = BeautifulSoup(text, "html.parser").find()
    assert isinstance(found, Tag)
    return found


def code(lines: int, first: str = "def steep():") -> str:
    body = "\n".join([first] + ["    pass"] * (lines - 1))
    return (
        '<div class="cell"><div class="cell_input"><div class="highlight">'
        f"<pre>{body}</pre></div></div></div>"
    )


def section(*parts: str) -> Tag:
    return parse(f"<section><h2>Tea</h2>{''.join(parts)}</section>")


def equation(name: str) -> str:
    drawn = '<mjx-container><mjx-math><mjx-c class="x"></mjx-c></mjx-math></mjx-container>'
    return f'<div class="math" id="equation-{name}"><span class="eqno">(1)</span>{drawn}</div>'


def figure(name: str) -> str:
    text = f'<span class="caption-text">{name}.</span>'
    image = f'<img src="a.png" alt=""><figcaption>{text}</figcaption>'
    return f'<div class="cell"><figure id="fig-{name}">{image}</figure></div>'


def kinds(*parts: str) -> list[str]:
    return [slide.kind for slide in slides.section_slides(section(*parts))]


def test_a_section_shows_its_figures_and_equations_before_all_else() -> None:
    prose, table = "<p>Pour it.</p>", "<div><table><tr><td>a</td></tr></table></div>"
    assert kinds(prose, figure("a"), table, code(5)) == ["figure"]
    assert kinds(*[figure(name) for name in "abcde"]) == ["figure"] * slides.FIGURES
    assert kinds(equation("a"), code(5), figure("b")) == ["equation", "code", "figure"]
    assert kinds(code(5), equation("a"), code(slides.CODE + 1)) == ["equation"]
    assert kinds(code(5), code(5, "class Tea:"), figure("a"), code(40)) == ["code", "figure"]
    assert kinds(prose, code(5, "pot = 1")) == ["code"]
    assert kinds(prose, code(40)) == ["points"]
    rows = "<tr><td>a</td><td>b</td></tr>" * 3
    assert kinds(prose, f"<div><table>{rows}</table></div>", code(3)) == ["table"]
    assert kinds(prose, f"<div><table>{rows * 9}</table></div>", code(3)) == ["code"]


def test_points_are_what_paragraphs_begin_with_without_questions_and_asides() -> None:
    texts = ["Is it hot?", "It is hot. X" + "x" * 300 + ".", "(An aside.) Wait for it:", "Pour."]
    (slide,) = slides.section_slides(section(*[f"<p>{text}</p>" for text in texts]))
    found = [item.get_text() for item in BeautifulSoup(slide.body, "html.parser").select("li")]
    assert found == ["It is hot.", "Pour."]
    assert len(slide.notes) == 4  # the notes have all of it


def test_sentences_end_before_formulas_links_and_brackets() -> None:
    paragraph = parse(
        "<p>See <a href='#f'>Fig. 1.2</a>. <em>Then</em> pour 0.5 l (or less). "
        "<code>x</code> is 1 &lt; 2. (No more.) End</p>"
    )
    assert slide_text.sentences(paragraph) == [
        "See Fig. 1.2.",
        "<em>Then</em> pour 0.5 l (or less).",
        "<code>x</code> is 1 &lt; 2.",
        "(No more.)",
        "End",
    ]


def test_notes_go_to_the_slide_whose_figure_they_name() -> None:
    told = "<p>First <a href='#fig-b'>Fig. 1.2</a>.</p>", "<p>Next.</p>"
    first, second = slides.section_slides(section(figure("a"), *told, figure("b")))
    assert ["Next" in note for note in first.notes] == [True]
    assert ["First" in note for note in second.notes] == [True]
    assert second.said == ""  # too terse for the slide itself


def test_points_are_split_evenly_and_none_is_lost() -> None:
    items = ["x" * 200] * 8
    groups = slides.split(items)
    assert len(groups) == 2 and [*groups[0], *groups[1]] == items


def panels(tops: list[int], height: int, label: bool = True) -> Image.Image:
    """Framed panels below each other, with numbers and, if so, a label below each."""
    picture = Image.new("RGB", (400, height), "white")
    draw = ImageDraw.Draw(picture)
    for top in tops:
        draw.rectangle((20, top, 380, top + 200), outline="black")
        draw.rectangle((50, top + 204, 300, top + 214), fill="black")
        if label:
            draw.rectangle((150, top + 222, 250, top + 236), fill="black")
    return picture


def test_a_tall_figure_is_cut_below_a_panel_with_its_label() -> None:
    row = slide_figures.cut(panels([10, 270], 520))
    assert 10 + 236 < row < 270
    parts, fit = slide_figures.arrange(panels([10, 270, 530, 790], 1040), 30, 100, diagram=False)
    assert len(parts) == 2 and fit.scale > 0.8
    assert len(slide_figures.arrange(panels([10, 270], 1040), 30, 100, diagram=True)[0]) == 1


@pytest.fixture(scope="module")
def deck(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The deck of the small book."""
    folder = tmp_path_factory.mktemp("slides")
    (folder / "toc.yml").write_text(TOC, encoding="utf-8")
    config = make_slides.read_book(book, folder, ROOT / "_config.yml")
    made = make_slides.make(config, folder / "toc.yml", book.parent.parent)
    assert [path.name for path in made] == ["part-1.html"]
    return folder / "part-1.html"


def opened(browser: "Browser", path: Path, asked: list[str], query: str = "") -> "Page":
    """The deck in a browser; ``asked`` gets the addresses that are asked for elsewhere."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.on("request", lambda r: None if r.url.startswith(LOCAL) else asked.append(r.url))
    page.on("pageerror", lambda error: asked.append(str(error)))
    page.goto(path.as_uri() + query)
    page.wait_for_function("Reveal.isReady()")
    page.evaluate(FAULTS)
    return page


def contrast(page: "Page") -> list[Any]:
    """What axe-core says against the contrast of the slide that is up."""
    found: list[Any] = page.evaluate(
        "axe.run('.slides section.present', {runOnly: ['color-contrast']})"
        ".then(r => r.violations.flatMap(v => v.nodes.map(n => n.html)))"
    )
    return found


def walk(browser: "Browser", path: Path) -> list[str]:
    """What is wrong with each slide of a deck; contrast is tried on one slide of each kind."""
    asked: list[str] = []
    page = opened(browser, path, asked)
    (axe,) = vendor.read(vendor.package("axe-core"), vendor.package("axe-core").tools).values()
    page.evaluate(axe.decode())
    page.add_style_tag(content="* { transition: none !important }")
    faults, looks = [], set()
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate("n => Reveal.slide(n, 0, 99)", number)
        said = page.evaluate("slideFaults()")
        look = page.evaluate("Reveal.getCurrentSlide().firstElementChild.className")
        if look not in looks:
            looks.add(look)
            said += [f"contrast: {html}" for html in contrast(page)]
        faults += [f"slide {number + 1}: {fault}" for fault in said]
    page.close()
    return faults + [f"asked for {address}" for address in asked]


def test_each_slide_of_the_small_book_can_be_read(deck: Path, browser: "Browser") -> None:
    assert walk(browser, deck) == []
    text = deck.read_text("utf-8")
    found = [str(tag["class"][1]) for tag in BeautifulSoup(text, "html.parser").select(".slide")]
    wanted = ["dark", "dark", "equation", "equation", "box", "figure", "check", "last"]
    assert found == wanted
    for shown in ("Steep, then wait.", "What is steeped?", "Right: it was steeped.", "5 min"):
        assert shown in text
    assert "It takes four minutes." not in text
    link = BeautifulSoup(text, "html.parser").select_one(".chapter-link a")
    assert link is not None and (deck.parent / str(link["href"])).is_file()


def test_faults_are_found(deck: Path, browser: "Browser") -> None:
    page = opened(browser, deck, [])
    page.evaluate("Reveal.slide(2)")
    assert page.evaluate("slideFaults()") == []
    body = "document.querySelector('.present .body')"
    for html, fault in {
        '<p style="font-size: 19px">small</p>': "19 px: p. small",
        f'<p style="white-space: nowrap">{"wide " * 60}</p>': "out of the slide: p. wide",
        '<p style="margin-top: -60px">over</p>': "lies over",
        "<p>tall</p>" * 12: "out of the slide: p. tall",
        '<img src="none.png" alt="a pot">': "no picture: a pot",
    }.items():
        page.evaluate(f"html => {body}.insertAdjacentHTML('beforeend', html)", html)
        assert any(fault in said for said in page.evaluate("slideFaults()")), fault
        added = max(html.count("</p>"), 1)
        page.evaluate(f"n => {{ while (n--) {body}.lastElementChild.remove() }}", added)
    page.close()


def test_arrows_turn_slides_answers_wait_and_sliders_move(deck: Path, browser: "Browser") -> None:
    page = opened(browser, deck, [])
    where = "Reveal.getState().indexh"
    for wanted in (1, 2, 1):
        page.keyboard.press("ArrowLeft" if wanted < page.evaluate(where) else "ArrowRight")
        assert page.evaluate(where) == wanted
    page.evaluate(SLIDERS)
    place, moved = page.evaluate(where), f"before => {PICTURE}.src !== before"
    before = page.locator(".present .frames img").get_attribute("src")
    page.locator(".present .frames input").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(moved, arg=before)
    assert page.evaluate(where) == place
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    reason = page.locator(".present .reason")
    assert page.evaluate(where) == place + 1 and not reason.is_visible()
    page.keyboard.press("ArrowRight")
    reason.wait_for(state="visible")
    assert page.evaluate(where) == place + 1
    page.close()


def test_notes_open_in_a_window_of_their_own(deck: Path, browser: "Browser") -> None:
    asked: list[str] = []
    page = opened(browser, deck, asked)
    page.evaluate(SLIDERS)
    with page.expect_popup() as window:
        page.keyboard.press("s")
    window.value.wait_for_function("document.body.innerText.includes('It has four places.')")
    assert asked == []
    window.value.close()
    page.close()


def test_a_deck_prints_one_slide_a_sheet(deck: Path, browser: "Browser", tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf", reason="`make install` brings it")
    page = opened(browser, deck, [], "?print-pdf")
    laid_out = "document.querySelectorAll('.pdf-page').length === Reveal.getTotalSlides()"
    page.wait_for_function(laid_out)  # some time after it is ready
    page.pdf(path=tmp_path / "deck.pdf", prefer_css_page_size=True, print_background=True)
    sheets = pypdf.PdfReader(tmp_path / "deck.pdf").pages
    assert len(sheets) == page.evaluate("Reveal.getTotalSlides()")
    assert "Steep, then wait." in sheets[4].extract_text()
    page.close()


def test_without_a_book_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["make_slides.py", str(tmp_path), str(tmp_path / "slides")])
    with pytest.raises(SystemExit):
        make_slides.main()
    assert "`make book` builds it" in capsys.readouterr().err


@pytest.fixture(scope="module")
def decks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The decks of the whole book."""
    if not (BUILD / "index.html").is_file():
        pytest.skip("no built book: `make book`")
    small_book.need_packages()
    folder = tmp_path_factory.mktemp("decks")
    book = make_slides.read_book(BUILD, folder, ROOT / "_config.yml")
    return list(make_slides.make(book, ROOT / "_toc.yml", ROOT))


@pytest.mark.parametrize("number", range(3))
def test_each_slide_of_the_book_can_be_read(
    number: int, decks: list[Path], browser: "Browser"
) -> None:
    assert walk(browser, decks[number]) == []


def test_no_slide_of_the_book_has_a_solution(decks: list[Path]) -> None:
    pages = [BeautifulSoup(path.read_text("utf-8"), "html.parser") for path in decks]
    text = " ".join(" ".join(page.get_text().split()) for page in pages)
    assert "Key idea" in text
    for page in BUILD.glob("book/[01]*.html"):
        for solution in BeautifulSoup(page.read_text("utf-8"), "html.parser").select(".solution"):
            for said in solution.select("p:not(.admonition-title), pre"):
                shown = " ".join(said.get_text().split())
                assert len(shown) < 40 or shown not in text, shown
