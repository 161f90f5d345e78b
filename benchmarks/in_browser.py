"""How fast is the playground of a built book, and how heavy are its pages?

    make book && python benchmarks/in_browser.py            # prints a table
    make book && python benchmarks/in_browser.py --record   # and keeps it in cvae_lib/records

In Chromium without a network, on an idle machine: the first picture after a page is asked for,
sixteen garments, four scenes of an open sentence; medians of 5, each in a fresh browser context.
What the page loads is counted over http.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import arms

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tools"))
from browser import chromium, served  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Request

BUILD = ROOT / "_build" / "html"
PAGE = "book/playground.html"
TIMES = 5
ARMS = {"http": "from a server on this machine", "file": "from the disk"}
TEXTS = {
    "garments": ["eight bags and eight coats", "eight dark boots and eight wide bags"],
    "scenes": ["a red circle and a green star", "a blue ring and a black cross"],
}
EXPERIMENTS = {
    "playground": arms.Experiment(
        "The playground",
        "Milliseconds in Chromium, on one thread, without a network: until the first picture after "
        "[the page](playground.md) is asked for, for sixteen garments, and for four scenes of a "
        f"sentence that leaves places open; medians of {TIMES}. MB: all that the page loads.",
        {
            "first picture": "first",
            "16 garments": "garments",
            "4 scenes": "scenes",
            "MB": "megabytes",
        },
        ARMS,
        flags="--record",
    ),
}
# How long a panel takes for a text, once it is drawn; the second of two, when all is warm.
DRAW = """async ([kind, texts]) => {
  const model = await playground.open(kind);
  let took;
  for (const text of texts) {
    const start = performance.now();
    if (kind === "garments")
      await playground.drawGarments(model, playground.rules(model.rules)(text));
    else await playground.drawScenes(model, text, { count: 4 });
    took = performance.now() - start;
  }
  return took;
}"""


def weight(request: Request) -> int:
    """Bytes of what a server sent."""
    return request.sizes()["responseBodySize"] if request.url.startswith("http") else 0


def look(browser: Browser, base: str) -> dict[str, float]:
    """One opening of the page, all times in milliseconds."""
    with browser.new_context() as context, context.new_page() as page:
        sizes: list[int] = []
        page.on("requestfinished", lambda request: sizes.append(weight(request)))
        page.goto(f"{base}/{PAGE}")
        page.wait_for_selector('[data-panel="garments"][data-drawn]')
        found: dict[str, float] = {"first": page.evaluate("firstDrawn")}
        page.fill('[data-panel="scenes"] [name=text]', TEXTS["scenes"][0])
        page.wait_for_selector('[data-panel="scenes"][data-drawn]')
        for kind, texts in TEXTS.items():
            found[kind] = page.evaluate(DRAW, [kind, texts])
        return {**found, "megabytes": sum(sizes) / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="keep what was measured")
    given = parser.parse_args()
    start = time.perf_counter()
    results: dict[str, Any] = {}
    with chromium() as browser, served(BUILD) as address:
        for arm, base in {"http": address, "file": BUILD.as_uri()}.items():
            looks = [look(browser, base) for _ in range(TIMES)]
            results[arm] = {k: statistics.median(one[k] for one in looks) for k in looks[0]}
            if arm == "file":  # a browser tells no sizes of files
                del results[arm]["megabytes"]
            print(arm, {key: round(value, 1) for key, value in results[arm].items()}, flush=True)
    if given.record:
        for arm, metrics in results.items():
            seconds = time.perf_counter() - start
            run = {"arm": arm, "metrics": metrics, "seconds": seconds, **arms.origin()}
            arms.write_run("playground", arm, run)


if __name__ == "__main__":
    main()
