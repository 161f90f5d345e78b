"""A book of two pages with the real configuration: what it loads, what check_book.py sees in it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import check_book
import check_page
import pytest
from small_book import ROOT, build, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_the_pages_name_no_other_host_and_load_no_widget(book: Path) -> None:
    for page in book.rglob("*.html"):
        text = page.read_text("utf-8")
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"([^\"]*)\"", text)
        assert [url for url in loaded if url.startswith(("http:", "https:", "//"))] == []
        assert not re.search(r"thebe|require\.js|jupyter\.widget|mathjax\.js", text, re.I), page


def test_a_sound_book_passes_over_http_and_from_the_disk(book: Path, browser: "Browser") -> None:
    faults, summary = check_book.check(book, browser, limit=10)
    assert faults == []
    assert summary.startswith("5 pages; the slowest, ")


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_every_control_changes_the_picture_by_keyboard(
    scheme: str, book: Path, browser: "Browser"
) -> None:
    size_of = "image => [image.offsetWidth, image.offsetHeight]"
    with check_book.served(book) as address:
        walk = check_book.Walk(browser, address if scheme == "http" else book.as_uri())
        with walk.open("book/second.html") as page:
            page.evaluate(check_page.SCRIPT)
            box = page.locator("figure .frames")
            image, slider, menu = (box.locator(tag) for tag in ("img", "input", "select"))
            size, seen = image.evaluate(size_of), [image.evaluate(check_page.PIXELS)]
            for control, key in ((slider, "ArrowLeft"), (menu, "ArrowDown"), (slider, "Home")):
                control.press(key)
                assert check_page.changed(image, seen[-1], seconds=5)
                seen.append(image.evaluate(check_page.PIXELS))
            assert len(set(seen)) == 4
            values = box.locator("output").inner_text(), slider.get_attribute("aria-valuetext")
            assert values == ("0", "0")
            assert image.evaluate(size_of) == size and image.get_attribute("alt") == "Three bars."
    assert walk.faults == []


def test_without_scripts_a_page_shows_the_first_picture(book: Path, browser: "Browser") -> None:
    with browser.new_page(java_script_enabled=False) as page:
        page.goto((book / "book" / "second.html").as_uri())
        assert page.locator(".frames img").is_visible()
        assert not page.locator(".frames input").is_visible()


DOT = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
MUTE = f"""<div class="frames" data-first="0"><div class="controls" hidden>
<label><span>Mute</span> <input type="range" max="1" value="0"> <output></output></label></div>
<img src="{DOT}" alt="x" width="1" height="1"><p class="words"></p>
<script type="application/json">{{"names": [["0", "1"]], "frames": [["{DOT}", ""], ["{DOT}", ""]]}}
</script></div>"""
DAMAGE = {
    MUTE: "a control does not change its picture: Mute",
    '<img src="gone.png" alt="x">': "picture does not load: gone.png",
    '<script src="https://cdn.example/a.js"></script>': "asks another host: https://cdn.example",
    "<script>throw Error('oh')</script>": "error: oh",
    "<script>console.error('ah')</script>": "error: ah",
    r"<p>so \log x is</p>": r"raw TeX: so \log x is",
    r'<span class="math">\(x\)</span>': r"equation not drawn: \(x\)",
    '<span data-mjx-error="no end"></span>': "equation with an error: no end",
    '<img src="../_static/file.png">': "picture without alt text: ../_static/file.png",
    '<i class="fa-solid fa-kiwi-bird"></i>': "icon not drawn: fa-solid fa-kiwi-bird",
}


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_each_fault_is_named(scheme: str, book: Path, browser: "Browser", tmp_path: Path) -> None:
    site = Path(shutil.copytree(book, tmp_path / "html"))
    page = site / "book" / "second.html"
    text = page.read_text("utf-8").replace("</article>", "".join(DAMAGE) + "</article>", 1)
    page.write_text(text, encoding="utf-8")
    with check_book.served(site) as address:
        walk = check_book.Walk(browser, address if scheme == "http" else site.as_uri(), limit=0)
        assert walk.look("book/second.html") == "thoughts"
        walk.search("kettle", "book/second.html")
    for fault in [*DAMAGE.values(), "ready after", "the search for 'kettle' does not find it"]:
        start = f"book/second.html ({scheme}): {fault}"
        assert any(seen.startswith(start) for seen in walk.faults), (fault, walk.faults)


def test_without_the_packages_each_page_says_what_needs_a_network(tmp_path: Path) -> None:
    write(tmp_path)
    done = build(tmp_path, VENDOR="skip", PATH="", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {name: tmp_path / "_build/html/book" / f"{name}.html" for name in ("index", "second")}
    notice = "built without MathJax"
    assert {name: notice in page.read_text("utf-8") for name, page in pages.items()} == {
        "index": False,
        "second": True,
    }
    write(tmp_path, tag="no-such-tag")
    done = build(tmp_path, VENDOR="skip")
    assert done.returncode and "an ipywidget needs a kernel" in done.stderr
    assert "book/second" in done.stderr


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_without_a_browser_it_says_how_to_get_one(ci: str, code: int, tmp_path: Path) -> None:
    pytest.importorskip("playwright", reason="`make install` brings it")
    (tmp_path / "index.html").touch()
    command = [sys.executable, str(ROOT / "tools" / "check_book.py"), str(tmp_path)]
    environment = {**os.environ, "CI": ci, "CHROMIUM": "/no/such/browser", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert bool(done.returncode) == bool(code)
    assert "apt-get install chromium" in (done.stderr if code else done.stdout)


def test_what_tex_does_not_understand_stops_the_build_and_is_named(tmp_path: Path) -> None:
    write(tmp_path, more=r"Here $\begin{no}$ is.")
    done = build(tmp_path)
    assert done.returncode, done.stdout
    assert "book/index" in done.stderr and r"equation with an error: " in done.stderr
    assert r"\begin{no}" in done.stderr
