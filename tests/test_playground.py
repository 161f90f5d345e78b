"""A page with both panels: it draws what PyTorch draws, obeys every control, runs nothing typed."""

import re
import shutil
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import browser_models
import pytest
import small_book
import torch
from torch import Tensor

from cvae_lib import pretrained
from cvae_lib.data import scenes
from cvae_lib.encoders import SemanticTextEncoder
from cvae_lib.text import garments_from_text

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PAGE = """# Playground

```{playground} garments
:linked:
:eager:
```

```{playground} scenes
:linked:
```
"""
GARMENTS, SCENES = '[data-panel="garments"]', '[data-panel="scenes"]'
TOLERANCE = 1e-3
PAYLOADS = [
    "<img src=x onerror=hit()> bag",
    "<script>hit()</script> bag",
    'bag"><svg onload=hit()>',
    "bag' onfocus='hit()' autofocus='",
    "javascript:hit() bag",
    "bag </figcaption><iframe srcdoc='<script>parent.hit()</script>'>",
    "{{constructor.constructor('hit()')()}} bag",
    "__proto__ constructor toString bag",
]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book with a page of both panels."""
    small_book.need_packages()
    small_book.write(folder := tmp_path_factory.mktemp("book"))
    (folder / "book" / "playground.md").write_text(PAGE, encoding="utf-8")
    toc = folder / "_toc.yml"
    toc.write_text(toc.read_text("utf-8").replace("}]", "}, {file: book/playground}]"))
    done = small_book.build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "_build" / "html"


@contextmanager
def opened(
    book: Path,
    browser: "Browser",
    hash: str = "",
    script: str = "",
) -> Iterator["Page"]:
    """The page from the disk, once its eager panel has drawn; no error may have been told."""
    errors: list[str] = []
    with browser.new_context(accept_downloads=True) as context, context.new_page() as page:
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        if script:
            page.add_init_script(script)
        page.goto(f"{(book / 'book' / 'playground.html').as_uri()}{hash}")
        if not script:
            page.wait_for_selector(f"{GARMENTS}[data-drawn]")
        yield page
    assert errors == []


@pytest.fixture(scope="module")
def page(book: Path, browser: "Browser") -> Iterator["Page"]:
    with opened(book, browser) as page:
        page.evaluate("async () => window.models = {garments: await playground.open('garments')}")
        page.fill(f"{SCENES} [name=text]", "a red circle")
        page.wait_for_selector(f"{SCENES}[data-drawn]")
        page.evaluate("async () => models.scenes = await playground.open('scenes')")
        yield page


def near(found: list[float], wanted: Tensor) -> None:
    assert float((torch.tensor(found) - wanted.flatten()).abs().max()) <= TOLERANCE


@torch.no_grad()
def test_garments_are_those_of_pytorch(page: "Page") -> None:
    model = pretrained.load_pretrained(browser_models.GARMENTS)
    z = torch.randn(20, model.latent_dim, generator=torch.Generator().manual_seed(3))
    labels = torch.arange(20) % 10
    hot = torch.nn.functional.one_hot(labels, 10).tolist()
    call = "async ([z, hot]) => Array.from(await playground.decode(models.garments, z, hot))"
    near(page.evaluate(call, [z.tolist(), hot]), model.decode(z, labels))


@torch.no_grad()
@pytest.mark.parametrize("shares", [{}, {"brightness": 0.1}, {"width": 0.8, "brightness": 0.9}])
def test_codes_follow_the_prior_given_what_adjectives_ask(
    shares: dict[str, float], page: "Page"
) -> None:
    """Without noise every code is the mean of a component; of those given attributes, too."""
    model, label = pretrained.load_pretrained(browser_models.GARMENTS), 3
    prior, place = model.prior, label
    if shares:
        fit = browser_models.regress(model, label, tuple(shares))
        goal = torch.stack([fit.measured[name].quantile(share) for name, share in shares.items()])
        prior, place = prior.given(label, fit.weight, goal - fit.offset, fit.noise), 0
    how = {"seed": 5, "temperature": 0, "far": {}}
    call = "([label, shares, how]) => playground.codes(models.garments, label, shares, 40, how)"
    found = torch.tensor(page.evaluate(call, [label, shares, how]))
    gaps = (found[:, None] - prior.mean[place][None]).abs().amax(2)
    assert float(gaps.amin(1).max()) <= 5e-3
    counts = gaps.argmin(1).bincount(minlength=gaps.shape[1]) / len(found)
    assert float((counts - prior.weight[place]).abs().max()) < 0.25


def texts() -> list[str]:
    """Captions of scenes, and what else is typed."""
    captions = [text for index in range(60) for text in scenes.draw_scene("test", index)[1]]
    return [*captions, "Two cat, a BALL!", "medium-sized; three-sided shape", "a red  circle."]


def test_words_of_scenes_are_those_of_the_encoder(page: "Page") -> None:
    encoder = SemanticTextEncoder()
    found = page.evaluate(
        """async (texts) => {
          const sums = [];
          for (const text of texts) {
            const rows = playground.readScene(models.scenes, text).words.flatMap((w) => w.rows);
            const ids = new ort.Tensor("int64", BigInt64Array.from(rows, BigInt), [1, rows.length]);
            const { words } = await models.scenes.embed.run({ rows: ids });
            sums.push([rows.length, ...words.data.slice(0, 256), ...words.data.slice(-256)]);
          }
          return sums;
        }""",
        all_texts := texts(),
    )
    for text, (length, *ends) in zip(all_texts, found, strict=True):
        words = encoder.words([text])[0]
        assert length == len(words), text
        near(ends, torch.cat([words[0], words[-1]]))


@torch.no_grad()
def test_scenes_are_those_of_pytorch(page: "Page") -> None:
    """At temperature 0 the layout chooses the same places; words and z give the same picture."""
    model, encoder = pretrained.load_pretrained(browser_models.SCENES), SemanticTextEncoder()
    for text in ["a red circle above a blue square", "a green star and a pink cross", texts()[4]]:
        words = encoder.words([text, text])
        completed = model.prior.layout.complete(words, temperature=0)
        noise = torch.randn(2, model.latent_dim, generator=torch.Generator().manual_seed(1))
        reading = model.prepare(completed)
        mean, logvar = model.prior.moments(reading)
        wanted = model.decode(mean + torch.exp(0.5 * logvar) * noise, reading)
        found = page.evaluate(
            """async ([text, noise]) => {
              const model = models.scenes;
              const rows = playground.readScene(model, text).words.flatMap((word) => word.rows);
              const choices = await playground.choosePlaces(model, rows, 2, null, 0);
              const told = choices.map((chosen) => rows.flatMap((row, i) =>
                chosen[i] ? [row, ...model.phraseRows[chosen[i] - 1]] : [row]));
              const pictures = await playground.drawTold(model, told, noise);
              return pictures.flatMap((picture) => [...picture]);
            }""",
            [text, noise.flatten().tolist()],
        )
        near(found, wanted)


def pixels(page: "Page", panel: str) -> list[str]:
    return page.eval_on_selector_all(f"{panel} canvas", "all => all.map(one => one.toDataURL())")


@contextmanager
def redrawn(page: "Page", panel: str) -> Iterator[None]:
    """The panel draws anew within the block, and something else."""
    before, count = pixels(page, panel), page.get_attribute(panel, "data-drawn")
    yield
    page.wait_for_function(
        "([panel, count]) => document.querySelector(panel).dataset.drawn !== count",
        arg=[panel, count],
    )
    page.wait_for_timeout(100)
    assert pixels(page, panel) != before


@pytest.mark.parametrize("panel", [GARMENTS, SCENES])
def test_every_control_redraws(panel: str, page: "Page") -> None:
    page.click(f"{panel} [data-action=reset]")
    page.wait_for_timeout(300)
    with redrawn(page, panel):
        page.fill(f"{panel} [name=text]", "a green star and a wide bag")
    for control in page.query_selector_all(f"{panel} input[type=range]"):
        if control.get_attribute("name") == "share":
            with redrawn(page, panel):
                page.select_option(f"{panel} [name=towards]", "7")
        with redrawn(page, panel):
            control.focus()
            page.keyboard.press("Home")
    with redrawn(page, panel):
        page.click(f"{panel} [data-action=reset]")
    with redrawn(page, panel):
        page.click(f"{panel} [data-action=again]")
    for example in reversed(page.query_selector_all(f"{panel} [data-text]")):
        with redrawn(page, panel):
            example.click()


def test_what_was_understood_is_told(page: "Page") -> None:
    page.fill(f"{GARMENTS} [name=text]", "two red ankle boots and bags")
    said = page.locator(f"{GARMENTS} [role=status]")
    page.wait_for_function(
        "() => document.querySelector('[role=status]').textContent.includes('red')"
    )
    assert said.inner_text().startswith("Drawn: 2 × Ankle boot, 6 × Bag. Ignored")
    page.fill(f"{GARMENTS} [name=text]", "a kettle")
    page.wait_for_function(
        "() => document.querySelector('[role=status]').textContent.includes('kettle')"
    )
    with pytest.raises(ValueError) as error:
        garments_from_text("a kettle")
    assert said.inner_text() == str(error.value)
    page.fill(f"{SCENES} [name=text]", "a crimson house over a zzgrmbl")
    page.wait_for_function(
        f"() => document.querySelector('{SCENES} [role=status]').textContent.includes('zz')"
    )
    told = page.locator(f"{SCENES} [role=status]").inner_text()
    assert "Left out, as no word of the list: zzgrmbl." in told
    assert told.endswith("so guessed from like words: house.")


def test_a_link_carries_the_state(book: Path, browser: "Browser", page: "Page") -> None:
    page.fill(f"{GARMENTS} [name=text]", "a dark bag & 2 coats")
    with redrawn(page, GARMENTS):
        page.fill(f"{GARMENTS} [name=seed]", "77")
    hash = page.evaluate("location.hash")
    assert {"seed=77", "text=a+dark+bag+%26+2+coats"} <= set(hash[1:].split("&"))
    with opened(book, browser, hash) as other:
        assert pixels(other, GARMENTS) == pixels(page, GARMENTS)


def test_pictures_are_saved(page: "Page", tmp_path: Path) -> None:
    with page.expect_download() as waiting:
        page.click(f"{GARMENTS} [data-action=save]")
    waiting.value.save_as(tmp_path / "saved.png")
    content = (tmp_path / "saved.png").read_bytes()
    assert content.startswith(b"\x89PNG") and min(struct.unpack(">II", content[16:24])) > 100
    assert zlib.crc32(content[12:29]) == struct.unpack(">I", content[29:33])[0]


def test_markup_is_text(book: Path, browser: "Browser") -> None:
    script = "window.hits = 0; window.hit = () => { hits++; }; 0"
    elements = f"document.querySelectorAll('{GARMENTS} *, {SCENES} *').length"
    kinds = (
        "[...new Set([...document.querySelectorAll('.playground *')].map((e) => e.tagName))].sort()"
    )
    with opened(book, browser) as page:
        page.evaluate(script)
        usual, count = page.evaluate(kinds), page.evaluate(elements)
        for panel in (GARMENTS, SCENES):
            for payload in PAYLOADS:
                page.fill(f"{panel} [name=text]", payload)
                page.wait_for_timeout(150)
        page.wait_for_selector(f"{SCENES}[data-drawn]")
        assert page.evaluate("hits") == 0
        assert set(page.evaluate(kinds)) <= {*usual, "CANVAS"}
        assert page.evaluate(elements) < count + 60
    for payload in PAYLOADS:
        with opened(book, browser, f"#text={payload}&seed={payload}", script) as page:
            page.wait_for_selector(f"{GARMENTS}[data-drawn]")
            assert page.evaluate("hits") == 0
            assert page.input_value(f"{GARMENTS} [name=seed]") == "0"


def test_a_browser_without_wasm_says_so(book: Path, browser: "Browser") -> None:
    with opened(book, browser, script="delete window.WebAssembly") as page:
        page.wait_for_function(
            "() => document.querySelector('[role=status]').textContent.includes('Web')"
        )
        said = page.locator(f"{GARMENTS} [role=status]").inner_text()
        assert said == "Drawn beforehand: this browser runs no WebAssembly."
        assert page.locator(f"{GARMENTS} .playground-pictures img").count() > 1
        assert all(
            page.eval_on_selector_all(".playground img", "all => all.map(i => i.naturalWidth)")
        )


def test_pages_stay_small(book: Path) -> None:
    """The playground at most 15 MB; every other page loads none of it."""
    static = book / "_static"
    folders = [static / "playground", static / "onnxruntime-web"]
    weight = sum(path.stat().st_size for folder in folders for path in folder.rglob("*.js"))
    assert weight + 1.5e6 < 15e6, weight
    assert "playground" not in re.sub(
        r'href="[^"]*"', "", (book / "book" / "second.html").read_text()
    )


def test_the_directive_names_what_is_wrong(tmp_path: Path) -> None:
    small_book.write(tmp_path)
    page = small_book.PREFACE + "\n```{playground} dogs\n```\n"
    (tmp_path / "book" / "index.md").write_text(page, encoding="utf-8")
    done = small_book.build(tmp_path, VENDOR="skip")
    assert done.returncode and "no playground 'dogs': choose one of garments, scenes" in done.stderr


def test_a_book_without_the_engine_says_so(tmp_path: Path) -> None:
    small_book.write(tmp_path)
    page = small_book.PREFACE + "\n```{playground} garments\n```\n"
    (tmp_path / "book" / "index.md").write_text(page, encoding="utf-8")
    done = small_book.build(tmp_path, VENDOR="skip")
    assert done.returncode == 0, done.stderr
    html = tmp_path / "_build" / "html"
    assert 'data-live="false"' in (html / "book" / "index.html").read_text("utf-8")
    assert not (html / "_static" / "onnxruntime-web").exists()
    assert shutil.rmtree(html) is None
