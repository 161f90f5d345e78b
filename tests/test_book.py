"""Every chapter has the parts of a chapter, and its figures, terms and references hold together.

Fast and static: nothing is executed. Each message names the chapter and the cell.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chapter_times
import pytest

ROOT = Path(__file__).resolve().parent.parent
PATHS = sorted((ROOT / "book").glob("[0-9]*.ipynb"))
WITH_WIDGET = {"01", "03", "05", "06", "08", "10"}

PARTS = [  # in this order
    r"^# \S.*$",
    r"^:::\{admonition\} Before you start\n:class: tip$",
    r"^## Recap$",
    r"^## Check yourself\n\nOpen the answer you would give\.$",
    r"^## Exercises$",
    r"^## References$",
]
OPTION = re.compile(
    r'<details class="answer" name="(?P<name>[^"]*)"><summary>(?P<option>[^\n]*)</summary>\n\n'
    r"(?P<explanation>.*?)\n\n</details>",
    re.S,
)
ROLE = re.compile(r"\{([a-z:]+)\}`([^`]+)`")


class Chapter:
    """A chapter's cells, and messages that say where in it something is wrong."""

    def __init__(self, path: Path) -> None:
        self.path, self.number = path, path.stem[:2]
        self.cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for cell in self.cells:
            cell["source"] = "".join(cell["source"])

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [cell for cell in self.cells if cell["cell_type"] == kind]

    @property
    def text(self) -> str:
        """All Markdown cells."""
        return "\n\n".join(cell["source"] for cell in self.of_type("markdown"))

    def section(self, title: str) -> str:
        """The Markdown from "## title" to the next title."""
        _, _, rest = self.text.partition(f"\n## {title}\n")
        return rest.partition("\n## ")[0]

    def where(self, cell: dict[str, Any] | str) -> str:
        """The chapter, and the cell, or that which holds a piece of its Markdown."""
        if isinstance(cell, str):
            holders = [c for c in self.of_type("markdown") if cell in c["source"]]
            cell = holders[0] if holders else {"id": "?"}
        return f"{self.path.name}, cell {cell['id']}"

    def roles(self, *names: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(target, cell) of each role with one of these names, such as {numref}`…`."""
        for cell in self.of_type("markdown"):
            for name, content in ROLE.findall(cell["source"]):
                if name in names:
                    explicit = re.fullmatch(r".*<([^>]*)>", content, re.S)
                    yield " ".join((explicit[1] if explicit else content).split()), cell


@functools.cache
def chapters() -> tuple[Chapter, ...]:
    return tuple(Chapter(path) for path in PATHS)


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def chapter(request: pytest.FixtureRequest) -> Chapter:
    return next(one for one in chapters() if one.path == request.param)


# --- the parts -------------------------------------------------------------------------------


def test_the_parts_stand_in_their_order(chapter: Chapter) -> None:
    place = 0
    for part in PARTS:
        found = [match.start() for match in re.finditer(part, chapter.text, re.M)]
        assert len(found) == 1, f"{chapter.path.name} has {len(found)} times {part!r}"
        assert found[0] >= place, f"{chapter.path.name}: {part!r} stands too early"
        place = found[0]
    key_ideas = re.findall(r"^:::\{admonition\} Key idea\n:class: important$", chapter.text, re.M)
    assert len(key_ideas) == 1, f"{chapter.path.name} has {len(key_ideas)} key-idea boxes"


def test_the_first_box_says_what_a_reader_must_know(chapter: Chapter) -> None:
    _, _, box = chapter.text.partition(":::{admonition} Before you start\n")
    box = box.partition("\n:::")[0]
    where = f"{chapter.path.name}, the first box"
    order = [box.find(f"**{name}**") for name in ("You will learn", "You need", "Time", "In Colab")]
    assert -1 not in order and order == sorted(order), f"{where} lacks a part, or their order"
    learn = re.findall(r"^- \S", box[order[0] : order[1]], re.M)
    assert 3 <= len(learn) <= 5, f"{where} promises {len(learn)} things to learn, not 3 to 5"
    time = re.search(r"^\*\*Time\*\* \d+ minutes to read; code: (.*)$", box, re.M)
    assert time, f"{where} has no line '**Time** NN minutes to read; code: …'"
    expected = chapter_times.code_time(chapter.path.stem, chapter_times.kept())
    assert time[1] == expected, f"{where}: `python tools/chapter_times.py` writes the time"


def test_cells_carry_the_chapters_number_and_the_second_sets_up(chapter: Chapter) -> None:
    wrong = [c["id"] for c in chapter.cells if not c["id"].startswith(f"{chapter.number}-")]
    assert not wrong, f"{chapter.path.name}: {wrong} do not begin with {chapter.number}-"
    setup = chapter.of_type("code")[0]
    assert setup["id"] == f"{chapter.number}-setup", chapter.where(setup)
    assert setup["source"].startswith('import sys\n\nif "google.colab" in sys.modules:'), (
        f"{chapter.where(setup)} does not begin by installing the library in Colab"
    )


def folded(cell: dict[str, Any]) -> bool:
    return "hide-input" in cell["metadata"].get("tags", [])


def test_visible_code_teaches_and_the_rest_is_folded(chapter: Chapter) -> None:
    for cell in chapter.of_type("code"):
        lines = cell["source"].splitlines()
        if folded(cell):
            prompt = cell["metadata"].get("mystnb", {}).get("code_prompt_show", "")
            assert prompt.startswith("Show "), f"{chapter.where(cell)}: what does the fold hide?"
        else:
            assert len(lines) <= 25, f"{chapter.where(cell)} has {len(lines)} lines in view"
            assert max(map(len, lines)) <= 79, f"{chapter.where(cell)} is wider than the page"
    assert folded(chapter.of_type("code")[0]), f"{chapter.path.name}: fold the setup"


def test_exercises_rise_from_one_star_and_say_how_long_they_take(chapter: Chapter) -> None:
    stars = re.findall(r"^(★+) · \d+ minutes\. ", chapter.section("Exercises"), re.MULTILINE)
    assert len(stars) >= 5 and stars[0] == "★" and max(map(len, stars)) == 3, stars


def test_a_chapter_can_be_read_in_one_sitting(chapter: Chapter) -> None:
    """Without what is folded, and without the sections that may be skipped."""
    count, deeper = 0, False
    for cell in chapter.cells:
        if heading := re.search(r"^## (.*)", cell["source"], re.MULTILINE):
            deeper = heading[1].startswith("Deeper: ")
        if deeper or folded(cell):
            continue
        story, check, _ = cell["source"].partition("## Check yourself")
        count += sum(any(c.isalnum() for c in word) for word in story.split())
        if check:
            break
    assert 1_500 <= count <= 3_300, f"{chapter.path.name} has {count} words up to its questions"


def test_the_table_of_contents_counts_up() -> None:
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    numbers = re.findall(r"file: book/(\d\d)_", toc)
    assert numbers == sorted({chapter.number for chapter in chapters()})
    titles = Counter(re.findall(r"^# (.*)$", chapter.text, re.M)[0] for chapter in chapters())
    assert max(titles.values()) == 1, f"a title stands twice: {titles.most_common(1)}"


def page_alt(cell: dict[str, Any]) -> str:
    """The alt text of the pictures that a page has for an ``explore``; none without pictures."""
    for call in filter(
        lambda node: isinstance(node, ast.Call), ast.walk(ast.parse(cell["source"]))
    ):
        if ast.unparse(call.func) == "explore":
            return next((k.value.value for k in call.keywords if k.arg == "alt"), "")
    return ""


def test_a_widget_is_a_figure_of_pictures_or_is_followed_by_one(chapter: Chapter) -> None:
    widgets = [
        cell
        for cell in chapter.of_type("code")
        if re.search(r"^(explore|prompt_box)\(", cell["source"], re.M)
    ]
    if chapter.number in WITH_WIDGET:
        assert widgets, f"{chapter.path.name} has no cell that calls explore or prompt_box"
    for cell in widgets:
        removed = "remove-output" in cell["metadata"].get("tags", [])
        if page_alt(cell):
            assert not removed, f"{chapter.where(cell)} has pictures for a page; show them"
            assert cell in figures(chapter).values(), f"{chapter.where(cell)}: name the figure"
            continue
        assert removed, f"{chapter.where(cell)} lacks an alt text or the tag remove-output"
        following = chapter.cells[chapter.cells.index(cell) + 1 :][:2]
        assert any("figure" in c["metadata"].get("mystnb", {}) for c in following), (
            f"{chapter.where(cell)}: no figure follows, and static pages show no widget"
        )


# --- questions and exercises -----------------------------------------------------------------


def test_questions_have_options_that_explain_themselves(chapter: Chapter) -> None:
    section = chapter.section("Check yourself")
    questions = re.split(r"^\*\*(\d)\.\*\* ", section, flags=re.M)[1:]
    numbers, bodies = questions[::2], questions[1::2]
    assert 3 <= len(bodies) <= 5, f"{chapter.path.name} asks {len(bodies)} questions, not 3 to 5"
    assert numbers == [str(k) for k in range(1, len(bodies) + 1)], f"{chapter.path.name}: {numbers}"
    places = set()
    for k, body in zip(numbers, bodies, strict=True):
        where = f"{chapter.where(body.partition(chr(10))[0])}, question {k}"
        options = list(OPTION.finditer(body))
        assert len(options) == body.count("<details") == body.count("<summary"), (
            f"{where}: an option is not written like the others (mind the empty lines)"
        )
        assert 3 <= len(options) <= 4, f"{where} has {len(options)} options, not 3 or 4"
        assert {o["name"] for o in options} == {f"{chapter.number}-q{k}"}, f"{where}: names differ"
        assert len({o["option"] for o in options}) == len(options), f"{where}: an option twice"
        for option in options:
            assert not re.search(r"[$`<>]|\*\*|\{\w+\}", option["option"]), (
                f"{where}: {option['option']!r} is HTML, where Markdown and maths mean nothing"
            )
            assert re.match(r"(Right|No): \S", option["explanation"]), (
                f"{where}: {option['explanation'][:40]!r} begins neither 'Right: ' nor 'No: '"
            )
            assert len(option["explanation"]) >= 40, f"{where}: explain {option['option']!r}"
        right = [i for i, o in enumerate(options) if o["explanation"].startswith("Right:")]
        assert len(right) == 1, f"{where} has {len(right)} right options"
        places.add(right[0])
    assert len(places) > 1, f"{chapter.path.name}: the right option is always number {places}"


def statements(cell: dict[str, Any]) -> list[ast.stmt]:
    """What a code cell executes, magic commands left out."""
    return ast.parse(re.sub(r"^(\s*)%.*", r"\1pass", cell["source"], flags=re.M)).body


GATE = re.compile(r"^```\{((?:exercise|solution)-(?:start|end))\}(.*)\n((?::.*\n)*)```$", re.M)


def gates(chapter: Chapter) -> Iterator[str]:
    """The kind and the label of each gate; "code" for each code cell with content."""
    for cell in chapter.cells:
        where = chapter.where(cell)
        if cell["cell_type"] == "code":
            yield from ["code"] * bool(statements(cell))
            continue
        found = list(GATE.finditer(cell["source"]))
        fences = len(re.findall(r"^```\{(?:exercise|solution)", cell["source"], re.M))
        assert len(found) == fences, f"{where}: a gate is not closed"
        for kind, argument, options in (match.groups() for match in found):
            label = "".join(re.findall(r"^:label: (\S+)$", options, re.M))
            if kind == "exercise-start":
                assert argument.strip(), f"{where}: an exercise without a title"
            if kind == "solution-start":
                assert ":class: dropdown" in options, f"{where} does not fold"
                exercise = argument.strip()
                assert label == exercise.replace("ex-", "sol-", 1), (
                    f"{where}: the solution of {exercise} has another label"
                )
                label = exercise
            yield f"{kind} {label}".strip()


def test_exercises_have_executed_solutions(chapter: Chapter) -> None:
    flow = " ".join(gates(chapter))
    count = flow.count("exercise-start")
    assert 3 <= count <= 8, f"{chapter.path.name} has {count} exercises, not 3 to 8"
    for k in range(1, count + 1):
        label = f"ex-{chapter.number}-{k}"
        task = rf"exercise-start {label}( code)* exercise-end"
        one = rf"{task} solution-start {label}( code)+ solution-end"
        assert re.search(one, flow), (
            f"{chapter.path.name}: {label} and its solution with code are not in order: {flow}"
        )
    assert "## Exercises" in chapter.text.partition("```{exercise-start}")[0], chapter.path.name


# --- figures, equations, terms ---------------------------------------------------------------


def figures(chapter: Chapter) -> dict[str, dict[str, Any]]:
    """The cells with a figure, by its name."""
    found: dict[str, dict[str, Any]] = {}
    for cell in chapter.of_type("code"):
        figure = cell["metadata"].get("mystnb", {}).get("figure")
        if figure is not None:
            name = str(figure.get("name", ""))
            assert name not in found, f"{chapter.where(cell)}: {name!r} stands twice"
            found[name] = cell
    return found


def shows_figure(cell: dict[str, Any]) -> bool:
    """Whether a cell ends in a figure: by name, or by a call that makes one."""
    last = [ast.unparse(statement) for statement in statements(cell)][-1:]
    return any(re.match(r"fig\w*$|([\w.]+\.)?(plot|draw)\w*\(", line) for line in last)


def test_figures_have_name_caption_and_alt_text(chapter: Chapter) -> None:
    named = figures(chapter)
    for name, cell in named.items():
        where, shown = chapter.where(cell), cell["metadata"]["mystnb"]
        assert name.startswith(f"fig-{chapter.number}-"), f"{where}: the name {name!r}"
        assert len(shown["figure"].get("caption", "")) >= 20, f"{where}: caption"
        alt = page_alt(cell) or shown.get("image", {}).get("alt", "")
        assert len(alt) >= 40, f"{where}: alt text that says what is seen, not {alt!r}"
        assert alt != shown["figure"]["caption"], f"{where}: alt text and caption are the same"
    for cell in chapter.of_type("code"):
        if shows_figure(cell):
            assert cell in named.values(), f"{chapter.where(cell)} shows a figure without a name"


def test_figures_are_referred_to_and_references_lead_somewhere(chapter: Chapter) -> None:
    everywhere = "\n".join(other.text for other in chapters())
    equations = re.findall(r"^\$\$ \((eq-[^)]+)\)", everywhere, re.M)
    gated = re.findall(r"^:label: (\S+)$", everywhere, re.M)
    named = [name for other in chapters() for name in figures(other)]
    twice = [n for n, count in Counter(equations + gated + named).items() if count > 1]
    assert not twice, f"labels that stand twice in the book: {twice}"
    absent = "|".join(sorted({f"{n:02}" for n in range(100)} - {c.number for c in chapters()}))
    for target, cell in chapter.roles("numref", "eq", "ref"):
        if not re.match(rf"[a-z]+-({absent})-", target):
            assert target in {*equations, *gated, *named}, f"{chapter.where(cell)}: {target}"
    used = {target for other in chapters() for target, _ in other.roles("numref")}
    for name, cell in figures(chapter).items():
        assert name in used, f"{chapter.where(cell)}: no text refers to {{numref}}`{name}`"


def glossary() -> dict[str, str]:
    """The terms and what they mean."""
    text = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    block = re.search(r"^:::\{glossary\}\n(.*?)^:::$", text, re.M | re.S)
    assert block
    entries = re.findall(r"^(\S.*)\n((?:[ ]+\S.*\n)+)", block[1], re.M)
    assert len({term.casefold() for term, _ in entries}) == len(entries), "a term stands twice"
    return dict(entries)


def test_the_glossary_is_sorted_and_says_something() -> None:
    terms = glossary()
    names = [re.sub("é", "e", term.casefold()) for term in terms]
    assert names == sorted(names)
    assert len(terms) >= 30
    for term, meaning in terms.items():
        assert len(meaning.strip()) >= 30 and meaning.strip()[-1] in ".$:)", term


def test_terms_are_linked_once_each(chapter: Chapter) -> None:
    known = {term.casefold() for term in glossary()}
    used = [(target.casefold(), cell) for target, cell in chapter.roles("term")]
    for target, cell in used:
        assert target in known, f"{chapter.where(cell)}: {target!r} stands in no glossary"
    twice = [term for term, count in Counter(term for term, _ in used).items() if count > 1]
    assert not twice, f"{chapter.path.name} links {twice} more than once: only the first use"
    assert len(used) >= 5, f"{chapter.path.name} links {len(used)} terms, not 5 or more"
