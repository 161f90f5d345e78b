"""Sphinx extension: the built book brings along what its pages load from other hosts elsewhere.

MathJax comes with the book (tools/vendor.py); thebe, which runs cells on other people's servers,
and the widget manager, which needs a kernel, do not. ``VENDOR=skip`` leaves MathJax on its CDN, and
each page with equations says so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import vendor
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util import logging

logger = logging.getLogger(__name__)

MATHJAX = "mathjax/es5/tex-mml-chtml.js"  # below _static
WIDGET = "application/vnd.jupyter.widget-"
NOTICE = (
    "This copy of the book was built without MathJax: with a network the equations of this page "
    "are drawn, without one they stand as TeX. Everything else on it needs none."
)
# From the disk a browser refuses to load fonts before they are wanted, as pydata-sphinx-theme asks.
PRELOAD = re.compile(r'<link rel="preload" as="font"[^>]*>\s*')
# A browser lets no page from the disk read another, so that results have no excerpts there.
NO_EXCERPTS = (
    'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'
)


def configure(app: Sphinx, config: Config) -> None:
    """Point to our MathJax, and silence sphinx-thebe, which Jupyter Book always loads."""
    try:
        if not vendor.skipped():
            config.mathjax_path = MATHJAX
    except vendor.VendorError as error:
        raise ExtensionError(str(error)) from error
    for listeners in list(app.events.listeners.values()):
        for listener in list(listeners):
            if listener.handler.__module__.partition(".")[0] == "sphinx_thebe":
                app.disconnect(listener.id)


def bring(app: Sphinx) -> None:
    """Unpack what the pages load into _static of the book."""
    if app.builder.format != "html" or vendor.skipped():
        return
    try:
        for package in vendor.packages():
            vendor.unpack(package, Path(app.outdir) / "_static")
    except vendor.VendorError as error:
        raise ExtensionError(str(error)) from error


def say_what_needs_a_network(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Below the title of a page with equations, in a book that was built without MathJax."""
    equations = [*doctree.findall(nodes.math), *doctree.findall(nodes.math_block)]
    if not vendor.skipped() or not equations or app.builder.format != "html":
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


def finish(app: Sphinx, error: Exception | None) -> None:
    """Take out of the written pages what makes a browser complain when it opens them from disk."""
    if error or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text("utf-8")
        if (new := PRELOAD.sub("", text)) != text:
            page.write_text(new, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", configure, priority=900)
    app.connect("builder-inited", bring)
    app.connect("doctree-resolved", say_what_needs_a_network)
    app.connect("html-page-context", prune, priority=900)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
