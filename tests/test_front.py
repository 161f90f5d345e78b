"""What a book says of itself: cards of its chapters, where outputs come from, what others find."""

import base64
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import chapters
import draw_card
import found
import nbformat
import numpy as np
import provenance
import pytest
import test_offline
import torch
import yaml
from jsonschema import Draft202012Validator
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from PIL import Image
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "book").glob("[0-9]*.ipynb"))
BASE = "https://tea.example/book"
KNOWN = {"version": "0.7", "commit": "abc123 with changes", "scale": "cpu", "hardware": "a kettle"}
TOC = """format: jb-book
root: book/index
parts:
  - caption: Part I · Tea
    numbered: 1
    chapters: [{file: book/01_kettle}, {file: book/02_leaf}]
  - caption: Back
    chapters: [{file: book/second}]
"""
PREFACE = """# Words & tea

A kettle boils e.g. water. More.

```{chapters} Part I · Tea
```
"""
SECOND = """---
description: 'Tea & "biscuits" </script> <!-- --'
---
# Second

No sentence of this page describes it.
"""
PIXELS = np.random.default_rng(0).integers(0, 256, (900, 1400, 3), dtype=np.uint8)


def schema(name: str) -> Draft202012Validator:
    content = json.loads((ROOT / "tests" / "schemas" / f"{name}.json").read_text("utf-8"))
    Draft202012Validator.check_schema(content)
    return Draft202012Validator(content)


def png(pixels: Any) -> bytes:
    Image.fromarray(pixels).save(file := BytesIO(), "PNG")
    return file.getvalue()


def notebook(title: str, figure: str) -> Any:
    """A chapter as far as its card goes: a first box, a figure, metadata."""
    box = f"# {title}\n\n**You will learn**\n- to *pour* tea over $\\mu$;\n"
    box += "- and `why`,\n  slowly.\n\n**Time** 12 minutes to read; code: none."
    shown = {"figure": {"name": figure, "caption": "Steam."}, "image": {"alt": 'Steam, "grey"'}}
    code = nbformat.v4.new_code_cell(f"'{figure}'", metadata={"mystnb": shown})
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(box), code])
    made.metadata["kernelspec"] = {"display_name": "p", "language": "python", "name": "python3"}
    made.metadata["card"] = {
        "question": "Does it & boil?",
        "figure": figure,
        "crop": [0, 0, 1, 0.5],
    }
    return made


def fill_cache(folder: Path, name: str, made: Any, data: dict[str, Any], about: Any) -> None:
    """Let the execution cache know a chapter, its figure being ``data``."""
    made.cells[1].outputs = [nbformat.v4.new_output("display_data", data)]
    made.cells[1].execution_count = 1
    bundle = CacheBundleIn(made, name, data=about)
    get_cache(folder / "_build" / ".jupyter_cache").cache_notebook_bundle(bundle)


def write(folder: Path, mode: str, base: str = "") -> None:
    """The sources of a book of two chapters, a preface and another page."""
    test_offline.write(folder)
    config = (folder / "_config.yml").read_text("utf-8").replace('"off" #', f"{mode} #", 1)
    config = config.replace('baseurl: ""', f'baseurl: "{base}"', 1)
    (folder / "book" / "second.ipynb").unlink()
    pages = {"../_config.yml": config, "../_toc.yml": TOC, "index.md": PREFACE, "second.md": SECOND}
    for name, text in pages.items():
        (folder / "book" / name).write_text(text, encoding="utf-8")
    for name, figure in (("01_kettle", "fig-01-steam"), ("02_leaf", "fig-02-leaf")):
        nbformat.write(notebook(f"A {name[3:]}", figure), folder / "book" / f"{name}.ipynb")


def built(folder: Path) -> Path:
    done = test_offline.build(folder, VENDOR="skip")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "_build" / "html"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built book whose chapters have run; nothing is known of where the second did."""
    write(folder := tmp_path_factory.mktemp("book"), "cache")
    steam, about = notebook("A kettle", "fig-01-steam"), {"execution_seconds": 61.4, "jobs": 2}
    data = {"image/png": base64.b64encode(png(PIXELS)).decode()}
    fill_cache(folder, "01_kettle", steam, data, about | KNOWN)
    leaf = notebook("A leaf", "fig-02-leaf")
    fill_cache(folder, "02_leaf", leaf, {"text/plain": "green"}, {"execution_seconds": 3.2})
    return built(folder)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same book, not run, with an address."""
    write(folder := tmp_path_factory.mktemp("published"), "off", BASE)
    return built(folder)


class Head(HTMLParser):
    """The tags of a page's head that others read."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.meta: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.data: list[Any] = []
        self.inside = False
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        if tag == "meta" and "content" in given:
            self.meta[given.get("property") or given.get("name", "")] = given["content"]
        if tag == "link":
            self.links[given["rel"]] = given["href"]
        self.inside = tag == "script" and given.get("type") == "application/ld+json"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.data.append(json.loads(data))

    def handle_endtag(self, tag: str) -> None:
        self.inside = False


def pages(site: Path) -> Iterator[Path]:
    """The pages that were written from a source."""
    yield from sorted((site / "book").glob("*.html"))


# --- cards -----------------------------------------------------------------------------------


def test_a_card_says_what_its_chapter_says_and_shows_its_figure(book: Path) -> None:
    text = (book / "book" / "index.html").read_text("utf-8")
    cards = re.split(r'<div class="sd-card ', text)[1:]
    assert len(cards) == 2
    for card, number, name in zip(cards, ("01", "02"), ("kettle", "leaf"), strict=True):
        for part in (f"{number} · 12 minutes", f"<strong>A {name}</strong>", "Does it &amp; boil?"):
            assert part in card
        assert f'href="{number}_{name}.html"' in card
    assert "<img" not in cards[1], "the second figure is no picture"
    image = re.search(r'<img class="[^"]*" src="([^"]*)" alt="([^"]*)" width="(\d+)"', cards[0])
    assert image and image[2] == "Steam, &quot;grey&quot;"
    file = book / "book" / image[1]
    with Image.open(file) as picture:
        assert picture.format == "WEBP" and picture.size == (640, 206) and image[3] == "640"
    assert file.stat().st_size <= chapters.LIMIT


def test_without_outputs_a_card_has_no_picture(published: Path) -> None:
    text = (published / "book" / "index.html").read_text("utf-8")
    assert text.count('class="sd-card ') == 2 and "chapter-picture" not in text
    assert not (published / chapters.FOLDER).exists()


def test_a_transparent_figure_stands_on_white() -> None:
    clear = png(np.zeros((10, 20, 4), dtype=np.uint8))
    content, size = chapters.shrink(clear, chapters.WHOLE)
    with Image.open(BytesIO(content)) as picture:
        assert size == (20, 10) and np.asarray(picture.convert("L")).min() > 250


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("question", "It boils.", "no question for its card"),
        ("figure", "fig-01-gone", "no cell draws the figure 'fig-01-gone'"),
        ("crop", [0, 0.5, 1, 0.5], r"crop \(0.0, 0.5, 1.0, 0.5\) is no left, top"),
        ("box", "# A kettle", "its first cell has no minutes"),
    ],
)
def test_a_chapter_that_lacks_something_is_named(
    key: str, value: Any, fault: str, tmp_path: Path
) -> None:
    made = notebook("A kettle", "fig-01-steam")
    if key == "box":
        made.cells[0].source = value
    made.metadata["card"][key] = value
    nbformat.write(made, tmp_path / "01_kettle.ipynb")
    with pytest.raises(ExtensionError, match=rf"01_kettle\.ipynb: {'.*'}{fault}"):
        chapters.read(tmp_path / "01_kettle.ipynb")


def test_an_unknown_part_is_named(tmp_path: Path) -> None:
    write(tmp_path, "off")
    (tmp_path / "book" / "index.md").write_text(PREFACE.replace("Part I · Tea", "Part V"), "utf-8")
    done = test_offline.build(tmp_path, VENDOR="skip")
    assert done.returncode and "no part of _toc.yml is called 'Part V'" in done.stderr


def test_a_line_of_markdown_becomes_plain_text() -> None:
    line = "{term}`tea <cup>`, {numref}`fig-1` and [*milk*](a.md): $p(x \\mid \\mu_1)$, `a b`"
    assert chapters.plain(line) == "tea, fig-1 and milk: p(x | μ_1), a b"


def test_the_chapters_of_our_book_have_cards_and_plain_aims() -> None:
    ours = [chapters.read(path) for path in NOTEBOOKS]
    assert len({chapter.question for chapter in ours}) == len(ours) >= 13
    for chapter in ours:
        assert 3 <= len(chapter.aims) <= 5 and len(chapter.alt) >= 40, chapter.number
        assert not re.search(r"[$`\\{}]|\*", "".join((chapter.title, *chapter.aims))), chapter.aims


# --- where outputs come from -----------------------------------------------------------------


def test_a_chapter_says_where_its_outputs_come_from(book: Path, published: Path) -> None:
    def line(site: Path, name: str) -> str:
        text = (site / "book" / f"{name}.html").read_text("utf-8")
        (found,) = re.findall(r'<p class="provenance">(.*?)</p>', text)
        return found

    day = r"Run on \d+ [A-Z][a-z]+ 20\d\d in"
    known = ", at scale cpu, on a kettle, with cvae_lib 0.7, commit abc123 with changes."
    beside = " beside another chapter"  # two ran at a time
    assert re.fullmatch(rf"{day} 61 seconds{beside}{known}", line(book, "01_kettle"))
    assert re.fullmatch(rf"{day} 3 seconds\.", line(book, "02_leaf")), "only that is known"
    assert line(published, "01_kettle") == provenance.NOT_RUN
    assert "provenance" not in (book / "book" / "second.html").read_text("utf-8")


def test_two_builds_from_one_cache_are_the_same(book: Path) -> None:
    before = {path: path.read_bytes() for path in book.rglob("*") if path.is_file()}
    for path in before:
        path.unlink()
    assert built(book.parent.parent) == book
    after = {path: path.read_bytes() for path in book.rglob("*") if path.is_file()}
    assert after.keys() == before.keys()
    assert [str(path) for path in after if after[path] != before[path]] == []


# --- found by others -------------------------------------------------------------------------


DESCRIPTIONS = {
    "index": "A kettle boils e.g. water.",
    "01_kettle": "Does it & boil? You will learn to pour tea over μ.",
    "second": 'Tea & "biscuits" </script> <!-- --',
    "../search": "Search: a page of the book Words to Pictures.",
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_every_page_has_a_description_and_a_preview(name: str, book: Path) -> None:
    head = Head(book / "book" / f"{name}.html")
    assert head.meta["description"] == head.meta["og:description"] == DESCRIPTIONS[name]
    assert head.meta["og:title"] and head.meta["og:site_name"] == "Words to Pictures"


def test_structured_data_keep_to_the_schema(book: Path, published: Path) -> None:
    for site in (book, published):
        facts = {page.stem: Head(page).data for page in pages(site)}
        assert set(facts) == {"index", "01_kettle", "02_leaf", "second"}
        for name, data in facts.items():
            assert len(data) == 1, name
            schema("linked_data").validate(data[0])
    (chapter,), (front,) = facts["01_kettle"], facts["index"]
    assert chapter["timeRequired"] == "PT12M" and front["timeRequired"] == "PT24M"
    assert chapter["teaches"] == ["to pour tea over μ", "and why, slowly"]
    assert chapter["isPartOf"]["url"] == front["url"] == f"{BASE}/book/index.html"
    assert [part["position"] for part in front["hasPart"]] == [1, 2]
    broken = {key: value for key, value in chapter.items() if key != "teaches"}
    assert not schema("linked_data").is_valid(broken)


def test_addresses_are_written_where_the_book_has_one(book: Path, published: Path) -> None:
    for page in [*pages(book), book / "index.html"]:
        head = Head(page)
        assert "canonical" not in head.links
        assert not {"og:url", "og:image", "twitter:card"} & head.meta.keys()
    assert not (book / "sitemap.xml").exists()
    listed = re.findall("<loc>(.*)</loc>", (published / "sitemap.xml").read_text("utf-8"))
    own = [f"{BASE}/book/{page.name}" for page in pages(published)]
    assert listed == own
    for page, url in zip(pages(published), own, strict=True):
        head = Head(page)
        assert head.links["canonical"] == head.meta["og:url"] == url
        file = head.meta["og:image"].removeprefix(f"{BASE}/")
        assert (published / file).is_file()
    door = Head(published / "index.html")
    assert door.links["canonical"] == f"{BASE}/book/index.html"
    assert door.meta["og:description"] == DESCRIPTIONS["index"]


@pytest.mark.parametrize("base", ["tea.example", "ftp://tea.example", "https://", "https://a?b"])
def test_what_is_no_address_is_refused(base: str) -> None:
    with pytest.raises(ExtensionError, match="want one like https"):
        found.check_address(None, SimpleNamespace(html_baseurl=base))  # type: ignore[arg-type]


def test_every_page_names_its_licences(book: Path) -> None:
    for page in pages(book):
        footer = page.read_text("utf-8").partition('<footer class="bd-footer-content">')[2]
        assert 'rel="license">CC BY 4.0</a>' in footer and "Code: MIT" in footer, page


CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
WRONG = [
    {"authors": []},
    {"authors": ["Anna"]},
    {"cff-version": 1.2},
    {"colour": "red"},
    {"version": 0.1},
    {"repository-code": "github.com/OWNER/words-to-pictures"},
]


def test_the_citation_file_keeps_to_its_format() -> None:
    schema("citation").validate(CITATION)


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_a_wrong_citation_file_is_seen(change: dict[str, Any]) -> None:
    assert not schema("citation").is_valid({**deepcopy(CITATION), **change})


def test_the_social_card_has_the_size_that_previews_want() -> None:
    path = ROOT / "book" / found.CARD
    with Image.open(path) as picture:
        assert picture.format == "PNG" and picture.size == draw_card.SIZE == (1200, 630)
    assert path.stat().st_size <= 400_000
    rows = [("grey", torch.rand(4, 1, 28, 28)), ("scenes", torch.rand(4, 3, 64, 64))]
    assert draw_card.card(rows).size == draw_card.SIZE
