"""What is wrong with a page that is open in a browser: a line for each fault.

``drawn`` sees equations, pictures, icons; ``controls`` moves sliders and menus over a picture;
``by_keyboard`` the focus, the skip link and the folds;
``narrow`` a phone's screen and ``on_paper`` a printer's; ``accessible`` what axe-core (vendor.json)
finds serious, in the light and in the dark. What runs in the browser stands in check_page.js.
"""

from __future__ import annotations

import functools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import vendor

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

SCRIPT = Path(__file__).with_suffix(".js").read_text("utf-8")
WIDE, PHONE = (1280, 800), (390, 844)  # px
PAPER = (672, 986)  # A4 within the margins of print.css
# what opens by Enter, and the attribute that says so
FOLDS = {
    "details > summary": "e => e.parentElement.open",
    ".toggle-button": "e => e.ariaExpanded === 'true'",
    ".dropdown-toggle": "e => e.ariaExpanded === 'true'",
}
SKIP = ".skip-link a"
PIXELS = "image => checks.pixels(image)"


@functools.cache
def axe() -> str:
    """axe-core's script; VendorError if it cannot be had."""
    (package,) = (package for package in vendor.packages() if package.name == "axe-core")
    with tempfile.TemporaryDirectory() as folder:
        vendor.unpack(package, Path(folder), package.tools)
        return (Path(folder) / package.name / package.tools[0]).read_text("utf-8")


def drawn(page: Page) -> list[str]:
    """Equations, pictures and icons that are not drawn."""
    page.evaluate(SCRIPT)
    return page.evaluate("checks.look()")


def changed(image: Locator, before: str, seconds: float = 0.5) -> bool:
    """Whether a picture has other pixels than it had, now or before long."""
    end = time.monotonic() + seconds
    while (same := image.evaluate(PIXELS) == before) and time.monotonic() < end:
        image.page.wait_for_timeout(10)
    return not same


def controls(page: Page) -> list[str]:
    """Controls over a picture that do not change it, each moved by keyboard."""
    faults = []
    for box in page.locator(".frames").all():
        image = box.locator("img")
        for control in box.locator("input, select").all():
            before = image.evaluate(PIXELS)
            for key in ("ArrowUp", "ArrowDown"):  # it may stand at an end
                control.press(key)
                if changed(image, before):
                    break
            else:
                name = control.evaluate("control => control.labels[0]?.innerText")
                faults.append(f"a control does not change its picture: {name}")
    return faults


def by_keyboard(page: Page) -> list[str]:
    """What cannot be done, or seen, without a mouse."""
    faults = []
    page.keyboard.press("Tab")
    if not page.evaluate(f"document.activeElement.matches('{SKIP}')"):
        faults.append("keyboard: the first stop is no link that skips to the text")
    else:
        page.keyboard.press("Enter")
        if not page.evaluate("document.querySelector(':target')?.matches('main')"):
            faults.append("keyboard: the skip link does not lead to the text")
    for fold, is_open in FOLDS.items():
        first = page.locator(f"{fold} >> visible=true").first
        if not first.count():
            continue
        before = first.evaluate(is_open)
        first.focus()
        page.keyboard.press("Enter")
        page.wait_for_timeout(50)
        if first.evaluate(is_open) == before:
            faults.append(f"keyboard: Enter does not open {fold}")
        page.keyboard.press("Escape")
    page.evaluate("checks.unfold()")
    return faults + page.evaluate("checks.focus()")


def narrow(page: Page) -> list[str]:
    """What is too wide for a phone."""
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    faults = page.evaluate("checks.narrow()")
    page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
    return [f"on a phone: {fault}" for fault in faults]


def on_paper(page: Page) -> list[str]:
    """What is cut off where nothing scrolls."""
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER[0], "height": PAPER[1]})
    faults = page.evaluate("checks.paper()")
    page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
    page.emulate_media(media="screen")
    return [f"on paper: {fault}" for fault in faults]


def accessible(page: Page) -> list[str]:
    """What axe-core finds serious or critical, all folds open."""
    page.evaluate("checks.unfold()")
    page.evaluate("checks.slim()")
    page.evaluate(axe())
    faults = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
        found = page.evaluate("dark => checks.accessible(dark)", scheme == "dark")
        faults += [f"{scheme}: {fault}" for fault in found]
    page.emulate_media(color_scheme=None)
    return faults


LOOKS = (by_keyboard, narrow, on_paper, accessible)  # in this order: the first opens the folds
