"""A book of two pages with the real configuration: what it loads, what check_book.py sees in it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import check_book
import ipywidgets
import matplotlib.pyplot as plt
import pytest
import vendor
from matplotlib.figure import Figure

from cvae_lib.frames import choice_of, frames

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
WIDGET = "application/vnd.jupyter.widget"
PREFACE = """# Preface

A kettle boils. [](second.ipynb) has more.
"""
CHAPTER = r"""# Second thoughts

Inline $\mathbb{E}_q[\log p(x \mid z)]$, and on its own:

$$\mathcal{L} = \operatorname{KL}(q \,\|\, p) + \tfrac12 \lVert x \rVert^2$$ (eq-second)

\begin{align} a &= b \\ c &= d \end{align}

![A shoe](_static/words-to-pictures.png)

{numref}`fig-bars` moves. In code, `\alpha` stays as it is; {eq}`eq-second` is above.
"""


def chapter(tag: str) -> str:
    """A notebook with equations whose code cell, tagged ``tag``, put a widget out."""
    view = {"data": {f"{WIDGET}-view+json": {"model_id": "1"}, "text/plain": "a slider"}}
    code = {
        "cell_type": "code",
        "id": "b",
        "source": "slider",
        "execution_count": 1,
        "metadata": {"tags": [tag]},
        "outputs": [{"output_type": "display_data", "metadata": {}, **view}],
    }
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    state = {"state": {"1": {}}, "version_major": 2, "version_minor": 0}
    shown = {"data": {"text/html": sliders(), "text/plain": "sliders"}, "execution_count": 1}
    pictures = {
        "cell_type": "code",
        "id": "c",
        "source": "sliders",
        "execution_count": 1,
        "metadata": {"mystnb": {"figure": {"caption": "Bars.", "name": "fig-bars"}}},
        "outputs": [{"output_type": "execute_result", "metadata": {}, **shown}],
    }
    return json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": kernel, "widgets": {f"{WIDGET}-state+json": state}},
            "cells": [
                {"cell_type": "markdown", "id": "a", "metadata": {}, "source": CHAPTER},
                code,
                pictures,
            ],
        }
    )


def sliders() -> str:
    """HTML of a slider and a menu over a picture, as a chapter's kernel returns it."""

    def draw(bars: int, colour: str) -> Figure:
        figure, axis = plt.subplots(figsize=(2, 1))
        plt.close(figure)
        axis.bar(range(3), [1, bars, 2], color=colour)
        return figure

    count = ipywidgets.IntSlider(3, max=3, description="Bars")
    choices = {
        "bars": choice_of(count),
        "colour": choice_of(ipywidgets.Dropdown(options=["red", "blue"])),
    }
    return frames(draw, "Three bars.", choices)


def write(folder: Path, tag: str = "remove-output") -> None:
    """The book's sources in ``folder``, with the configuration, styles and tools of ours."""
    config = (ROOT / "_config.yml").read_text("utf-8").replace("cache #", '"off" #', 1)
    assert '"off"' in config
    toc = "format: jb-book\nroot: book/index\nchapters: [{file: book/second}]\n"
    shutil.copytree(ROOT / "book" / "_static", folder / "book" / "_static", dirs_exist_ok=True)
    shutil.copytree(ROOT / "tools", folder / "tools", dirs_exist_ok=True)
    pages = {"index.md": PREFACE, "second.ipynb": chapter(tag), "references.bib": ""}
    for name, text in {"../_config.yml": config, "../_toc.yml": toc, **pages}.items():
        (folder / "book" / name).write_text(text, encoding="utf-8")


def build(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build the book in ``folder`` as `make book` does."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    call = "from jupyter_book.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", call, "build", ".", "-q", "-W", "-n", "--keep-going"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
    )


def unavailable(reason: str) -> None:
    """Skip a test for want of something from outside; fail where CI must have it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built book of two pages."""
    try:
        for package in vendor.packages():
            vendor.archive(package)
    except vendor.VendorError as error:
        unavailable(str(error))
    write(folder := tmp_path_factory.mktemp("book"))
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "_build" / "html"


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    try:
        with check_book.chromium() as chromium:
            yield chromium
    except check_book.NoBrowserError as error:
        unavailable(str(error))


def test_the_pages_name_no_other_host_and_load_no_widget(book: Path) -> None:
    for page in book.rglob("*.html"):
        text = page.read_text("utf-8")
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"([^\"]*)\"", text)
        assert [url for url in loaded if url.startswith(("http:", "https:", "//"))] == []
        assert not re.search(r"thebe|require\.js|jupyter\.widget", text, re.I), page
    assert "mathjax" in (book / "book" / "second.html").read_text("utf-8")


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
            box = page.locator("figure .frames")
            image, slider, menu = (box.locator(tag) for tag in ("img", "input", "select"))
            size, seen = image.evaluate(size_of), [image.evaluate(check_book.PIXELS)]
            for control, key in ((slider, "ArrowLeft"), (menu, "ArrowDown"), (slider, "Home")):
                control.press(key)
                assert check_book.changed(image, seen[-1], seconds=5)
                seen.append(image.evaluate(check_book.PIXELS))
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
    r'<span class="math">\(\begin{no}\)</span>': "equation with an error: ",
    r'<span class="math tex2jax_ignore mathjax_ignore">x</span>': "equation not drawn: x",
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
