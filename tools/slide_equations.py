"""How large an equation of the book is written on a slide: as its width, read off MathJax's HTML,
allows. Widths are in ems of MathJax's font."""

from __future__ import annotations

import re

from bs4 import Tag

ROOM = 1184 - 2 * 16 - 84  # pixels: the slide's width without margins, padding and the number
SIZES = {"large": 32, "middle": 27, "small": 23, "least": 20}  # pixels, as slides.css has them
EM = 1.195  # of MathJax's font, in ems of the text around it (slides.css: 2.262ex)
ERROR = 1.12  # the true width by the one that is read off, at most; of aligned lines it is 1
LETTER, NARROW = 0.56, 0.33  # width of a sign; of punctuation and brackets
SCRIPT = 0.71  # size of an exponent, an index, a label under a brace
SPACES = {"1": 0.11, "2": 0.17, "3": 0.22, "4": 0.28, "5": 0.33}  # MathJax's attribute
ASIDE = ("mjx-script", "mjx-sub", "mjx-sup", "mjx-over", "mjx-under")
STACKED = ("mjx-frac", "mjx-munder", "mjx-mover", "mjx-munderover")
SLIM = {f"mjx-c{ord(sign):X}" for sign in "()[]{}|,.;:!'ijlt1"} | {"mjx-c2223", "mjx-c2032"}


def children(tag: Tag) -> list[Tag]:
    return [child for child in tag.children if isinstance(child, Tag)]


def rows(table: Tag) -> list[list[Tag]]:
    """The cells of a table, row by row."""
    lines = table.select("mjx-mtr, mjx-mlabeledtr")
    found = [row for row in lines if row.find_parent("mjx-mtable") is table]
    return [[cell for cell in children(row) if cell.name == "mjx-mtd"] for row in found]


def levels(tag: Tag) -> list[Tag]:
    """What stands above each other in a fraction, or over and under a sign."""
    parts = tag.select("mjx-num, mjx-den, mjx-base, mjx-over, mjx-under")
    return [part for part in parts if part.find_parent(STACKED) is tag]


def width(tag: Tag) -> float:
    """The width of a piece of an equation, in ems."""
    space = SPACES.get(str(tag.get("space", "")), 0.0)
    if tag.name == "mjx-c":
        return NARROW if SLIM & set(tag.get_attribute_list("class")) else LETTER
    if tag.name == "mjx-mspace":
        found = re.search(r"width: ([\d.]+)em", str(tag.get("style", "")))
        return space + (float(found[1]) if found else 0)
    if tag.name == "mjx-mtable":
        columns = zip(*rows(tag), strict=False)
        wide = [max(width(cell) for cell in column) for column in columns]
        return space + sum(wide) + 0.5 * len(wide)
    if tag.name in STACKED and (parts := levels(tag)):
        return space + max(width(part) for part in parts) + 0.25
    inside = sum(width(child) for child in children(tag) if child.name != "mjx-assistive-mml")
    return space + inside * (SCRIPT if tag.name in ASIDE else 1)


def size(equation: Tag) -> str:
    """The name of the largest size at which the equation fits; "" if it does at none."""
    drawn = equation.select_one("mjx-math")
    wide = width(drawn) * EM if drawn else 0.0
    if not equation.select("mjx-mtable"):
        wide *= ERROR
    return next((name for name, pixels in SIZES.items() if wide * pixels <= ROOM), "")
