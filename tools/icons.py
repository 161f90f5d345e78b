"""The icons of a built book: those of Font Awesome that its pages show, and no others.

The theme brings all 2,000: 1.5 MB of script that draws them in the browser, a style and fonts. One
small style with two tiny fonts inside it stands in their place; from the disk too, where a browser
may refuse to load a font from another folder.
"""

from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path

import pydata_sphinx_theme
from fontTools import subset
from fontTools.ttLib import TTFont

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
SCRIPT = re.compile(r"<script [^>]*vendor/fontawesome/[^>]*></script>\s*")
NAME = re.compile(r"\bfa(?:[brs]|-[a-z0-9-]+)\b")
CODE = re.compile(r"\\(f[0-9a-f]{3})\b|([\uf000-\uf8ff])")  # in a style: escaped, or itself
FONTS = (  # the end of the file's name; family and weight in a style
    ("solid-900", "Font Awesome 6 Free", 900),
    ("solid-900", "Font Awesome 5 Free", 900),  # what sphinx-book-theme calls it
    ("regular-400", "Font Awesome 6 Free", 400),
    ("brands-400", "Font Awesome 6 Brands", 400),
)


def small_font(path: Path, codes: set[int]) -> bytes | None:
    """The font with the glyphs of ``codes`` alone, as WOFF; None if it has none of them."""
    font = TTFont(path, recalcTimestamp=False)  # two builds are the same
    codes = codes & font.getBestCmap().keys()
    if not codes:
        return None
    subsetter = subset.Subsetter(subset.Options(layout_features=[], notdef_outline=False))
    subsetter.populate(unicodes=codes)
    subsetter.subset(font)
    font.flavor = "woff"
    font.save(file := BytesIO())
    return file.getvalue()


def face(family: str, weight: int, font: bytes) -> str:
    """The rule of a style that brings the font itself."""
    address = f"data:font/woff;base64,{base64.b64encode(font).decode()}"
    return (
        f'@font-face{{font-family:"{family}";font-weight:{weight};font-display:block;'
        f'src:url({address}) format("woff")}}'
    )


def codes_in(style: str) -> set[int]:
    """The icons that a style names by their numbers."""
    return {int(code or f"{ord(sign):x}", 16) for code, sign in CODE.findall(style)}


def small_style(style: str, fonts: Path, names: set[str], codes: set[int]) -> str:
    """Font Awesome's ``style`` for the classes ``names``, and for ``codes`` that other styles use;
    its fonts lie in the folder ``fonts``."""
    licence, _, style = style.partition("*/")
    kept = [licence + "*/"]
    still = re.sub(r"@(-webkit-)?keyframes .*?\}\}", "", style)
    for rule in re.findall(r"[^{}]+\{[^{}]*\}", still):
        selector = rule.partition("{")[0]
        classes = set(NAME.findall(selector))
        if not selector.startswith("@font-face") and (not classes or classes & names):
            kept.append(rule)
    codes = codes | codes_in("".join(kept))
    for name, family, weight in FONTS:
        if font := small_font(fonts / f"fa-{name}.ttf", codes):
            kept.append(face(family, weight, font))
    return "\n".join(kept)


def thin(site: Path) -> None:
    """Leave of Font Awesome in a built book what its pages, scripts and styles name."""
    (folder,) = THEME.glob("vendor/fontawesome/*")
    static = site / "_static"
    own = static / folder.relative_to(THEME)
    names: set[str] = set()
    codes: set[int] = set()
    for path in [*site.rglob("*.html"), *static.rglob("*.js"), *static.rglob("*.css")]:
        if own in path.parents:
            continue
        if path.suffix == ".css":
            codes |= codes_in(path.read_text("utf-8"))
        else:
            names.update(NAME.findall(path.read_text("utf-8")))
    style = (folder / "css" / "all.min.css").read_text("utf-8")
    small = small_style(style, folder / "webfonts", names, codes)
    (own / "css" / "all.min.css").write_text(small, encoding="utf-8")
    for path in [*own.glob("js/*"), *own.glob("webfonts/*")]:
        path.unlink()
