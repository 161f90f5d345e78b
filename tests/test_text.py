"""Prompts to labels: synonyms, spellings, what must not match; texts to sentences and words."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_lib.data.scenes import draw_scene, scene_words
from cvae_lib.text import (
    MAX_TEXT,
    NOT_GARMENTS,
    SYNONYMS,
    has_word,
    known_words,
    labels_from_text,
    split_sentences,
    unknown_words,
)

NAMES = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip
WORDS = [(word, label) for label, words in enumerate(SYNONYMS.values()) for word in words]
PLURAL_ONLY = {
    "pants", "jeans", "slacks", "chinos", "leggings", "sweatpants", "joggers", "khakis",
    "corduroys", "culottes", "dress pants", "dress slacks", "boot-cut jeans", "boot-cut pants",
}  # fmt: skip


def english_plural(word: str) -> str:
    """A second opinion, written from the endings that the table has."""
    if word in PLURAL_ONLY:
        return word
    for ending in ("dress", "clutch", "mackintosh"):
        if word.endswith(ending):
            return word + "es"
    return word + "s"


def test_classes_and_their_order() -> None:
    assert list(SYNONYMS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_class_has_eight_synonyms_or_more(name: str) -> None:
    assert len(SYNONYMS[name]) >= 8


def test_no_synonym_stands_twice_however_it_is_spelled() -> None:
    keys = [re.sub("[ -]", "", word) for word, _ in WORDS]
    assert sorted(keys) == sorted(set(keys))
    assert not set(keys) & {re.sub("[ -]", "", phrase) for phrase in NOT_GARMENTS}


def test_synonyms_are_lower_case_phrases() -> None:
    assert all(re.fullmatch("[a-z]+([ -][a-z]+)*", word) for word, _ in WORDS)


@pytest.mark.parametrize(("word", "label"), WORDS)
def test_every_synonym_and_its_plural(word: str, label: int) -> None:
    assert labels_from_text(word) == [label]
    assert labels_from_text(english_plural(word)) == [label]
    assert labels_from_text(f"A pair of {english_plural(word).upper()}!") == [label]


@pytest.mark.parametrize("joint", [" ", "-", "", "\u2011", "\u2013", "\n", "\u00a0"])
def test_joints_are_interchangeable(joint: str) -> None:
    for word, label in WORDS:
        assert labels_from_text("my " + re.sub("[ -]", joint, word)) == [label], word


def test_known_words() -> None:
    words = known_words()
    assert words == sorted(word for word, _ in WORDS)
    assert {"t-shirt", "hoodie", "handbag", "ankle boot"} <= set(words)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("two hoodies and a handbag", [2, 8]),
        ("a dress and another dress", [3, 3]),
        ("a bag, then trousers", [8, 1]),
        ("pairs of pants", [1]),
        ("dresses, clutches, booties; jerseys", [3, 8, 9, 2]),
        ("T‑shirt", [0]),
        ("t shirt", [0]),
        ("TSHIRTS", [0]),
        ("ｔ－ｓｈｉｒｔ", [0]),
        ("t\u00adshirt", [0]),
        ("a tee, a tee shirt and a t-shirt", [0, 0, 0]),
        ("“dress”", [3]),
        ("'t-shirt'", [0]),
        ("the dress's hem", [3]),
        ("men’s shirts", [6]),
        ("red_dress.png", [3]),
        ("❤️dress", [3]),
        ("red\u200bdress", [3]),
        ("ankle\n  boot", [9]),
        ("ankle boots", [9]),
        ("dress shirt", [6]),
        ("shirt dress", [3]),
        ("shirtdress", [3]),
        ("sweater dress", [3]),
        ("T-shirt dress", [3]),
        ("coat dress and dress coat", [3, 4]),
        ("boot bag", [8]),
        ("boot-cut jeans", [1]),
        ("sweat shirt", [2]),
        ("top coat", [4]),
        ("back packs, ruck sacks, brief cases", [8, 8, 8]),
        ("an under shirt, a turtle neck, a wind breaker", [0, 2, 4]),
        ("high-top sneakers", [7]),
        ("high heel boots", [9]),
        ("button-down shirt", [6]),
        ("flip flops", [5]),
        ("a denim jacket over a polo shirt with slacks", [4, 6, 1]),
        ("a dress, shirt", [3, 6]),
        ("a dress - shirt", [3, 6]),
        ("no dress", [3]),
        ("一件 dress", [3]),
        ("a dress on top of a coat", [3, 4]),
        ("a top-quality coat", [4]),
        ("a top hat and a tank top", [0]),
    ],
)
def test_sentences(text: str, labels: list[int]) -> None:
    assert labels_from_text(text) == labels


@pytest.mark.parametrize(
    "text",
    [
        "a fast car", "laptop", "stop", "dressed", "address", "coated", "bagel", "shirtless",
        "reboot", "boots2", "émdress", "dressé", "dre\u0301ss", "shirt\u0301", "платьеdress",
        "dress一件", "連衣裙", "👗", "123", "top hat", "coat rack", "...",
        "\ud800", "\x00",
    ],
)  # fmt: skip
def test_no_garment(text: str) -> None:
    with pytest.raises(ValueError, match=r"no garment word in .*; known words include: ankle boot"):
        labels_from_text(text)


def test_the_t_of_cant_is_no_t_shirt() -> None:
    assert labels_from_text("we can't shirt") == [6]
    assert labels_from_text("we can’t shirt") == [6]


def test_error_names_the_text_and_one_word_per_class() -> None:
    with pytest.raises(ValueError, match="no garment word in 'a fast car'; known words") as error:
        labels_from_text("a fast car")
    named = str(error.value).split("include: ")[1].split(", ")
    assert named == sorted(named)
    assert sorted(labels_from_text(", ".join(named))) == list(range(10))


def test_error_shortens_a_long_text() -> None:
    with pytest.raises(ValueError) as error:
        labels_from_text("\n" * 5 + "car " * 1000)
    assert re.match(r"no garment word in '(\\n){5}(car )+ca?r?\.\.\.'; known", str(error.value))
    assert str(error.value).count("car") < 20


@pytest.mark.parametrize("text", ["", " ", "\n\t \u00a0", "\u200b"])
def test_empty(text: str) -> None:
    with pytest.raises(ValueError, match="is empty"):
        labels_from_text(text)


@pytest.mark.parametrize("text", [None, 3, b"dress", ["dress"]])
def test_not_a_text(text: object) -> None:
    with pytest.raises(TypeError, match=f"{type(text).__name__} .*; want a str"):
        labels_from_text(text)  # type: ignore[arg-type]


def test_too_long() -> None:
    assert labels_from_text("dress".rjust(MAX_TEXT)) == [3]
    with pytest.raises(ValueError, match="10001 characters; want at most 10000"):
        labels_from_text("dress".rjust(MAX_TEXT + 1))


@pytest.mark.parametrize(
    "unit", ["t-", "dress", "boot cut ", "top ", "- ", "ﷺ", "high heel ankle "]
)
def test_long_texts_end(unit: str) -> None:
    text = (unit * MAX_TEXT)[: MAX_TEXT - 6] + " dress"
    assert labels_from_text(text)[-1] == 3


@given(st.text(max_size=200))
def test_any_text_gives_labels_or_a_value_error(text: str) -> None:
    try:
        labels = labels_from_text(text)
    except ValueError:
        return
    assert labels and all(label in range(10) for label in labels)


OTHERS = ["a", "the", "red", "of", "photo,", "two", "old!", "(silk)", "7", "über", "红", "and"]
UNRELATED = st.lists(st.sampled_from(OTHERS))


@settings(max_examples=200)
@given(st.sampled_from(WORDS), UNRELATED, UNRELATED, st.booleans(), st.booleans())
def test_a_synonym_is_found_among_unrelated_words(
    pair: tuple[str, int], before: list[str], after: list[str], many: bool, loud: bool
) -> None:
    word, label = pair
    word = english_plural(word) if many else word
    text = " ".join([*before, word.upper() if loud else word, *after])
    assert labels_from_text(text) == [label]


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8))
def test_labels_come_in_the_order_of_the_text(pairs: list[tuple[str, int]]) -> None:
    text = "; ".join(word for word, _ in pairs)
    assert labels_from_text(text) == [label for _, label in pairs]


# Sentences: "|" marks where one ends and the next begins.
@pytest.mark.parametrize(
    "marked",
    [
        "One sentence without a stop",
        "A red circle! |A blue square! |Is it? |Yes",
        "a red circle. |the background is grey. |no more",
        "Mr. Smith owns 3.5 dogs. |Dr. Jones met Mrs. Jones. |It is windy.",
        "In the U.S. Army. |From the U.S. |The flag of the U.S. hangs in St. Ives. |It is red.",
        "At 5 p.m. Saturday. |At 5 p.m. |They left at 6 a.m. and slept.",
        "J. R. R. Tolkien and J.K. Rowling wrote. |A Ph.D. student reads.",
        "Tea, milk, etc. and more etc. |It ends. |Smith Jr. Street, Main St. corner.",
        "It is 3.5 m long. |It costs $1,000.50. |Version 2.0.1 is out.",
        "Wait... what is that? |A kite! |He left... |She stayed.",
        "Really?! |Yes!!! |Well . . . |So",
        "“I see a dog.” |“So do I!” said she. |He asked “why?” and left.",
        "红圆。|蓝方！|好吗？|“是。”|「行け！？」|終わり。 |A dog｡|B",
        "wrapped\nlines are one. |And\ttwo\n\n|a new paragraph\r\n\r\n|another\n \n|last",
        "... Hello. !!! |World. ???",
        "...",
        "🐕. 🐈.",
        "A dog 🐕. |A cat 🐈!",
        "U.S\u2028.\n\n|U.S.\u00a0army\x85. |\ud800 cat",  # sentencex alone panics
    ],
)
def test_split_sentences(marked: str) -> None:
    expected = [" ".join(sentence.split()) for sentence in marked.split("|")]
    assert split_sentences(marked.replace("|", "")) == expected


@pytest.mark.parametrize("text", ["", " ", "\n\n \t\u00a0"])
def test_white_space_has_no_sentence(text: str) -> None:
    assert split_sentences(text) == []


PARTS = [
    "a", "The", "dog", "Mr", "e.g", "U.S", "3", "3.5", ".", "...", "…", "!", "?", "。", "！", "”",
    "(", "“", ")", "」", ",", " ", " ", " ", "\n", "\n\n", "\u00a0", "\ud800",
]  # fmt: skip
texts = st.one_of(
    st.text(st.characters(), max_size=60), st.lists(st.sampled_from(PARTS)).map("".join)
)


@settings(max_examples=300)
@given(texts)
def test_sentences_lose_nothing_and_have_words(text: str) -> None:
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(sentence == " ".join(sentence.split()) != "" for sentence in sentences)
    assert len(sentences) <= 1 or all(map(has_word, sentences))


@pytest.mark.parametrize("unit", ["a.", ". ", "。", "A. ", ".”", "\n", "(", "… a "])
def test_long_texts_are_split_soon(unit: str) -> None:
    text = unit * 50_000
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


# Words


@pytest.mark.parametrize("text", ["a", "3", "红", "é", "²", "ｔ", "👍 x", "&nbsp;", "\x1b[31m"])
def test_a_letter_or_digit_is_a_word(text: str) -> None:
    assert has_word(text)


@pytest.mark.parametrize("text", ["", " ", "👍", "...", "\u200b", "_", "\x00", "\u0301", "\ufc5e"])
def test_marks_are_no_word(text: str) -> None:
    assert not has_word(text)


def test_unknown_words_come_once_and_in_order() -> None:
    known = {"a", "red", "circle"}
    assert unknown_words("A RÉD circle!", known) == []
    assert unknown_words("红色圆圈", known) == ["红色圆圈"]
    assert unknown_words("two red dogs, a dog, two cats", known) == ["two", "dogs", "dog", "cats"]
    assert unknown_words("👍 ...", known) == []


def test_the_words_of_scenes_are_those_of_their_captions() -> None:
    known = scene_words()
    said = [caption.text for i in range(1500) for caption in draw_scene("train", i)[1]]
    assert unknown_words(" ".join(said), known) == []
    assert unknown_words(" ".join(known), unknown_words(" ".join(said), ())) == []
