"""Sphinx extension: the built book names the repository that it was built from.

The sources name one address, that of pyproject.toml. A build asks ``$GITHUB_REPOSITORY``, which
GitHub sets in its workflows, else the checkout's remote ``origin``, and writes what it finds in the
place of that address: into links, code, buttons and the notebooks that a page lets one download. So
the site of a fork leads to the fork. Where neither tells, links to the repository are plain text,
there is no button that could not work, and the foot of each page says what to do. Colab opens the
chapters of the branch ``$COLAB_BRANCH``, else of main.

    python tools/address.py                    # the address, as a build would find it
    python tools/address.py --notebooks FOLDER # the chapters for Colab, with that address in them
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.osutil import ensuredir

HOUSE = Path(__file__).parent.parent
SLUG = r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/(?!\.{0,2}(?:git)?/?$)[\w.-]{1,100}?"
# https, with or without a name or token before the host, which must not get into a page; ssh
REMOTE = re.compile(
    rf"(?:(?:https?|ssh|git)://(?:[^@/\s]*@)?|[\w.-]+@)github\.com[:/](?P<slug>{SLUG})(?:\.git)?/?"
)
HOSTS = (
    "https://github.com/",
    "https://raw.githubusercontent.com/",
    "https://colab.research.google.com/github/",
)
UNKNOWN = (
    "This copy of the book does not know where its repository is, so it has no button for Colab. "
    "<code>git remote add origin https://github.com/…</code>, and <code>make book</code> again."
)


@cache
def named() -> str:
    """Owner and name of the repository as the sources have it, in pyproject.toml."""
    text = (HOUSE / "pyproject.toml").read_text("utf-8")
    found = re.search(rf'^Repository = "https://github\.com/({SLUG})"', text, re.MULTILINE)
    if found is None:
        raise ValueError('pyproject.toml: want a line Repository = "https://github.com/OWNER/NAME"')
    return found[1]


def slug_of(remote: str) -> str | None:
    """Owner and name from the address of a remote; None if it is not one at GitHub."""
    found = REMOTE.fullmatch(remote.strip())
    return found["slug"] if found else None


@cache
def found(folder: Path = HOUSE) -> str | None:
    """Owner and name of the repository that ``folder`` is a checkout of; None if nothing tells."""
    if given := os.environ.get("GITHUB_REPOSITORY"):
        if not re.fullmatch(SLUG, given):
            raise ValueError(f"GITHUB_REPOSITORY={given!r}: want OWNER/NAME")
        return given
    command = ["git", "-C", str(folder), "remote", "get-url", "origin"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):  # no git
        return None
    return slug_of(done.stdout)


def rewrite(text: str, slug: str) -> str:
    """``text`` with the sources' address replaced wherever it stands."""
    old = re.escape(named())
    return re.sub(rf"({'|'.join(map(re.escape, HOSTS))}){old}(?![\w-])", rf"\g<1>{slug}", text)


def names_it(address: str) -> bool:
    """Whether an address leads into the repository that the sources name."""
    return any(address.startswith(host + named()) for host in HOSTS)


# --- the extension ---------------------------------------------------------------------------


def configure(app: Sphinx, config: Config) -> None:
    """Give the theme's buttons the address, or take them away."""
    config.repository_slug = slug = found(Path(app.srcdir)) or ""
    options = dict(config.html_theme_options)
    if slug:
        options["repository_url"] = f"https://github.com/{slug}"
        options["repository_branch"] = os.environ.get("COLAB_BRANCH") or "main"
    else:
        options |= {"launch_buttons": {}, "repository_url": "", "use_repository_button": False}
        options |= {"use_issues_button": False}
    config.html_theme_options = options


def write_it(app: Sphinx, doctree: nodes.document) -> None:
    """Replace the address in a page's text, code and links."""
    slug = app.config.repository_slug
    for reference in list(doctree.findall(nodes.reference)):
        if not names_it(address := reference.get("refuri", "")):
            continue
        if slug:
            reference["refuri"] = rewrite(address, slug)
        else:  # it would lead nowhere
            reference.replace_self(nodes.inline("", "", *reference.children))
    if slug:
        for text in list(doctree.findall(nodes.Text)):
            if (new := rewrite(text, slug)) != text:
                text.parent.replace(text, nodes.Text(new))


def say_so(
    app: Sphinx, page: str, template: str, context: dict[str, str], doctree: nodes.document | None
) -> None:
    """At the foot of each page of a book that does not know its repository: how it would."""
    if doctree is not None and not app.config.repository_slug:
        context["body"] += f'<p class="unknown-repository">{UNKNOWN}</p>\n'


def finish(app: Sphinx, error: Exception | None) -> None:
    """The sources that pages let one download name the address too."""
    slug = app.config.repository_slug
    if error or not slug or app.builder.format != "html":
        return
    for path in Path(app.outdir, "_sources").rglob("*"):
        if path.is_file():
            before = path.read_text("utf-8")
            if (after := rewrite(before, slug)) != before:
                path.write_text(after, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("repository_slug", "", "env", str)
    app.connect("config-inited", configure, priority=100)
    app.connect("doctree-read", write_it)
    app.connect("html-page-context", say_so)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# --- notebooks for Colab ---------------------------------------------------------------------


def main() -> None:
    """Print the address, or write the chapters with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notebooks", type=Path, metavar="FOLDER", help="write the chapters here")
    given = parser.parse_args()
    if not (slug := found()):
        sys.exit(
            "address: neither GITHUB_REPOSITORY nor the remote `origin` names a repository at "
            "GitHub; git remote add origin https://github.com/OWNER/NAME"
        )
    if given.notebooks:
        ensuredir(given.notebooks)
        for path in sorted((HOUSE / "book").glob("*.ipynb")):
            (given.notebooks / path.name).write_text(
                rewrite(path.read_text("utf-8"), slug), "utf-8"
            )
    else:
        print(f"https://github.com/{slug}")


if __name__ == "__main__":
    main()
