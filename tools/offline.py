"""Sphinx extension: the built book brings along what its pages load from other hosts elsewhere.

Equations are drawn while the book is built (equations.py), with MathJax from tools/vendor.py, and
of the theme's icons only those stay that a page shows (icons.py); thebe, which runs cells on other
people's servers, and the widget manager, which needs a kernel, are left out. ``VENDOR=skip`` leaves
equations to MathJax on its CDN, and each page with equations says so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import equations
import icons
import vendor
from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util import logging

logger = logging.getLogger(__name__)

WIDGET = "application/vnd.jupyter.widget-"
NOTICE = (
    "This copy of the book was built without MathJax: with a network the equations of this page "
    "are drawn, without one they stand as TeX. Everything else on it needs none."
)
# From the disk a browser refuses to load fonts before they are wanted, as pydata-sphinx-theme asks.
PRELOAD = re.compile(r'<link rel="preload" as="font"[^>]*>\s*')
# The theme's contents for print, its equations drawn once more; print.css shows the article alone.
CONTENTS = re.compile(r'<div id="jb-print-docs-body".*?(?=<div id="searchbox">)', re.DOTALL)
PICTURE = re.compile(
    r'<img (?![^>]*\b(?:width|height|loading)=)([^>]*\bsrc="([^":]*_images/[^":]+\.(?:png|jpe?g))")'
)
# Where the text of a button or a fold says more than its label, the text is its name.
LABEL = re.compile(r'(<button class="btn search-button-field [^>]*?|<summary) aria-label="[\w ]+"')
# The menu's folds have an icon and no name.
FOLD = ('<summary><span class="toctree', '<summary aria-label="Pages below"><span class="toctree')
# The entries of docutils' list are no items of a list.
LIST = re.compile(r'(?<=<div )role="list" (?=class="citation-list")')
# A browser lets no page from the disk read another, so that results have no excerpts there.
NO_EXCERPTS = (
    'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'
)


def configure(app: Sphinx, config: Config) -> None:
    """Silence sphinx-thebe, which Jupyter Book always loads, and what makes pages load MathJax."""
    silent = ["sphinx_thebe"]
    try:
        silent += [] if vendor.skipped() else ["sphinx.ext.mathjax"]
    except vendor.VendorError as error:
        raise ExtensionError(str(error)) from error
    for listeners in list(app.events.listeners.values()):
        for listener in list(listeners):
            if listener.handler.__module__.startswith(tuple(silent)):
                app.disconnect(listener.id)


def bring(app: Sphinx) -> None:
    """Unpack MathJax into _static of the book."""
    if app.builder.format != "html" or vendor.skipped():
        return
    try:
        vendor.unpack(vendor.package("mathjax"), Path(app.outdir) / "_static")
    except vendor.VendorError as error:
        raise ExtensionError(str(error)) from error
    (Path(app.outdir) / "_static" / equations.STYLE).touch()
    app.add_css_file(equations.STYLE)


def say_what_needs_a_network(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Below the title of a page with equations, in a book that was built without MathJax."""
    found = [*doctree.findall(nodes.math), *doctree.findall(nodes.math_block)]
    if not vendor.skipped() or not found or app.builder.format != "html":
        return
    notice = nodes.note("", nodes.paragraph("", NOTICE))
    title = next(iter(doctree.findall(nodes.title)), None)
    if title is None:
        doctree.insert(0, notice)
    else:
        title.parent.insert(title.parent.index(title) + 1, notice)


def prune(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Take thebe's style and the widgets' state out of a page; warn of a widget, dead there."""
    if WIDGET + "view" in context.get("body", ""):
        logger.warning(
            "an ipywidget needs a kernel, which a page has not: execute_book.py draws pictures of "
            "an `explore` with an alt text; tag another's cell remove-output",
            location=page,
        )
    context["css_files"][:] = [
        style
        for style in context["css_files"]
        if "sphinx-thebe" not in str(getattr(style, "filename", style))
    ]
    context["script_files"][:] = [
        script
        for script in context["script_files"]
        if not str(getattr(script, "attributes", {}).get("type", "")).startswith(WIDGET)
    ]
    if page == "search":
        app.add_js_file(None, body=NO_EXCERPTS, priority=900)


def settle(page: Path, text: str) -> str:
    """The page's ``text`` without what keeps a browser waiting, or makes it complain when it opens
    the page from the disk; its pictures have their places before they are loaded."""

    def sized(match: re.Match[str]) -> str:
        file = page.parent / unquote(match[2])
        if not file.is_file():
            return match[0]
        with Image.open(file) as picture:
            width, height = picture.size
        return f'<img loading="lazy" width="{width}" height="{height}" {match[1]}'

    for gone in (PRELOAD, icons.SCRIPT, CONTENTS, LIST):
        text = gone.sub("", text)
    text = LABEL.sub(r"\1", text).replace(*FOLD)
    return PICTURE.sub(sized, text)


def finish(app: Sphinx, error: Exception | None) -> None:
    """Draw the equations of the written pages, thin the icons, and settle the pages."""
    if error or app.builder.format != "html":
        return
    site = Path(app.outdir)
    try:
        faults = [] if vendor.skipped() else equations.draw_all(site)
    except vendor.VendorError as failure:
        raise ExtensionError(str(failure)) from failure
    for page, fault in faults:
        name = page.relative_to(site).with_suffix("").as_posix()
        logger.warning("equation with an error: %s", fault, location=name)
    icons.thin(site)
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        if (new := settle(page, text)) != text:
            page.write_text(new, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", configure, priority=900)
    app.connect("builder-inited", bring)
    app.connect("doctree-resolved", say_what_needs_a_network)
    app.connect("html-page-context", prune, priority=900)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
