"""A chapter as slides: how it opens, its sections (slides.py), and how it closes.

It opens with its question, its picture on the preface, and what one learns; it closes with the
recap, CHECKS questions of the self-check with their answers, and the titles of the exercises.
Sections called "Deeper", the references and every solution are left out.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

from bs4 import BeautifulSoup, Tag
from slide_text import beginning, inner, length, note
from slides import Slide, listed, section_slides, split

CHECKS = 2  # questions at most
QUESTION = 620  # letters of one with its options and answer, at most
REASON = 280  # letters of why an answer is right
APART = ("Recap", "Check yourself", "Exercises", "References")
EFFORT = re.compile(r"\s*(★+) · (\d+) minutes")
NAME = re.compile(r"^Exercise ([\d.]+)\s+\((.*)\)$", re.DOTALL)


@dataclass(frozen=True)
class Chapter:
    """A chapter's slides, the first of them with its title."""

    file: str  # as _toc.yml names it, "book/03_the_elbo"
    number: str  # "3"
    title: str  # HTML
    question: str
    slides: tuple[Slide, ...]

    @property
    def place(self) -> str:
        """The anchor of its first slide."""
        return f"chapter-{self.number}"


def heading(section: Tag) -> str:
    """The text of a section's heading."""
    found = section.select_one("h2")
    return inner(found) if found else ""


def aims(article: Tag) -> list[Slide]:
    """What one learns, as the chapter's first box says it."""
    box = article.select_one(".admonition.tip ul")
    items = [inner(item.select_one("p") or item) for item in box.select("li")] if box else []
    return [Slide("points", "You will learn", listed(group)) for group in split(items) if group]


def recap(section: Tag) -> list[Slide]:
    """The recap; its list in as many slides as it needs."""
    items = [inner(item.select_one("p") or item) for item in section.select("li")]
    slides = [Slide("points", "Recap", listed(group)) for group in split(items) if group]
    for slide in slides[:1]:
        slide.notes += [note(p) for p in section.find_all("p", recursive=False)]
    return slides


def question(asked: list[Tag], options: list[Tag]) -> Slide | None:
    """A question of the self-check; None if it does not fit a slide. Its answer is a fragment."""
    if any(tag.name != "p" for tag in asked) or not asked:
        return None
    for number in asked[0].select("strong:first-child"):
        number.decompose()
    body = "".join(f"<p>{inner(tag)}</p>" for tag in asked)
    items, reason = "", ""
    for option in options:
        summary = option.select_one("summary")
        said = option.select_one("p")
        right = bool(said and said.get_text().startswith("Right"))
        mark = ' class="fragment custom" data-fragment-index="0"' if right else ""
        items += f"<li{mark}>{inner(summary) if summary else ''}</li>"
        if right and said:
            text = beginning(said, REASON)
            reason = f'<p class="fragment reason" data-fragment-index="0">{text}</p>'
    body += f'<ol type="A">{items}</ol>{reason}'
    return Slide("check", "Check yourself", body) if length(body) <= QUESTION else None


def checks(section: Tag) -> list[Slide]:
    """The first CHECKS questions that fit a slide each."""
    found: list[Slide] = []
    asked: list[Tag] = []
    options: list[Tag] = []
    for tag in [*section.find_all(["p", "div", "details"], recursive=False), None]:
        if options and (tag is None or tag.name != "details"):
            if slide := question(asked, options):
                found.append(slide)
            asked, options = [], []
        if tag is not None and tag.name == "details":
            options.append(tag)
        elif tag is not None and (asked or tag.select_one("strong:first-child")):
            asked.append(tag)
    return found[:CHECKS]


def exercises(section: Tag | None, deeper: list[str], link: str) -> Slide:
    """The last slide: what to do after the lecture, and where the chapter stands."""
    rows = ""
    for exercise in section.select("div.exercise") if section else []:
        name, effort = exercise.select_one(".admonition-title"), exercise.select_one("section > p")
        title = NAME.match(name.get_text().strip()) if name else None
        told = EFFORT.match(effort.get_text()) if effort else None
        if title and told:
            cells = (title[1], html.escape(title[2]), told[1], f"{told[2]} min")
            rows += "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    body = f'<table class="exercises"><tbody>{rows}</tbody></table>' if rows else ""
    if deeper:
        body += f'<p class="deeper"><strong>Deeper,</strong> to read: {" · ".join(deeper)}</p>'
    return Slide("last", "Exercises, and more in the chapter", body + link)


def link_to(build: str, file: str, number: str) -> str:
    """A link to a chapter in the built book, whose folder or address is ``build``."""
    address = html.escape(f"{build}{file}.html")
    return f'<p class="chapter-link"><a href="{address}">Chapter {number} in the book</a></p>'


def opening(number: str, title: str, asked: str, picture: str) -> Slide:
    """The chapter's first slide; ``picture`` is HTML."""
    body = f'<div class="opening"><div><p class="number">Chapter {number}</p><h2>{title}</h2>'
    body += f'<p class="question">{html.escape(asked)}</p></div>{picture}</div>'
    return Slide("opening", "", body)


def asked_by(notebook: Path) -> tuple[str, str]:
    """The question of a chapter, and what is seen on its picture: "" where it has none."""
    if not notebook.is_file():
        return "", ""
    card = json.loads(notebook.read_text("utf-8"))["metadata"].get("card", {})
    return card.get("question", ""), card.get("alt", "")


def picture_of(build: Path, file: str, alt: str) -> str:
    """The small picture that the preface has of a chapter, as HTML; "" if it has none."""
    name = Path(file).name.partition("_")[0]
    if not (path := build / "_static" / "chapters" / f"{name}.webp").is_file():
        return ""
    return f'<img src="{html.escape(path.as_uri())}" alt="{html.escape(alt)}">'


def read(build: Path, sources: Path, file: str, book: str) -> Chapter:
    """The chapter ``file`` of the book built in ``build``, from notebooks in ``sources``; its
    last slide leads to ``book``, an address or a folder."""
    page = BeautifulSoup((build / f"{file}.html").read_text("utf-8"), "html.parser")
    article = page.select_one(".bd-article")
    if article is None or article.h1 is None:
        raise ValueError(f"{build / file}.html has no article with a title")
    numbers = [part.extract() for part in article.h1.select(".section-number")]
    number = numbers[0].get_text().strip(" .") if numbers else Path(file).name
    title = inner(article.h1)
    asked, alt = asked_by(sources / f"{file}.ipynb")
    parts = [(heading(tag), tag) for tag in article.select("section > section") if tag.h2]
    parts = [(name, tag) for name, tag in parts if tag.find("h2", recursive=False)]
    named = {name: tag for name, tag in parts if name in APART}
    slides = [opening(number, title, asked, picture_of(build, file, alt)), *aims(article)]
    for name, tag in parts:
        if name not in APART and not name.startswith("Deeper"):
            slides += section_slides(tag)
    slides += recap(named["Recap"]) if "Recap" in named else []
    slides += checks(named["Check yourself"]) if "Check yourself" in named else []
    deeper = [name.partition(": ")[2] for name, _ in parts if name.startswith("Deeper")]
    link = link_to(book, file, number)
    return Chapter(
        file, number, title, asked, (*slides, exercises(named.get("Exercises"), deeper, link))
    )
