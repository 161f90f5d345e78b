"""Make a deck of slides of each numbered part of the book, from its built pages.

    python tools/make_slides.py _build/html _build/slides

part-1.html and so on open from the disk without a network; what they need lies in assets/ beside
them. What goes on a slide is decided in slides.py and slide_chapters.py, how large it is there in
slide_figures.py and slide_equations.py. reveal.js, which turns the slides, is pinned in
vendor.json; like the decks' own style and script it is no part of the book, so that these stand
here and not in book/_static.
"""

from __future__ import annotations

import argparse
import html
import os
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import slide_chapters
import slide_figures
import vendor
import yaml
from bs4 import BeautifulSoup, Tag
from PIL import Image
from slide_chapters import Chapter
from slide_text import beginning, length
from slides import CAPTION, Slide

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
STYLES = ("reveal.js/dist/reveal.css", "pygments.css", "equations.css")
SCRIPTS = ("reveal.js/dist/reveal.js", "reveal.js/dist/plugin/notes.js", "controls.js")
NAVY = "#12304f"  # behind the first slides, as in slides.css
KEYS = "Arrows turn the slides, S opens the speaker's notes, O shows all slides, ? lists the keys."
CONTROL = 36  # pixels of a slider above its picture
SHORT = 140  # letters of a caption whose figure would else be small


class Part(NamedTuple):
    """A numbered part of the book."""

    title: str  # "Part I · Theory"
    files: tuple[str, ...]  # of its chapters, "book/03_the_elbo"


class Book(NamedTuple):
    """What the decks need to know of the book."""

    build: Path  # the folder of its pages
    output: Path  # the folder of the decks
    title: str
    author: str
    address: str  # where the built book stands, else its folder as seen from the decks


def numbered(toc: Path) -> list[Part]:
    """The numbered parts that _toc.yml names."""
    given = yaml.safe_load(toc.read_text("utf-8"))
    return [
        Part(part["caption"], tuple(chapter["file"] for chapter in part["chapters"]))
        for part in given.get("parts", [])
        if part.get("numbered")
    ]


def read_book(build: Path, output: Path, config: Path) -> Book:
    """The book that _config.yml describes, built in ``build``."""
    given: dict[str, Any] = yaml.safe_load(config.read_text("utf-8"))
    address = given.get("html", {}).get("baseurl") or os.path.relpath(build, output)
    return Book(build, output, given["title"], given["author"], address.rstrip("/") + "/")


def caption_of(book: Book, figure: Tag, most: int) -> str:
    """A figure's number and caption, in whole sentences of about ``most`` letters; who took its
    photographs is said where the book says it."""
    text = figure.select_one(".caption-text")
    number = figure.select_one(".caption-number")
    said = beginning(text, most) if text else ""
    if credit := text.select_one("a[href*=photo_credits]") if text else None:
        name = credit.get_text()
        link = f'<a href="{book.address}book/{credit["href"]}">{name}</a>'
        said = said.replace(name, link) if name in said else f"{said} {link}."
    return f"<strong>{number.get_text().strip()}</strong> {said}" if number and said else said


def sized(width: float, height: float) -> str:
    return f'style="width: {width:.0f}px; height: {height:.0f}px"'


class Drawn(NamedTuple):
    """A figure's pictures, made to fit."""

    shown: str  # HTML
    caption: str  # HTML
    size: tuple[int, int]  # of all pictures together, unscaled
    fit: slide_figures.Fit


def sliders(frames: Tag, heading: int, caption: str) -> Drawn:
    """A figure with controls, which stay."""
    image = frames.select("img")[0]
    wide, high = int(str(image["width"])), int(str(image["height"]))
    size = (wide, high + CONTROL * len(frames.select("label")) + 8)
    fit = slide_figures.fit(size, heading, length(caption))
    box = BeautifulSoup(str(frames), "html.parser")
    for drawn in box.select("img"):
        drawn["style"] = f"width: {wide * fit.scale:.0f}px; height: {high * fit.scale:.0f}px"
    return Drawn(str(box), caption, size, fit)


def pictures(book: Book, slide: Slide, heading: int, most: int) -> Drawn:
    """A figure's pictures, written beside the deck, for a heading of so many letters and at most
    so many of its caption; ValueError if it has no picture."""
    assert slide.figure is not None
    image, caption = slide.figure.select_one("img"), caption_of(book, slide.figure, most)
    if image is None:
        raise ValueError(f"figure {slide.shows} of the built book has no picture")
    if frames := slide.figure.select_one(".frames"):
        return sliders(frames, heading, caption)
    alt, letters = html.escape(str(image.get("alt", ""))), length(caption)
    path = book.build / "book" / unquote(urlsplit(str(image["src"])).path)
    with Image.open(path) as opened:
        picture = slide_figures.on_white(opened)
    fold = slide.figure.find_parent(class_="cell")
    prompt = fold.select_one("summary") if isinstance(fold, Tag) else None
    diagram = prompt is not None and "diagram" in prompt.get_text()
    parts, fit = slide_figures.arrange(picture, heading, letters, diagram)
    found = ""
    for i, half in enumerate(parts):
        name = f"assets/figures/{slide.shows}{f'-{i + 1}' if len(parts) > 1 else ''}.png"
        half.save(book.output / name, optimize=True)
        style = sized(half.width * fit.scale, half.height * fit.scale)
        found += f'<img src="{name}" alt="{alt if i == 0 else ""}" {style}>'
    if len(parts) > 1:
        caption += " <em>Here, above is left and below is right.</em>"
    return Drawn(found, caption, slide_figures.together(parts), fit)


def figure(book: Book, slide: Slide) -> tuple[str, str]:
    """A figure's slide: the classes of its layout, and its HTML with the heading."""
    heading = length(slide.title)
    drawn, caption, size, fit = pictures(book, slide, heading, CAPTION)
    if fit.scale < 0.9:
        drawn, caption, size, fit = pictures(book, slide, heading, SHORT)
    width = slide_figures.ACROSS
    if fit.beside:
        width -= slide_figures.GAP + round(fit.scale * size[0])
    tall = slide_figures.height(heading, length(caption), width, length(slide.said))
    tall += 0 if fit.beside else fit.scale * size[1]
    said = f"<p>{slide.said}</p>" if slide.said and tall <= slide_figures.DOWN else ""
    gap = f'style="gap: {slide_figures.GAP * fit.scale:.0f}px"'
    shown, title = f'<div class="pictures" {gap}>{drawn}</div>', f"<h2>{slide.title}</h2>"
    if fit.beside:
        text = f'<div class="text">{title}{said}<div class="caption">{caption}</div></div>'
        return "figure beside", f"{text}<figure>{shown}</figure>"
    below = f'<figcaption class="caption">{caption}</figcaption>'
    body = f'<div class="body">{said}<figure>{shown}{below}</figure></div>'
    return "figure above", title + body


def section(book: Book, slide: Slide, foot: str, place: str = "") -> str:
    """A slide as reveal.js wants it."""
    if slide.kind == "opening":
        kind, body = "dark", slide.body
    elif slide.figure is not None:
        kind, body = figure(book, slide)
    else:
        kind = slide.kind
        body = f'<h2>{slide.title}</h2><div class="body">{slide.body}</div>'
    notes = f'<aside class="notes">{"".join(slide.notes)}</aside>' if slide.notes else ""
    anchor = f' id="{place}"' if place else ""
    dark = f' data-background-color="{NAVY}"' if kind == "dark" else ""
    below = f"<footer>{foot}</footer>" if foot else ""
    return (
        f'<section{anchor}{dark}><div class="slide {kind}">{body}{below}</div>{notes}</section>\n'
    )


def cover(book: Book, part: Part, chapters: list[Chapter]) -> str:
    """A deck's first slide: the part, and its chapters to click."""
    rows = "".join(
        f'<li><a href="#/{chapter.place}">{chapter.number} · {chapter.title}</a></li>'
        for chapter in chapters
    )
    return (
        f'<section data-background-color="{NAVY}"><div class="slide dark cover">'
        f'<p class="number">{html.escape(book.title)}</p>'
        f"<h1>{html.escape(part.title)}</h1><ol>{rows}</ol>"
        f'<p class="credit">{html.escape(book.author)} · text CC BY 4.0, code MIT</p>'
        f'<p class="keys">{KEYS}</p></div></section>\n'
    )


def bring(picture: str, book: Book) -> str:
    """The HTML of a chapter's picture, which is copied beside the deck."""
    found = BeautifulSoup(picture, "html.parser")
    for image in found.select("img[src^='file:']"):
        source = Path(unquote(urlsplit(str(image["src"])).path))
        shutil.copy(source, book.output / "assets" / "figures" / source.name)
        image["src"] = f"assets/figures/{source.name}"
    return str(found)


def deck(book: Book, part: Part, chapters: list[Chapter]) -> str:
    """A deck's HTML; writes the figures that it shows."""
    body = cover(book, part, chapters)
    for chapter in chapters:
        foot = f"{chapter.number} · {chapter.title}"
        for i, slide in enumerate(chapter.slides):
            if slide.kind == "opening":
                slide.body = bring(slide.body, book)
            body += section(book, slide, foot if i else "", "" if i else chapter.place)
    styles = "".join(
        f'<link rel="stylesheet" href="assets/{name}">\n' for name in (*STYLES, "slides.css")
    )
    scripts = "".join(
        f'<script src="assets/{name}"></script>\n' for name in (*SCRIPTS, "slides.js")
    )
    return (
        '<!doctype html>\n<html lang="en" data-theme="light">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(part.title)} · {html.escape(book.title)}</title>\n{styles}</head>\n"
        f'<body>\n<div class="reveal"><div class="slides">\n{body}</div></div>\n{scripts}</body>\n'
        "</html>\n"
    )


def write_assets(book: Book) -> None:
    """What all decks share, made anew; VendorError if reveal.js cannot be had."""
    assets = book.output / "assets"
    shutil.rmtree(assets, ignore_errors=True)
    (assets / "figures").mkdir(parents=True)
    reveal = vendor.package("reveal.js")
    vendor.unpack(reveal, assets, reveal.tools)
    static = book.build / "_static"
    for name in ("pygments.css", "equations.css", "controls.js"):
        if (static / name).is_file():
            shutil.copy(static / name, assets / name)
        else:  # a book without equations
            (assets / name).touch()
    if (fonts := static / "mathjax").is_dir():
        shutil.copytree(fonts, assets / "mathjax")
    for name in ("slides.css", "slides.js"):
        shutil.copy(HERE / name, assets / name)


def make(book: Book, toc: Path, sources: Path) -> dict[Path, int]:
    """Write a deck for each numbered part of _toc.yml; how many slides each has."""
    write_assets(book)
    made: dict[Path, int] = {}
    for number, part in enumerate(numbered(toc), 1):
        chapters = [
            slide_chapters.read(book.build, sources, file, book.address) for file in part.files
        ]
        path = book.output / f"part-{number}.html"
        path.write_text(deck(book, part, chapters), encoding="utf-8")
        made[path] = 1 + sum(len(chapter.slides) for chapter in chapters)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("build", type=Path, help="the book's folder, _build/html")
    parser.add_argument("output", type=Path, help="the folder of the decks")
    given = parser.parse_args()
    if not (given.build / "index.html").is_file():
        parser.error(f"no book in {given.build}: `make book` builds it")
    book = read_book(given.build.resolve(), given.output.resolve(), ROOT / "_config.yml")
    try:
        made = make(book, ROOT / "_toc.yml", ROOT)
    except vendor.VendorError as error:
        sys.exit(f"make: {error}")
    for path, count in made.items():
        print(f"{count} slides in {given.output / path.name}")


if __name__ == "__main__":
    main()
