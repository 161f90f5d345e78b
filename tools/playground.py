"""Sphinx extension: panels that draw from text in the reader's own browser.

    ```{playground} garments
    :linked:
    :eager:
    ```

A panel of "garments" or "scenes" has a text field, what was understood, and pictures: drawn
beforehand by PyTorch until it is touched, then by the same model in onnxruntime-web. ``linked``
gives it every slider and keeps its state in the page's address, for one panel of each kind;
``eager`` loads the engine with the page, for one panel of it. ``examples`` are texts to try,
separated by semicolons; ``each`` shows beforehand what each of them gives, and not the first alone.
"""

from __future__ import annotations

import html
from collections.abc import Collection
from pathlib import Path
from typing import Any

import browser_models
import vendor
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from cvae_lib import grammar
from cvae_lib.data import FASHION_CLASSES, shapes
from cvae_lib.encoders import SemanticTextEncoder

RUNTIME = "onnxruntime-web"
SCRIPT = "dist/ort.wasm.min.js"
ENGINE = {"wasm": "dist/ort-wasm-simd-threaded.wasm", "glue": "dist/ort-wasm-simd-threaded.mjs"}
EXAMPLES = {
    "garments": "two ankle boots and a bag; dark hoodies; a narrow bright dress, three sandals",
    "scenes": "a red circle above a blue square; a small green star in the top left; "
    "an orange ring and a black cross on a pale blue background",
}
DIRECTIONS = {  # of the code: what a slider is called, and its ends
    "brightness": ("Brightness", "darker", "brighter"),
    "width": ("Width", "narrower", "wider"),
    "shading": ("Shading", "darker above", "darker below"),
}
NAMES = {"garments": "Garments", "scenes": "Scenes"}


def button(label: str, **data: str) -> str:
    about = "".join(f' data-{name}="{html.escape(value)}"' for name, value in data.items())
    return f'<button type="button"{about}>{html.escape(label)}</button>'


def slider(
    kind: str, name: str, words: tuple[str, str, str], span: tuple[float, float, float]
) -> str:
    """A labelled range: ``words`` are what it is called, its left end and its right one."""
    low, high, value = span
    field = f"{kind}-{name}"
    label = f'{words[0]} <output for="{field}">{value:g}</output>'
    return (
        f'<div class="playground-slider"><label for="{field}">{label}</label>'
        f'<input type="range" id="{field}" name="{name}" min="{low:g}" max="{high:g}" step="0.1" '
        f'value="{value:g}"><span>{words[1]}</span><span>{words[2]}</span></div>'
    )


def sliders(kind: str) -> str:
    """The controls of a linked panel below its text."""
    shown = [slider(kind, "temperature", ("Temperature", "0: typical", "wild"), (0, 1.5, 1))]
    if kind == "garments":
        for name, words in DIRECTIONS.items():
            shown.append(slider(kind, name, words, (-2, 2, 0)))
        classes = "".join(
            f'<option value="{label}">{html.escape(name)}</option>'
            for label, name in enumerate(FASHION_CLASSES)
        )
        shown.append(
            f'<div class="playground-slider"><label for="{kind}-towards">Blend with</label>'
            f'<select id="{kind}-towards" name="towards"><option value="">nothing</option>{classes}'
            "</select></div>"
        )
        shown.append(slider(kind, "share", ("Its share", "none", "all"), (0, 1, 0.5)))
    return f"<details open><summary>Sliders</summary>{''.join(shown)}</details>"


def known(kind: str) -> str:
    """The words that a panel's network was trained with, or most of them."""
    if kind == "garments":
        names = [name.partition("/")[0] for name in FASHION_CLASSES]
        things = ", ".join(name if name == "T-shirt" else name.lower() for name in names)
        adjectives = ", ".join(grammar.TABLE["adjectives"])
        return (
            f"{things}, and other names of these; {adjectives}; numbers up to {grammar.MAX_COUNT}"
        )
    groups = (shapes.SHAPES, shapes.COLOURS, shapes.RELATIONS)
    return "; ".join(", ".join(group) for group in groups) + "; places such as “in the top left”"


def size(kind: str) -> str:
    """What a panel's network weighs, told where its page loads it."""
    weight = f"The network weighs {len(browser_models.asset(kind)) / 1e6:.1f} MB"
    if kind == "scenes":
        count = len(browser_models.vocabulary(SemanticTextEncoder()))
        return f" {weight}, the vectors of {count:,} words among them."
    return f" {weight}."


def figures(kind: str, text: str) -> str:
    """What a text gives, drawn beforehand."""
    made = ""
    for caption, pictures in browser_models.beforehand(kind, text):
        told = html.escape(caption)
        images = "".join(
            f'<img alt="{told}" src="data:image/png;base64,{one}">' for one in pictures
        )
        made += f'<figure><div class="playground-row" role="img" aria-label="{told}">{images}</div>'
        made += f"<figcaption>{told}</figcaption></figure>"
    return made


def panel(kind: str, examples: list[str], flags: Collection[str], page: str) -> str:
    """The HTML of a panel; ``page`` is the address of the playground from here, "" on it."""
    linked, eager = "linked" in flags, "eager" in flags
    shown = examples if "each" in flags else examples[:1]
    name, first = f"{kind}-text", examples[0]
    tries = "".join(button(text, text=text) for text in examples)
    more = [button("Draw others", action="again")]
    seed = '<input type="hidden" name="seed" value="0">'
    if linked:
        seed = (
            f'<label class="playground-seed" for="{kind}-seed">Seed '
            f'<input type="number" id="{kind}-seed" name="seed" value="0" min="0" max="9999">'
            "</label>"
        )
        more += [
            button("Start over", action="reset"),
            button("Copy link", action="link"),
            button("Save picture", action="save"),
        ]
    leads = (
        f'<a class="playground-open" href="{html.escape(page)}">More controls in the playground</a>'
        if page
        else ""
    )
    drawn = "Examples" if len(shown) > 1 else "An example"
    waiting = f"{drawn}, drawn in advance. Type, and the network draws yours."
    told = size(kind) if linked and not vendor.skipped() else ""
    live = "false" if vendor.skipped() else "true"
    return f"""
<section class="playground" aria-label="{NAMES[kind]} from text" data-panel="{kind}"
 data-live="{live}" data-linked="{str(linked).lower()}" data-eager="{str(eager).lower()}">
<form autocomplete="off">
<div class="playground-text"><label for="{name}">Draw</label>
<input type="text" id="{name}" name="text" value="{html.escape(first)}" maxlength="300"
 spellcheck="false">
</div>
<p class="playground-tries"><span>Try</span> {tries}</p>
<p class="playground-knows">It knows {html.escape(known(kind))}.{told}</p>
<p class="playground-said" role="status">{waiting}</p>
<div class="playground-pictures">{"".join(figures(kind, text) for text in shown)}</div>
<p class="playground-took"></p>
{sliders(kind) if linked else ""}
<p class="playground-actions">{seed} {"".join(more)} {leads}</p>
</form>
</section>
"""


class Playground(SphinxDirective):
    """The directive ``playground``."""

    required_arguments = 1
    option_spec = {  # noqa: RUF012
        "linked": directives.flag,
        "eager": directives.flag,
        "each": directives.flag,
        "examples": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        if (kind := self.arguments[0]) not in EXAMPLES:
            raise self.error(f"no playground {kind!r}: choose one of {', '.join(EXAMPLES)}")
        for code in (__file__, str(browser_models.__file__)):
            self.env.note_dependency(code)  # a page is written anew when they change
        texts = self.options.get("examples", EXAMPLES[kind]).split(";")
        about = self.env.metadata[self.env.docname]
        kinds = about.setdefault("playground", [])
        kinds.append(kind)
        eager = kind if "eager" in self.options else ""
        about["playground_eager"] = about.get("playground_eager") or eager
        page = "" if "linked" in self.options else "playground.html"
        made = panel(kind, [text.strip() for text in texts], self.options, page)
        return [nodes.raw("", made, format="html")]


def add_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Only pages with a panel load its script and style."""
    about = app.env.metadata.get(page, {})
    if about.get("playground"):
        eager = {} if vendor.skipped() else {"data-eager": about["playground_eager"]}
        app.add_js_file("playground/panel.js", loading_method="async", **eager)
        app.add_css_file("playground/playground.css")


def bring(app: Sphinx, error: Exception | None) -> None:
    """Put the engine and the models that pages ask for into _static."""
    kinds = {kind for about in app.env.metadata.values() for kind in about.get("playground", [])}
    if error or not kinds or app.builder.format != "html" or vendor.skipped():
        return
    static = Path(app.outdir) / "_static"
    try:
        files = vendor.read(vendor.package(RUNTIME))
    except vendor.VendorError as wrong:
        raise ExtensionError(str(wrong)) from wrong
    script = static / RUNTIME / SCRIPT
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_bytes(files[SCRIPT])
    assets = static / "playground" / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    engine = {part: files[path] for part, path in ENGINE.items()}
    (assets / "runtime.js").write_bytes(browser_models.script("runtime", engine))
    for kind in kinds:
        (assets / f"{kind}.js").write_bytes(browser_models.asset(kind))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("playground", Playground)
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", bring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
