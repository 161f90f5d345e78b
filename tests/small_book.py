"""A book of two pages with our configuration, styles and tools, for tests of what is built."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from cvae_lib.frames import choice_of, frames

ROOT = Path(__file__).resolve().parent.parent
WIDGET = "application/vnd.jupyter.widget"
PREFACE = """# Preface

A kettle boils. [](second.ipynb) has more.
"""
COLUMNS = " | ".join(f"steeped in cup {i}" for i in range(12))
CHAPTER = r"""# Second thoughts

## Tea is a matter of time

Inline $\mathbb{E}_q[\log p(x \mid z)]$, and on its own:

$$\mathcal{L} = \operatorname{KL}(q \,\|\, p) + \tfrac12 \lVert x \rVert^2$$ (eq-second)

\begin{align} a &= b \\ c &= d \end{align}

```{figure} _static/words-to-pictures.png
:alt: A shoe
```

{numref}`fig-bars` moves. In code, `\alpha` stays as it is; {eq}`eq-second` is above.

| leaves | COLUMNS |
|---|RULES
| green | COLUMNS |

:::{admonition} Key idea
:class: important
Steep, then wait.
:::

## Check yourself

**1.** What is steeped?

<details class="answer" name="q"><summary>Tea</summary>

Right: it was steeped.
</details>
<details class="answer" name="q"><summary>Coffee</summary>

No: that was roasted.
</details>

## Exercises

```{exercise-start} How long?
:label: ex-boil
```
★★ · 5 minutes. Boil it.
```{exercise-end}
```

```{solution-start} ex-boil
:class: dropdown
```
It takes four minutes.
```{solution-end}
```

## Bars can be moved

A slider moves the bars of {numref}`fig-bars`. It has four places.
""".replace("RULES", "---|" * 12).replace("COLUMNS", COLUMNS)
LONG = "cups = [" + ", ".join(f"'cup {i}'" for i in range(60)) + "]"  # one line of code


def code(name: str, source: str, metadata: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """A code cell that put ``data`` out."""
    output = {"output_type": "display_data", "metadata": {}, "data": data}
    return {
        "cell_type": "code",
        "id": name,
        "source": source,
        "execution_count": 1,
        "metadata": metadata,
        "outputs": [output],
    }


def sliders() -> str:
    """HTML of a slider and a menu over a picture, as a chapter's kernel returns it."""

    def draw(bars: int, colour: str) -> Figure:
        figure, axis = plt.subplots(figsize=(2, 1))
        plt.close(figure)
        axis.bar(range(3), [1, bars, 2], color=colour)
        return figure

    count = ipywidgets.IntSlider(3, max=3, description="Bars")
    choices = {
        "bars": choice_of(count),
        "colour": choice_of(ipywidgets.Dropdown(options=["red", "blue"], description="Colour")),
    }
    return frames(draw, "Three bars.", choices)


def chapter(tag: str) -> str:
    """A notebook with equations; one code cell, tagged ``tag``, put a widget out, one is folded,
    one has sliders over a picture."""
    fold = {"tags": ["hide-input"], "mystnb": {"code_prompt_show": "Show the cups"}}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    state = {"state": {"1": {}}, "version_major": 2, "version_minor": 0}
    bars = {"figure": {"caption": "Bars.", "name": "fig-bars"}}
    widget = {f"{WIDGET}-view+json": {"model_id": "1"}, "text/plain": "a slider"}
    return json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": kernel, "widgets": {f"{WIDGET}-state+json": state}},
            "cells": [
                {"cell_type": "markdown", "id": "a", "metadata": {}, "source": CHAPTER},
                code("b", "slider", {"tags": [tag]}, widget),
                code("c", LONG, fold, {"text/plain": "sixty cups"}),
                code("d", "sliders", {"mystnb": bars}, {"text/html": sliders()}),
            ],
        }
    )


def write(folder: Path, tag: str = "remove-output", more: str = "") -> None:
    """The book's sources in ``folder``; ``more`` stands at the end of its first page."""
    config = (ROOT / "_config.yml").read_text("utf-8").replace("cache #", '"off" #', 1)
    assert '"off"' in config
    toc = "format: jb-book\nroot: book/index\nchapters: [{file: book/second}]\n"
    shutil.copytree(ROOT / "book" / "_static", folder / "book" / "_static", dirs_exist_ok=True)
    shutil.copytree(ROOT / "tools", folder / "tools", dirs_exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", folder)
    pages = {"index.md": PREFACE + more, "second.ipynb": chapter(tag), "references.bib": ""}
    for name, text in {"../_config.yml": config, "../_toc.yml": toc, **pages}.items():
        (folder / "book" / name).write_text(text, encoding="utf-8")


def build(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build the book in ``folder`` as `make book` does."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    call = "from jupyter_book.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", call, "build", ".", "-q", "-W", "-n", "--keep-going"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
    )


def need_packages() -> None:
    """Skip a test, or fail it, where the npm packages of the book cannot be had."""
    import vendor

    try:
        for package in vendor.packages():
            vendor.archive(package)
    except vendor.VendorError as error:
        unavailable(str(error))


def unavailable(reason: str) -> None:
    """Skip a test for want of something from outside; fail where CI must have it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
