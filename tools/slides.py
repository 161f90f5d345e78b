"""What of a chapter's built page goes on slides: rules, so that a deck cannot drift from the book.

A section's heading states what was found, and becomes the title of its slides; what shows it goes
below. Of each section, in its order:

- its first FIGURES figures; of a caption, whole sentences up to CAPTION letters;
- its first EQUATIONS numbered equations, each between the sentence before and the one after it;
- its boxes: the key idea, a theorem;
- one function or class of at most CODE lines, after an equation or where the section defines
  several: there the code is the point;
- without figure, equation and code: its first table that is small enough, else its first short
  cell, else the sentences that its paragraphs, or its list, begin with.

The prose is in the speaker's notes. What is too long for a slide is split or left out. How a
chapter opens and closes is in slide_chapters.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import slide_equations
from bs4 import Tag
from slide_text import clean, ending, fill, inner, length, note, told

FIGURES, EQUATIONS = 3, 2  # of a section, at most
CODE, CELLS = 18, 2  # lines of a cell; cells of a section that has nothing else
CAPTION, SENTENCE, BOX = 260, 230, 560  # letters at most
TERSE = 42  # letters up to which a sentence only says where to look ("Read Fig. 4.2.")
ROWS, ACROSS = 10, 92  # lines of a table, and letters in one
LINE, LINES = 84, 15  # letters in a line of points, and lines on a slide
ROOMY = 8  # lines of points up to which they are written larger
POINTS = 5  # of a section that has only prose
FIG = re.compile(r"Fig\. [\d.]*\d")


@dataclass
class Slide:
    """One slide; ``title`` and ``body`` are HTML."""

    kind: str
    title: str
    body: str = ""
    figure: Tag | None = None  # which make_slides.py lays out
    said: str = ""  # the sentence of the section that names the figure; shown where there is room
    shows: str = ""  # the anchor of its figure or equation
    notes: list[str] = field(default_factory=list)  # paragraphs, as HTML


class Block(NamedTuple):
    """A piece of a section: "prose", "list", "figure", "equation", "box", "code" or "table"."""

    kind: str
    tag: Tag


def classes(tag: Tag) -> list[str]:
    return list(tag.get_attribute_list("class"))


def cell_blocks(cell: Tag) -> Iterator[Block]:
    """What a code cell brings: its code, unless that is folded, its figures and tables."""
    for tag in cell.select(".cell_input pre, figure[id^=fig-], .cell_output table"):
        if tag.name == "figure":
            yield Block("figure", tag)
        elif tag.name == "table":
            yield Block("table", tag)
        elif not tag.find_parent("details"):
            yield Block("code", tag)


def blocks(section: Tag) -> Iterator[Block]:
    """The pieces of a section and its subsections, in their order."""
    for tag in section.find_all(True, recursive=False):
        names = classes(tag)
        if tag.name == "section":
            yield from blocks(tag)
        elif tag.name == "p":
            yield Block("prose", tag)
        elif tag.name in ("ul", "ol"):
            yield Block("list", tag)
        elif tag.name == "figure" and tag.get("id"):
            yield Block("figure", tag)
        elif "math" in names:
            yield Block("equation", tag)
        elif "cell" in names:
            yield from cell_blocks(tag)
        elif "admonition" in names and {"important", "note"} & set(names):
            yield Block("box", tag)
        elif tag.name == "div" and (table := tag.select_one("table")) and "admonition" not in names:
            yield Block("table", table)


def is_short(block: Block) -> bool:
    return len(block.tag.get_text().strip().splitlines()) <= CODE


def defines(block: Block) -> bool:
    return bool(re.match(r"(@.*\n)*(def|class) ", block.tag.get_text().lstrip()))


def fits(table: Tag) -> bool:
    """Whether a table can be read on a slide."""
    rows = [[length(str(cell)) for cell in row.select("th, td")] for row in table.select("tr")]
    widths = [max(column) + 3 for column in zip(*rows, strict=False)]
    return 1 < len(rows) <= ROWS and sum(widths) <= ACROSS and not table.select("img, figure")


def chosen(section: list[Block]) -> list[Block]:
    """The pieces of a section that get a slide each; empty if only its prose can have one."""
    several = sum(block.kind == "code" and defines(block) for block in section) >= 3
    room = {"figure": FIGURES, "equation": EQUATIONS, "box": 9, "code": 1}
    taken: list[Block] = []
    for block in section:
        kind = block.kind
        if kind == "code":
            after = several or any(before.kind == "equation" for before in taken)
            if not (after and is_short(block) and defines(block)):
                continue
        if kind == "equation" and not (
            block.tag.select_one(".eqno") and slide_equations.size(block.tag)
        ):
            continue
        if kind == "box" and length(str(block.tag)) > BOX:
            continue
        if room.get(kind, 0):
            room[kind] -= 1
            taken.append(block)
    if any(block.kind != "box" for block in taken):
        return taken
    tables = [block for block in section if block.kind == "table" and fits(block.tag)]
    cells = [block for block in section if block.kind == "code" and is_short(block)]
    return (tables[:1] or cells[:CELLS]) + taken


def points(section: list[Block]) -> list[str]:
    """What the items of a list of the section, else its paragraphs, begin with; no questions."""
    lists = [block.tag for block in section if block.kind == "list"]
    items = lists[0].find_all("li", recursive=False) if lists else []
    texts = [item.select_one("p") or item for item in items]
    texts = texts or [block.tag for block in section if block.kind == "prose"]
    said = [[text for text in told(tag) if not text.endswith("?")] for tag in texts]
    return [" ".join(found) for text in said if (found := fill(text, SENTENCE))][:POINTS]


def split(items: list[str]) -> list[list[str]]:
    """Points in groups that fit a slide each, of about equal length."""
    needed = [-(-length(item) // LINE) + 0.4 for item in items]
    groups = int(-(-sum(needed) // LINES)) or 1
    found: list[list[str]] = [[] for _ in range(groups)]
    so_far = 0.0
    for item, lines in zip(items, needed, strict=True):
        found[min(int((so_far + lines / 2) * groups / sum(needed)), groups - 1)].append(item)
        so_far += lines
    return found


def listed(items: list[str]) -> str:
    """The items as a list, larger if they are few."""
    few = sum(-(-length(item) // (LINE - 12)) for item in items) <= ROOMY
    kind = ' class="roomy"' if few else ""
    return f"<ul{kind}>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def lead(block: Block | None, shown: set[str]) -> str:
    """What a paragraph says last, as a paragraph, but for what is ``shown`` already; "" for another
    block."""
    said = ending(block.tag, SENTENCE, shown) if block and block.kind == "prose" else ""
    return f"<p>{said}</p>" if said else ""


def sequel(block: Block | None, shown: set[str]) -> str:
    """What a paragraph says first, as a paragraph; "" for another block. Adds to ``shown``."""
    said = fill(told(block.tag), SENTENCE) if block and block.kind == "prose" else []
    shown.update(said)
    return f"<p>{' '.join(said)}</p>" if said else ""


def naming(section: list[Block], anchor: str) -> str:
    """The first sentence of a section that names the figure ``anchor``, and what follows it."""
    for block in section:
        link = block.tag.select_one(f'a[href="#{anchor}"]') if block.kind == "prose" else None
        if link is not None:
            name, said = link.get_text(), told(block.tag)
            first = next((i for i, text in enumerate(said) if name in text), len(said))
            others = [i for i, text in enumerate(said) if set(FIG.findall(text)) - {name}]
            end = next((i for i in others if i > first), len(said))
            found = " ".join(fill(said[first:end], SENTENCE))
            return found if length(found) >= TERSE else ""
    return ""


def equation(tag: Tag, size: str) -> str:
    """An equation in a box, its number beside it."""
    new = clean(tag)
    new["class"] = f"math {size}"
    if number := new.select_one(".eqno"):
        new.append(number.extract())
    return str(new)


def show(
    block: Block, before: Block | None, after: Block | None, title: str, shown: set[str]
) -> Slide:
    """The slide of a piece of a section, between what stands before and after it; ``shown`` are
    the sentences that the section's slides have already."""
    tag, kind = block.tag, block.kind
    anchor = str(tag.get("id") or "")
    if kind == "figure":
        return Slide(kind, title, figure=tag, shows=anchor)
    if kind == "equation":
        body = lead(before, shown) + equation(tag, slide_equations.size(tag)) + sequel(after, shown)
        return Slide(kind, title, body, shows=anchor)
    if kind == "code":
        code = tag.find_parent(class_="highlight")
        return Slide(kind, title, lead(before, shown) + str(clean(code or tag)))
    if kind == "table":
        return Slide(kind, title, lead(before, shown) + str(clean(tag)) + sequel(after, shown))
    name = tag.select_one(".admonition-title")
    texts = [inner(p) for p in tag.select("p:not(.admonition-title)")]
    body = f'<div class="box">{"".join(f"<p>{text}</p>" for text in texts)}</div>'
    return Slide("box", inner(name) if name else title, body)


def add_notes(slides: list[Slide], placed: list[tuple[Block, int]]) -> None:
    """Give each paragraph to the slide whose figure or equation it names, else to the one that
    is up when it is read; ``placed`` has the blocks, each with that slide's number."""
    for block, number in placed:
        if block.kind not in ("prose", "list"):
            continue
        links = {str(link["href"]) for link in block.tag.select("a[href^='#']")}
        named = [slide for slide in slides if slide.shows and f"#{slide.shows}" in links]
        (named or [slides[max(number, 0)]])[0].notes.append(note(block.tag))


def section_slides(section: Tag) -> list[Slide]:
    """The slides of a section."""
    heading = section.select_one("h2")
    title = inner(heading) if heading else ""
    found = list(blocks(section))
    taken = chosen(found)
    slides: list[Slide] = []
    if all(block.kind == "box" for block in taken) and (said := points(found)):
        slides = [Slide("points", title, listed(items)) for items in split(said)]
    placed: list[tuple[Block, int]] = []
    shown: set[str] = set()
    for i, block in enumerate(found):
        if any(block is one for one in taken):
            before = found[i - 1] if i else None
            after = found[i + 1] if i + 1 < len(found) else None
            slides.append(slide := show(block, before, after, title, shown))
            if slide.figure is not None:
                slide.said = naming(found, slide.shows)
        placed.append((block, len(slides) - 1))
    if slides:
        add_notes(slides, placed)
    return slides
