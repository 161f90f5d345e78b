"""Sphinx extension: a line at the foot of each chapter says where its outputs come from.

All of it comes from the execution cache: tools/execute_book.py keeps there, beside the outputs,
what it knows of the run (`origin`). Two builds from one cache write the same line.
"""

from __future__ import annotations

import html
from typing import Any

from chapters import is_chapter, run
from docutils import nodes
from sphinx.application import Sphinx

NOT_RUN = "The code of this chapter was not run for this copy of the book."


def sentence(about: dict[str, Any]) -> str:
    """What is known of a run, as text: date and seconds always, the rest where it was kept."""
    created = about["created"]
    parts = [f"Run on {created.day} {created:%B %Y} in {about['execution_seconds']:.0f} seconds"]
    if about.get("jobs", 1) > 1:
        parts[0] += " beside another chapter"
    if scale := about.get("scale"):
        parts.append(f"at scale {scale}")
    if hardware := about.get("hardware"):
        parts.append(f"on {hardware}")
    if version := about.get("version"):
        parts.append(f"with cvae_lib {version}, commit {about.get('commit', 'unknown')}")
    return ", ".join(parts) + "."


def add(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put the line below the last section of a chapter."""
    if doctree is None or not is_chapter(page):
        return
    done = run(app, page)
    text = html.escape(sentence(done.about) if done else NOT_RUN)
    context["body"] += f'<p class="provenance">{text}</p>\n'


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
