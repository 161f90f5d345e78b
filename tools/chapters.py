"""Sphinx extension: what the book says of its chapters, read from the chapters themselves.

The directive ``{chapters} CAPTION`` shows a card for each chapter of that part of _toc.yml, or of
all parts without a caption: number, title, question, minutes, and a small picture of one figure.
Title, minutes and aims stand in a chapter's first box; its question and the name of its figure in
the notebook's metadata:

    "card": {"question": "Why …?", "figure": "fig-01-…", "crop": [0, 0, 1, 0.5], "alt": "Two …"}

``crop`` is the part of the figure that is shown: left, top, right, bottom, as shares of its sides;
``alt`` says what is seen of it. Without them it is the whole figure, with its own alt text.
The picture is made of what the last execution drew; a book whose code was not run has none.
"""

from __future__ import annotations

import base64
import functools
import html
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import nbformat
from docutils import nodes
from docutils.statemachine import StringList
from jupyter_cache import get_cache
from PIL import Image
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

FOLDER = "_static/chapters"  # of the built book: the small pictures
WIDTH, HEIGHT = 640, 360  # pixels at most
LIMIT = 25_000  # bytes at most
WHOLE = (0.0, 0.0, 1.0, 1.0)

TITLE = re.compile(r"\A# (.+)$", re.M)
TIME = re.compile(r"^\*\*Time\*\* (\d+) minutes to read", re.M)
AIMS = re.compile(r"^\*\*You will learn\*\*\n((?:- .*\n(?: +\S.*\n)*)+)", re.M)
TEX = {r"\mathcal": "", r"\mathbb": "", r"\varepsilon": "ε", r"\mu": "μ", r"\sigma": "σ"}
TEX |= {r"\beta": "β", r"\log": "log", r"\mid": "|", "{": "", "}": ""}


@dataclass(frozen=True)
class Chapter:
    """A chapter as it tells of itself."""

    number: str  # "01"
    title: str
    minutes: int  # to read
    question: str
    aims: tuple[str, ...]  # what one learns, as plain text
    figure: str  # the name of the one on its card
    crop: tuple[float, float, float, float]
    alt: str


class Run(NamedTuple):
    """What the execution cache has of a chapter."""

    about: dict[str, Any]  # what was kept beside the outputs, and "created"
    cells: list[Any]  # the code cells, with their outputs


def plain(markdown: str) -> str:
    """A line of MyST without its marks: roles, links, emphasis, code, simple formulas."""
    text = re.sub(r"\{[a-z:]+\}`([^`<]+?)(?: *<[^`>]*>)?`", r"\1", markdown)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)

    def formula(match: re.Match[str]) -> str:
        tex = match[1]
        for name, sign in TEX.items():
            tex = tex.replace(name, sign)
        return tex

    text = re.sub(r"\$([^$]+)\$", formula, text)
    return " ".join(re.sub(r"[*`]", "", text).split())


def is_chapter(docname: str) -> bool:
    """Whether a page is a chapter: its file is called NN_title."""
    return bool(re.match(r"\d\d_", docname.rpartition("/")[2]))


def fault(path: Path, what: str) -> ExtensionError:
    return ExtensionError(f"{path.name}: {what} (tools/chapters.py says where it belongs)")


@functools.cache
def _read(path: Path, changed: int) -> Chapter:
    notebook = nbformat.read(path, 4)
    box = notebook.cells[0].source if notebook.cells else ""
    found = {name: pattern.search(box) for name, pattern in (("title", TITLE), ("minutes", TIME))}
    for name, match in found.items():
        if match is None:
            raise fault(path, f"its first cell has no {name}")
    card = notebook.metadata.get("card", {})
    if not str(card.get("question", "")).endswith("?"):
        raise fault(path, f"its metadata have no question for its card: {dict(card)}")
    crop = tuple(map(float, card.get("crop", WHOLE)))
    if len(crop) != 4 or not (0 <= crop[0] < crop[2] <= 1 and 0 <= crop[1] < crop[3] <= 1):
        raise fault(path, f"crop {crop} is no left, top, right, bottom between 0 and 1")
    figure = card.get("figure", "")
    shown = {named(cell): cell for cell in notebook.cells if named(cell)}
    if figure not in shown:
        raise fault(path, f"no cell draws the figure {figure!r} of its card")
    alt = card.get("alt") or shown[figure].metadata["mystnb"].get("image", {}).get("alt", "")
    aims = AIMS.search(box)
    items = re.split(r"^- ", aims[1], flags=re.M)[1:] if aims else []
    learn = tuple(plain(item).rstrip(";.") for item in items)
    title, minutes = plain(found["title"][1]), int(found["minutes"][1])  # type: ignore[index]
    return Chapter(path.name[:2], title, minutes, card["question"], learn, figure, crop, alt)


def read(path: Path) -> Chapter:
    """The chapter in a notebook; ExtensionError, with what it lacks."""
    return _read(path, path.stat().st_mtime_ns)


def named(cell: Any) -> str:
    """The name of the figure that a cell draws; "" if none."""
    return str(cell.metadata.get("mystnb", {}).get("figure", {}).get("name", ""))


def run(app: Sphinx, docname: str) -> Run | None:
    """The execution behind a page; None if its code was not run."""
    config = app.config
    folder = Path(config.nb_execution_cache_path or Path(app.outdir).parent / ".jupyter_cache")
    if config.nb_execution_mode != "cache" or not (folder / "global.db").is_file():
        return None
    cache = get_cache(folder)
    notebook = nbformat.read(app.env.doc2path(docname), 4)
    try:
        record = cache.match_cache_notebook(notebook)
        cells = cache.get_cache_bundle(record.pk).nb.cells
    except KeyError:
        return None
    return Run({**record.data, "created": record.created}, cells)


def drawn(path: Path, chapter: Chapter, done: Run) -> bytes | None:
    """The chapter's figure as a PNG file; None if its cell put out no such picture."""
    code = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    for cell, executed in zip(code, done.cells, strict=True):
        if named(cell) == chapter.figure:
            for output in executed.outputs:
                if "image/png" in output.get("data", {}):
                    return base64.b64decode(output.data["image/png"])
    return None


def shrink(png: bytes, crop: tuple[float, float, float, float]) -> tuple[bytes, tuple[int, int]]:
    """A part of a picture on white as WebP of at most LIMIT bytes, and its size in pixels."""
    with Image.open(BytesIO(png)) as opened:
        figure = opened.convert("RGBA")
    white = Image.new("RGBA", figure.size, "white")
    picture = Image.alpha_composite(white, figure).convert("RGB")
    (width, height), (left, top, right, bottom) = picture.size, crop
    shares = (left * width, top * height, right * width, bottom * height)
    picture = picture.crop(tuple(map(round, shares)))  # type: ignore[arg-type]
    picture.thumbnail((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    for quality in range(90, 0, -10):
        picture.save(file := BytesIO(), "WEBP", quality=quality, method=6)
        if file.tell() <= LIMIT:
            break
    return file.getvalue(), picture.size


class picture(nodes.General, nodes.Element):
    """The place of a chapter's picture, looked up when its page is written: "docname" says whose;
    by then every chapter has run."""


def visit_picture(translator: Any, node: picture) -> None:
    """Write a chapter's picture beside the book and into the page; nothing if it has not run."""
    app, docname = translator.builder.app, node["docname"]
    path = Path(app.env.doc2path(docname))
    chapter, done = read(path), run(app, docname)
    if done and (png := drawn(path, chapter, done)):
        content, (width, height) = shrink(png, chapter.crop)
        address = f"{FOLDER}/{chapter.number}.webp"
        (target := Path(app.outdir, address)).parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        here = app.builder.get_target_uri(translator.builder.current_docname)
        translator.body.append(
            f'<img class="sd-card-img-top chapter-picture" src="{relative_uri(here, address)}" '
            f'alt="{html.escape(chapter.alt)}" width="{width}" height="{height}" loading="lazy">\n'
        )
    raise nodes.SkipNode


def skip(translator: Any, node: picture) -> None:
    raise nodes.SkipNode


class Chapters(SphinxDirective):
    """Cards of the chapters of a part."""

    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {}

    def docnames(self) -> list[str]:
        """The chapters of the part that the directive names, in the order of _toc.yml."""
        trees = self.config.external_site_map.root.subtrees
        if self.arguments:
            captions = [tree.caption for tree in trees]
            if self.arguments[0] not in captions:
                raise self.error(
                    f"no part of _toc.yml is called {self.arguments[0]!r}: want one of {captions}"
                )
            trees = [trees[captions.index(self.arguments[0])]]
        names = [name.rpartition(".ipynb")[0] or name for tree in trees for name in tree.files()]
        return [name for name in names if is_chapter(name)]

    def run(self) -> list[nodes.Node]:
        cards = ["::::{grid} 1 2 2 3", ":gutter: 3", ":class-container: chapters", ""]
        for docname in self.docnames():
            path = Path(self.env.doc2path(docname))
            self.env.note_dependency(str(path))
            chapter = read(path)
            cards += [":::{grid-item-card}", f":link: /{docname}", ":link-type: doc"]
            cards += [f":link-alt: Chapter {chapter.number}: {chapter.title}", ""]
            cards += ["{.chapter-number}", f"{chapter.number} · {chapter.minutes} minutes", ""]
            cards += [f"**{chapter.title}**", "", chapter.question, ":::"]
        parsed = nodes.container()
        self.state.nested_parse(
            StringList([*cards, "::::"], self.env.docname), self.content_offset, parsed
        )
        places = [n for n in parsed.findall(nodes.container) if n.get("design_component") == "card"]
        for card, docname in zip(places, self.docnames(), strict=True):
            card.insert(0, picture(docname=docname))
        return parsed.children


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("chapters", Chapters)
    app.add_node(picture, html=(visit_picture, None), latex=(skip, None), text=(skip, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
