"""Sentences of a built page, for slides: cleaned of what belongs to a page, counted, chosen."""

from __future__ import annotations

import copy
import html
import re

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString

# between two sentences of a text; at its end, before a formula, a link or an emphasis
END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][)”]))\s+(?=[A-Z“\"(])")
STOP = re.compile(r"(?<!e\.g)(?<!i\.e)(?<! al)(?<! vs)[.!?][)”]?\s+$")
ASIDE = re.compile(r"\(.*\)[.!?]?", re.DOTALL)


def clean(tag: Tag) -> Tag:
    """A copy without anchors, links within the book and scripts of a page."""
    new = copy.copy(tag)
    for element in new.select(".headerlink"):
        element.decompose()
    for link in new.select("a"):
        link.unwrap()
    for element in [new, *new.select("[id]")]:
        del element["id"]
    return new


def inner(tag: Tag) -> str:
    """The HTML inside a tag, cleaned."""
    return clean(tag).decode_contents().strip()


def length(text: str) -> int:
    """How many letters a piece of HTML shows; of an equation, its MathML's."""
    return len(" ".join(BeautifulSoup(text, "html.parser").get_text().split()))


def sentences(paragraph: Tag) -> list[str]:
    """The sentences of a paragraph, as HTML."""
    found: list[str] = []
    here = ""
    for child in clean(paragraph).contents:
        if not isinstance(child, NavigableString):
            if STOP.search(here):
                found, here = [*found, here], ""
            here += str(child)
            continue
        first, *more = END.split(html.escape(str(child), quote=False))
        here += first
        for sentence in more:
            found, here = [*found, here], sentence
    return [sentence.strip() for sentence in [*found, here] if sentence.strip()]


def told(paragraph: Tag) -> list[str]:
    """The sentences of a paragraph that are no asides in parentheses."""
    return [sentence for sentence in sentences(paragraph) if not ASIDE.fullmatch(sentence)]


def fill(said: list[str], most: int) -> list[str]:
    """The first sentences, as many as ``most`` letters hold; one that leads to what follows it in
    the book (":") is not the last of them."""
    kept: list[str] = []
    for sentence in said:
        if length(" ".join([*kept, sentence])) > most:
            break
        kept.append(sentence)
    while kept and kept[-1].endswith((":", ",")):
        kept.pop()
    return kept


def beginning(paragraph: Tag, most: int) -> str:
    """The first sentence of a paragraph, and as many more as ``most`` letters hold."""
    said = sentences(paragraph)
    return " ".join(fill(said, most) or said[:1])


def ending(paragraph: Tag, most: int, shown: set[str]) -> str:
    """As many of a paragraph's last sentences as ``most`` letters hold, back to one that is
    ``shown`` already; "" if not even one."""
    kept: list[str] = []
    for sentence in reversed(told(paragraph)):
        if sentence in shown or length(" ".join([sentence, *kept])) > most:
            break
        kept.insert(0, sentence)
    return " ".join(kept)


def note(tag: Tag) -> str:
    """A paragraph or list for the notes, whose window has no style for MathJax: as MathML."""
    new = clean(tag)
    for drawn in new.select("mjx-container"):
        if formula := drawn.select_one("math"):
            drawn.replace_with(formula)
    return str(new)
