"""Sphinx extension: what search engines and those who share a link read of each page.

A description, the tags of a preview, structured data (schema.org, as JSON-LD); and where
``html: baseurl`` in _config.yml says where the book stands, its pages' addresses, a social card
and sitemap.xml. Without it no address is written.

A page's description is ``description:`` in its front matter, else its first sentence; a chapter's
is its question and its first aim.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chapters import Chapter, is_chapter, read
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

LICENCE = "https://creativecommons.org/licenses/by/4.0/"  # of the text
LEVEL = "Intermediate: some Python, and one neural network trained"
CARD = "_static/social-card.png"  # tools/draw_card.py
CARD_TEXT = "Words to Pictures: a sentence, and the pictures that a network of the book drew of it"
SENTENCE = re.compile(r".+?[.!?](?=\s+[^a-z\s]|$)")
LONGEST = 300  # characters of a description
# JSON in a script ends where HTML finds "</script", and "<!--" opens what does not end there
ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def check_address(app: Sphinx, config: Config) -> None:
    """Refuse a ``baseurl`` that is no address; end it with a slash."""
    if base := config.html_baseurl:
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query:
            raise ExtensionError(f"baseurl {base!r} in _config.yml: want one like https://…/")
        config.html_baseurl = base.rstrip("/") + "/"


def shorten(text: str) -> str:
    """At most LONGEST characters, cut between words."""
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST].rpartition(" ")[0].rstrip(",;:") + " …"


def first_sentence(doctree: nodes.document) -> str:
    """Of the first paragraph of the page's text; "" if it has none."""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section):
            text = " ".join(paragraph.astext().split())
            found = SENTENCE.match(text)
            return found[0] if found else text
    return ""


def chapter_of(app: Sphinx, page: str) -> Chapter | None:
    """The chapter that a page is; None if it is another page."""
    return read(Path(app.env.doc2path(page))) if is_chapter(page) else None


def description(app: Sphinx, page: str, title: str, doctree: nodes.document | None) -> str:
    """What a page is about, in one or two sentences."""
    book = app.config.html_title
    if doctree is None:
        return f"{title.capitalize()}: a page of the book {book}."
    if given := app.env.metadata[page].get("description"):
        return shorten(str(given))
    if chapter := chapter_of(app, page):
        aim = f" You will learn {chapter.aims[0]}." if chapter.aims else ""
        return shorten(chapter.question + aim)
    return shorten(first_sentence(doctree) or f"{title}: a page of the book {book}.")


def address(app: Sphinx, page: str) -> str | None:
    """Where a page stands; None if that is not known."""
    base: str = app.config.html_baseurl
    return base + app.builder.get_target_uri(page) if base else None


def book(app: Sphinx) -> dict[str, Any]:
    """The book, as each of its pages names it."""
    facts = {"@type": "Book", "name": app.config.html_title}
    if url := address(app, app.config.master_doc):
        facts["url"] = url
    return facts


def linked_data(app: Sphinx, page: str, title: str, about: str) -> dict[str, Any]:
    """Structured data of a page; the preface stands for the whole book."""
    facts: dict[str, Any] = {"@context": "https://schema.org", "@type": "LearningResource"}
    facts |= {"name": title, "description": about, "inLanguage": "en-GB", "license": LICENCE}
    facts |= {"author": {"@type": "Organization", "name": app.config.author}}
    facts |= {"educationalLevel": LEVEL, "isAccessibleForFree": True}
    if url := address(app, page):
        facts |= {"url": url, "image": app.config.html_baseurl + CARD}
    if page != app.config.master_doc:
        facts["isPartOf"] = book(app)
    if chapter := chapter_of(app, page):
        facts["@type"] = ["LearningResource", "Chapter"]
        facts["position"] = int(chapter.number)
        facts["teaches"] = list(chapter.aims)
        facts["timeRequired"] = f"PT{chapter.minutes}M"
    elif page == app.config.master_doc:
        facts["@type"] = ["LearningResource", "Book"]
        facts |= parts(app)
    return facts


def parts(app: Sphinx) -> dict[str, Any]:
    """What the chapters add up to; nothing for a book without any."""
    inside = [(name, chapter_of(app, name)) for name in sorted(app.env.found_docs)]
    chapters = {name: chapter for name, chapter in inside if chapter}
    if not chapters:
        return {}
    return {
        "teaches": [chapter.question for chapter in chapters.values()],
        "timeRequired": f"PT{sum(chapter.minutes for chapter in chapters.values())}M",
        "hasPart": [
            {"@type": "Chapter", "name": chapter.title, "position": int(chapter.number)}
            | ({"url": url} if (url := address(app, name)) else {})
            for name, chapter in chapters.items()
        ],
    }


def meta(name: str, content: str) -> str:
    """A tag of the head; those of previews are called property."""
    kind = "property" if name.startswith("og:") else "name"
    return f'<meta {kind}="{name}" content="{html.escape(content)}" />\n'


def tags(app: Sphinx, page: str, title: str, about: str) -> str:
    """The tags of a page's description and preview."""
    front = page == app.config.master_doc
    found = {
        "description": about,
        "og:title": title,
        "og:description": about,
        "og:type": "website" if front else "article",
        "og:site_name": app.config.html_title,
        "og:locale": "en_GB",
    }
    if url := address(app, page):
        found |= {"og:url": url, "og:image": app.config.html_baseurl + CARD}
        found |= {"og:image:width": "1200", "og:image:height": "630", "og:image:alt": CARD_TEXT}
        found["twitter:card"] = "summary_large_image"
    return "".join(meta(name, content) for name, content in found.items())


def add(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put all of it into the head of a page."""
    title = app.env.titles[page].astext() if doctree else str(context.get("title", page))
    about = description(app, page, title, doctree)
    head = tags(app, page, title, about)
    if doctree is not None:
        data = json.dumps(linked_data(app, page, title, about), ensure_ascii=False)
        head += f'<script type="application/ld+json">{data.translate(ESCAPES)}</script>\n'
    context["metatags"] = context.get("metatags", "") + "\n" + head


def write_sitemap(app: Sphinx) -> None:
    """The addresses of all pages, for search engines; no file if they are not known."""
    sitemap = Path(app.outdir, "sitemap.xml")
    sitemap.unlink(missing_ok=True)
    if app.config.html_baseurl:
        urls = [address(app, page) or "" for page in sorted(app.env.found_docs)]
        lines = [f"  <url><loc>{html.escape(url)}</loc></url>" for url in urls]
        start = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns='
        start += '"http://www.sitemaps.org/schemas/sitemap/0.9">'
        sitemap.write_text("\n".join([start, *lines, "</urlset>"]) + "\n", encoding="utf-8")


def write_door(app: Sphinx) -> None:
    """index.html of the folder, which leads to the preface: a shared link shows its tags."""
    front = app.config.master_doc
    if front == "index":
        return
    target, title = app.builder.get_target_uri(front), app.env.titles[front].astext()
    head = tags(app, front, title, description(app, front, title, app.env.get_doctree(front)))
    if url := address(app, front):
        head += f'<link rel="canonical" href="{html.escape(url)}" />\n'
    Path(app.outdir, "index.html").write_text(
        f'<!DOCTYPE html>\n<html lang="{app.config.language}">\n<head>\n<meta charset="utf-8" />\n'
        f"<title>{html.escape(title)}</title>\n{head}"
        f'<meta http-equiv="refresh" content="0; url={target}" />\n</head>\n'
        f'<body><a href="{target}">{html.escape(title)}</a></body>\n</html>\n',
        encoding="utf-8",
    )


def finish(app: Sphinx, error: Exception | None) -> None:
    if not error and app.builder.format == "html":
        write_sitemap(app)
        write_door(app)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", check_address)
    app.connect("html-page-context", add)
    app.connect("build-finished", finish, priority=900)  # after that of sphinx-external-toc
    return {"parallel_read_safe": True, "parallel_write_safe": True}
