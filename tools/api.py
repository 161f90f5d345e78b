"""Sphinx extension: the pages of book/api, made from the library's docstrings by autodoc.

The directive ``{api} losses`` describes the public names of `cvae_lib.losses` (public.py says which
those are), and ``{rooms} losses plots`` lists modules with what each is for. A comment behind a
constant or a field is its description. Names in `single backticks` become links, and so do the
names that a chapter takes from the library, at its foot. Each name links to its source, where
address.py knows the repository.
"""

from __future__ import annotations

import ast
import functools
import html
import importlib
import re
from pathlib import Path
from typing import Any, ClassVar

import public
from chapters import is_chapter
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode
from sphinx.util.osutil import relative_uri

LONGEST = 60  # characters of a constant's value, and of a call that stands on one line
PARAMETERS = re.compile(r"<dl>\s*(<dd><em class=\"sig-param.*?)</dl>", re.DOTALL)
PARAMETER = re.compile(r"<dd>(.*?)</dd>", re.DOTALL)
LINE = r"<span>\1</span>"
SETTINGS = {
    "add_module_names": False,
    "autodoc_default_options": {"show-inheritance": True, "undoc-members": True},
    "autodoc_member_order": "bysource",
    "autodoc_preserve_defaults": True,
    "default_role": "py:obj",
    "napoleon_numpy_docstring": False,
    "napoleon_use_param": False,  # "mean, logvar: …" is one entry
    "napoleon_use_rtype": False,
    "python_maximum_signature_line_length": LONGEST,
    "toc_object_entries_show_parents": "hide",
}


def configure(app: Sphinx, config: Config) -> None:
    """Set what autodoc and its kin are to do; _config.yml may say otherwise."""
    for name, value in SETTINGS.items():
        if name not in config._raw_config:
            config[name] = value
    config["linkcode_resolve"] = functools.partial(source, config.repository_slug)


def source(repository: str, domain: str, about: dict[str, str]) -> str | None:
    """The address of the lines that define a class or function; None if nobody knows it."""
    if not repository or domain != "py" or about["module"] not in public.modules():
        return None
    module = public.module(about["module"])
    place = module.places.get(about["fullname"])
    if not place or place.value:
        return None
    path = module.path.relative_to(public.ROOT).as_posix()
    return f"https://github.com/{repository}/blob/main/{path}#L{place.first}-L{place.last}"


def tell_constants(module: public.Module) -> None:
    """Tell autodoc of a module's constants and fields; it shows values that are short literals."""
    analyzer = ModuleAnalyzer.for_module(module.name)
    analyzer.analyze()
    code = importlib.import_module(module.name)
    for name, place in module.places.items():
        if place.value:
            owner, _, last = name.rpartition(".")
            shown = owner or is_plain(repr(getattr(code, name)))
            analyzer.attr_docs[(owner, last)] = ["", "" if shown else ":meta hide-value:", ""]


def is_plain(value: str) -> bool:
    """Whether a value can stand on a page: short, the same on each machine, and no pattern."""
    try:
        ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return False
    return len(value) <= LONGEST and "\\" not in value


def chapters_with(app: Sphinx, module: public.Module) -> list[str]:
    """The pages of the chapters whose code uses a module."""
    found = []
    for page in sorted(filter(is_chapter, app.env.found_docs)):
        notebook = Path(app.env.doc2path(page))
        app.env.note_dependency(str(notebook))
        names = public.used(notebook)
        if any(name.startswith(module.name + ".") for name in names):
            found.append(page)
    return found


class Pages(SphinxDirective):
    """A directive whose content is written in MyST or reStructuredText by ``lines``."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {}

    def lines(self) -> list[str]:
        """The text to parse: each directive's own."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        parsed = nodes.container()
        text = StringList(self.lines(), self.env.docname)
        self.state.nested_parse(text, self.content_offset, parsed)
        return parsed.children

    def module(self, room: str) -> public.Module:
        """The module called ``room`` in the library."""
        name = f"{public.PACKAGE}.{room}"
        if name not in public.modules():
            raise self.error(f"{name} is no public module: want one of {public.modules()}")
        self.env.note_dependency(str(public.module(name).path))
        return public.module(name)


class Api(Pages):
    """The public names of a module, what it offers of others, and the chapters that use it."""

    option_spec: ClassVar[dict[str, Any]] = {"inherited": directives.flag}

    def lines(self) -> list[str]:
        module = self.module(self.arguments[0])
        tell_constants(module)
        lines = ["```{eval-rst}", f".. automodule:: {module.name}"]
        lines += [f"   :members: {', '.join(module.names)}"] if module.names else []
        lines += ["   :inherited-members:"] if "inherited" in self.options else []
        lines += ["```", ""]
        homes = map(public.defined, module.offers.values())
        if offers := [f"{{py:obj}}`~{home}`" for home in homes]:
            lines += [f"From `{module.name}` one imports also {', '.join(offers)}.", ""]
        if chapters := [f"[](/{page})" for page in chapters_with(self.env.app, module)]:
            lines += [f"In use: {' · '.join(chapters)}.", ""]
        return lines


class Rooms(Pages):
    """A list of modules, with the first sentence of each."""

    def lines(self) -> list[str]:
        rooms = self.arguments[0].split()
        return [
            f"- {{py:mod}}`{room} <{(m := self.module(room)).name}>`: {m.summary}" for room in rooms
        ]


def skip(app: Sphinx, what: str, name: str, thing: Any, skipped: bool, options: Any) -> bool | None:
    """Skip a method that says nothing of its own where a base of the library describes it; keep
    what makes an object of the library callable."""
    if name == "__call__" and public.PACKAGE in str(getattr(thing, "__module__", "")):
        return False
    if getattr(thing, "__doc__", None) or not callable(thing):
        return None
    return True if base_of(thing) else None


def base_of(method: Any) -> type | None:
    """The class of the library whose method of the same name a method replaces."""
    owner, _, name = getattr(method, "__qualname__", "").rpartition(".")
    kind = getattr(importlib.import_module(method.__module__), owner, None) if owner else None
    for base in getattr(kind, "__mro__", ())[1:]:
        if name in vars(base) and base.__module__.startswith(public.PACKAGE):
            return base
    return None


def place_of(name: str) -> public.Place | None:
    """Where "cvae_lib.run.History.rows" is defined; None if nowhere in the library's source."""
    home, rest = name, ""
    while home and home not in public.modules():
        home, _, last = home.rpartition(".")
        rest = f"{last}.{rest}" if rest else last
    return public.module(home).places.get(rest) if home else None


def words(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Say of a constant or a field what stands behind it, and of no method what PyTorch says."""
    place = place_of(name)
    if place and place.value:
        lines[:] = [place.comment, ""]
    elif what == "method" and not getattr(thing, "__doc__", None) and not base_of(thing):
        lines[:] = [place.comment if place else "", ""]


def signature(
    app: Sphinx,
    what: str,
    name: str,
    thing: Any,
    options: Any,
    call: str | None,
    result: str | None,
) -> tuple[str | None, str | None]:
    """A function that is a default stands there by its name."""
    return re.sub(r"<function (\w+)[^>]*>", r"\1", call) if call else call, result


def bases(app: Sphinx, name: str, thing: Any, options: Any, classes: list[Any]) -> None:
    """Name no private base."""
    classes[:] = [base for base in classes if not getattr(base, "__name__", "").startswith("_")]


def meant(target: str, module: str | None, owner: str | None, known: Any) -> str | None:
    """The documented name that a short one means, seen from a class or module; None if unclear."""
    scope: Any = importlib.import_module(module) if module in public.modules() else None
    for start in (getattr(scope, owner or "", None), scope):
        thing = functools.reduce(lambda at, part: getattr(at, part, None), target.split("."), start)
        name = f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"
        if name in known:
            return name
    ends = [n for n in known if n.endswith(f".{target}") and known[n].objtype != "module"]
    return ends[0] if len(ends) == 1 else None


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.Element | None:
    """Link a name of the library; those of other packages stay text. Else Sphinx complains."""
    if node.get("refdomain") != "py":
        return None
    known, target = env.get_domain("py").objects, node["reftarget"]  # type: ignore[attr-defined]
    if name := meant(target, node.get("py:module"), node.get("py:class"), known):
        page = node["refdoc"]
        return make_refnode(app.builder, page, known[name].docname, known[name].node_id, text)
    home, _, rest = target.partition(".")
    return text if rest and home != public.PACKAGE else None


def finish(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Parameters on lines of their own are no list of definitions without terms."""
    if doctree is not None:
        context["body"] = PARAMETERS.sub(
            lambda match: f'<span class="parameters">{PARAMETER.sub(LINE, match[1])}</span>',
            context["body"],
        )


def add_foot(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Below a chapter: what it takes from the library, with links."""
    if doctree is None or not is_chapter(page):
        return
    known = app.env.get_domain("py").objects  # type: ignore[attr-defined]
    links = []
    for name in filter(known.__contains__, public.used(Path(app.env.doc2path(page)))):
        here, there = map(app.builder.get_target_uri, (page, known[name].docname))
        target = f"{relative_uri(here, there)}#{known[name].node_id}"
        short = name.partition(".")[2]
        links.append(f'<a href="{html.escape(target)}"><code>{html.escape(short)}</code></a>')
    if links:
        context["body"] += (
            f'<p class="library provenance">From the library: {", ".join(links)}.</p>\n'
        )


def setup(app: Sphinx) -> dict[str, bool]:
    for extension in ("autodoc", "napoleon", "linkcode"):
        app.setup_extension(f"sphinx.ext.{extension}")
    app.add_directive("api", Api)
    app.add_directive("rooms", Rooms)
    app.connect("config-inited", configure)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", words, priority=600)  # after napoleon
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-bases", bases)
    app.connect("missing-reference", resolve)
    app.connect("html-page-context", finish)
    app.connect("html-page-context", add_foot)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
