"""Prompts as people write them: how many of what, and how it should look."""

from __future__ import annotations

import itertools
import json
import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvae_lib.data import FASHION_CLASSES
from cvae_lib.grammar import MAX_COUNT, offered
from cvae_lib.text import MAX_TEXT, SYNONYMS, garments_from_text

TABLE = json.loads(files("cvae_lib").joinpath("garments.json").read_text("utf-8"))
SHORT = ("tee", "trousers", "hoodie", "dress", "coat", "sandals", "shirt", "shoes", "bag", "boots")


def told(text: str) -> str:
    """What the parser reads, as "COUNT ADJECTIVES CLASS !IGNORED; …", "*" for as many as liked."""
    return "; ".join(
        " ".join(
            [str(g.count or "*"), *g.adjectives, SHORT[g.label], *(f"!{w}" for w in g.ignored)]
        )
        for g in garments_from_text(text)
    )


def test_the_tables() -> None:
    adjectives, numbers = TABLE["adjectives"], TABLE["numbers"]
    words = [w for about in adjectives.values() for w in about["words"]] + TABLE["ignored"]
    assert len(words) == len(set(words)) and not set(words) & set(TABLE["not_adjectives"])
    lists = [*TABLE["words"].values(), TABLE["no_counts"], list(numbers), words]
    listed = list(itertools.chain(*lists))
    assert len(listed) == len(set(listed)), "a word has one meaning"
    assert all(re.fullmatch("[a-z]+( [a-z]+)*", word) for word in [*words, *numbers])
    assert set(numbers.values()) == set(range(1, MAX_COUNT + 1))
    for about in adjectives.values():
        assert set(about["not_for"]) < set(SYNONYMS)
        of_class = TABLE["shares"][about["attribute"]][about["side"]]
        assert set(of_class) <= set(SYNONYMS) and all(0 < share < 1 for share in of_class.values())
    assert set(TABLE["pairs"]) < set(FASHION_CLASSES)


COUNTS = r"""
two hoodies and a handbag = 2 hoodie; 1 bag
2 hoodies, 1 bag = 2 hoodie; 1 bag
hoodies and a bag = * hoodie; 1 bag
a hoodie; an anorak. One dress! = 1 hoodie; 1 coat; 1 dress
hoodie = 1 hoodie
dress = 1 dress
dresses = * dress
jeans = * trousers
my trousers, the boots and some shirts = * trousers; * boots; * shirt
the shoe, her coat, any bag = 1 shoes; 1 coat; 1 bag
a pair of trousers = 1 trousers
pair of boots = 1 boots
a pair of shoes, a pair of sandals = 1 shoes; 1 sandals
pairs of shoes = * shoes
two pairs of boots = 2 boots
12 pairs of jeans = 12 trousers
a couple of pairs of slacks = 2 trousers
another pair of sneakers = 1 shoes
a pair of dresses = 2 dress
a pair of bags and three pairs of shirts = 2 bag; 6 shirt
three pair of boots = 3 boots
a couple of shirts = 2 shirt
a couple shirts, couple of bags = 2 shirt; 2 bag
a few boots and few bags = 3 boots; 3 bag
several coats = 4 coat
half a dozen sandals = 6 sandals
half-a-dozen sandals, half dozen tees, a half dozen bags = 6 sandals; 6 tee; 6 bag
a dozen T-shirts = 12 tee
I would like a dozen or so bags = 12 bag
a trio of dresses, a quartet of coats = 3 dress; 4 coat
three, four = no garment
three or four shirts = 4 shirt
2-3 hoodies = 3 hoodie
2–3 hoodies = 3 hoodie
between five and seven bags = 7 bag
five to seven bags = 7 bag
both bags = 2 bag
all three bags = 3 bag
another two shirts = 2 shirt
the two shirts and my 3 coats = 2 shirt; 3 coat
two of the shirts = 2 shirt
at least two bags, up to four coats = 2 bag; 4 coat
eleven PAIRS OF SHOES = 11 shoes
TWO HOODIES AND TWELVE BAGS = 2 hoodie; 12 bag
２ hoodies, ３ bags = 2 hoodie; 3 bag
٣ bags = 3 bag
007 bags, 2️⃣ coats = 7 bag; 2 coat
2 x hoodies, 3x bags, 1× coat = 2 hoodie; 3 bag; 1 coat
hoodies x2, bags ×3, coat * 4 = 2 hoodie; 3 bag; 4 coat
hoodies (2), bag (1), boots (two) = 2 hoodie; 1 bag; 2 boots
Hoodies: 2, bags: 3 = 2 hoodie; 3 bag
hoodies 2, bags 3 = 2 hoodie; 3 bag
**2** bags and *3* _dark_ coats = 2 bag; 3 dark coat
(2) bags, (3) coats = 2 bag; 3 coat
two (2) shirts = 2 shirt
two men's shirts, a tall man's coat = 2 shirt; 1 coat
- 3 bags\n- 2 shirts = 3 bag; 2 shirt
• three bags\n• a shirt = 3 bag; 1 shirt
1. two hoodies\n2. a bag = 2 hoodie; 1 bag
1) hoodie 2) bag = 1 hoodie; 1 bag
2 shirts&3 bags+1 coat = 2 shirt; 3 bag; 1 coat
four tees two bags = 4 tee; 2 bag
two men with bags = * bag
two women wearing dresses = * dress
two people and bags = * bag
a photo of two bags = 2 bag
a stack of shirts, lots of bags = * shirt; * bag
a two-tone dress, a one-shoulder dress = 1 dress; 1 dress
a size 12 boot and a 2020 dress = 1 boots; 1 dress
a six-pack of bags = * bag
1950s dresses = * dress
a $20 bag = 1 bag
two shirts and bags = 2 shirt; * bag
no bags, no dress = * bag; 1 dress
a hoodie hoodie hoodie = 1 hoodie; 1 hoodie; 1 hoodie
"""

ADJECTIVES = """
two dark hoodies and a wide bag = 2 dark hoodie; 1 wide bag
TWO DARK HOODIES, “WIDE” BAGS = 2 dark hoodie; * wide bag
a black shirt, white jeans, a grey coat = 1 dark shirt; * bright trousers; 1 grey coat
two very dark, wide leather bags = 2 dark wide bag
a dark and narrow pair of trousers = 1 dark narrow trousers
a pair of dark boots = 1 dark boots
three pairs of very slim, pale jeans = 3 narrow bright trousers
dark shirts and bright trousers = * dark shirt; * bright trousers
dark bag, dark coat, dark dress = 1 dark bag; 1 dark coat; 1 dark dress
two dark shirts and bags = 2 dark shirt; * bag
dark-coloured, wide-cut trousers = * dark wide trousers
dark–coloured, wide‑cut trousers = * dark wide trousers
slim-fit, dark-toned jeans = * narrow dark trousers
three-dark-bags = 3 dark bag
dark-and-wide bags, dark/wide bags = * dark wide bag; * dark wide bag
an extra-wide bag, a jet-black boot, an off-white tee = 1 wide bag; 1 dark boots; 1 bright tee
the smallest, darkest bag = 1 dark bag !smallest
darker coats, wider bags, slimmer dresses = * dark coat; * wide bag; * narrow dress
a darkish coat and a lighter one, a bag = 1 dark coat; 1 bag
a warm, dark, long coat made of wool = 1 dark long coat
a little black dress = 1 dark dress !little
dark boots on a white background = * dark boots
a white background with dark boots = * dark boots
a photograph of well-worn black leather boots = * dark boots
a man in dark glasses with bags = * bag
coats, hats and dark gloves = * coat
the man's dark coats = * dark coat
dark gloves and coats; dark gloves, coats = * coat; * coat
the dark side of the coat = 1 coat
a dark photo of bags = * bag
It was dark. Bags lay around. = * bag
a bag that is dark = 1 dark bag
bags which are very dark and very wide = * dark wide bag
the boots are dark, tall = * dark tall boots
the bag is dark and the boots are tall = 1 dark bag; * tall boots
The dress should be dark and the shirt bright = 1 dark dress; 1 bright shirt
a coat, dark and long = 1 dark long coat
a coat, dark and long, and a bag = 1 dark long coat; 1 bag
a coat dark and long = 1 dark long coat
a shirt, dark, and trousers, bright = 1 dark shirt; * bright trousers
shirts that are dark, bright trousers = * dark shirt; * bright trousers
shirts that are dark and bright trousers = * dark shirt; * bright trousers
shirts that are dark and trousers = * dark shirt; * trousers
the coat—dark—and boots = 1 dark coat; * boots
Three handbags — dark, wide — plus bright shoes! = 3 dark wide bag; * bright shoes
hoodies (dark), bags (bright) = * dark hoodie; * bright bag
hoodies: dark; bags: bright = * dark hoodie; * bright bag
a bag in black and a shirt in light grey = 1 dark bag; 1 bright shirt
a bag. It is dark. = 1 dark bag
a coat, but make it dark = 1 dark coat
3 bags, all dark = 3 dark bag
bags, dark ones = * dark bag
a bag as dark as night = 1 dark bag
a bag darker than the boots = 1 dark bag; * boots
a coat, dark sky, a bag = 1 coat; 1 bag
a bag for dark nights = 1 bag
a bag on a dark table = 1 bag
a bag that is not dark = 1 bag
a shirt with white sleeves = 1 shirt
two hoodies, one dark and one bright = 2 hoodie
a model wearing a wide coat and narrow trousers = 1 wide coat; * narrow trousers
a light dress, a lightweight dress = 1 bright dress; 1 dress
a light-weight coat, a light weight coat = 1 coat; 1 coat
a short dress and a long coat = 1 short dress; 1 long coat
a short-sleeved shirt = 1 shirt !short sleeved
a long sleeved dark shirt = 1 dark shirt !long sleeved
a long bag, short shoes = 1 bag !long; * shoes !short
tall boots, knee-high boots, low shoes = * tall boots; * tall boots; * low shoes
a high-waisted dress, a black tie dress = 1 dress; 1 dress
long-lasting, short-lived, white-collar shirts = * shirt
a red dress, dark green shoes = 1 dress !red; * dark shoes !green
a bag that is red = 1 bag !red
a dark red, striped, dark shirt = 1 dark shirt !red !striped
a black and white shirt = 1 shirt !black !white
black & white sneakers = * shoes !black !white
a dark grey coat, a light grey coat = 1 dark coat; 1 bright coat
a wide grey coat, a black and white wide coat = 1 wide grey coat; 1 wide coat !black !white
white and blue sneakers = * bright shoes !blue
a bag-like thing and a shirt = 1 shirt
a shirt-and-trousers set; a coat-like dress = 1 shirt; * trousers; 1 dress
a bag—boots—a dress = 1 bag; * boots; 1 dress
"""


def prompts(block: str) -> list[list[str]]:
    return [line.replace(r"\n", "\n").split(" = ") for line in block.strip().split("\n")]


@pytest.mark.parametrize(("text", "expected"), prompts(COUNTS))
def test_counts(text: str, expected: str) -> None:
    if expected == "no garment":
        with pytest.raises(ValueError, match="no garment word"):
            garments_from_text(text)
    else:
        assert told(text) == expected


@pytest.mark.parametrize(("text", "expected"), prompts(ADJECTIVES))
def test_adjectives(text: str, expected: str) -> None:
    assert told(text) == expected


@pytest.mark.parametrize(
    "number",
    [
        "0", "13", "100", "-3", "2.5", "2,5", "1,000", "99999999999", "zero", "thirteen", "twenty",
        "twenty-one", "hundreds", "one hundred", "thousand and one", "dozens", "two dozen",
        "minus three", "−3",
    ],
)  # fmt: skip
def test_other_numbers_are_named(number: str) -> None:
    shown = re.escape(repr(number.replace("−", "-")))
    for text in (f"{number} bags", f"a coat and {number} dark bags", f"{number} of the bags"):
        with pytest.raises(
            ValueError, match=f"cannot draw {shown} of a garment: want a whole number from 1 to 12"
        ):
            garments_from_text(text)


def test_a_number_that_pairs_make_too_large_is_named() -> None:
    with pytest.raises(ValueError, match="cannot draw '14'"):
        garments_from_text("seven pairs of bags")
    with pytest.raises(ValueError, match=f"'{40 * '9'}' of"):
        garments_from_text(f"{5000 * '9'} bags")


@pytest.mark.parametrize("name", TABLE["adjectives"])
def test_every_word_of_an_adjective(name: str) -> None:
    about = TABLE["adjectives"][name]
    for word, joint in itertools.product(about["words"], " -"):
        for label, noun in enumerate(SHORT):
            (garment,) = garments_from_text(f"the {word.replace(' ', joint).upper()} {noun}")
            can = offered(name, list(SYNONYMS)[label])
            read = garment.adjectives, garment.ignored
            assert read == (((name,), ()) if can else ((), (word,))), word


@pytest.mark.parametrize(
    "unit",
    [
        "two ", "dark, ", "is ", "it is dark and ", "one-", "twenty-", "two two-", "( ", "x 2 ",
        "- ", ": 1", "a pair of ", "wide-", "1-", "1.1", "as dark as a ", "of the ", "dark dark-x ",
    ],
)  # fmt: skip
def test_long_texts_are_read_soon(unit: str) -> None:
    room = MAX_TEXT // 2 - 8
    many = (unit * room)[:room]
    try:
        found = garments_from_text(f"a bag {many} a bag {many}")
    except ValueError as error:
        assert "cannot draw" in str(error) and len(str(error)) < 120
    else:
        assert len(found) == 2


PARTS = [
    "two",
    "dark",
    "red",
    "bags",
    "coat",
    "a",
    "pair",
    "of",
    "that",
    "is",
    "and",
    ",",
    "-",
    "3",
]


@given(st.lists(st.sampled_from(PARTS)).map(" ".join))
def test_any_order_of_words_is_read_or_refused(text: str) -> None:
    try:
        garments = garments_from_text(text)
    except ValueError:
        return
    assert [g.label for g in garments] == [
        {"bags": 8, "coat": 4}[w] for w in text.split() if w in ("bags", "coat")
    ]
    assert all(g.count in (None, *range(1, MAX_COUNT + 1)) for g in garments)
    assert all({*g.adjectives} <= {"dark"} and {*g.ignored} <= {"red"} for g in garments)
