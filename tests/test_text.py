"""Prompts to labels: synonyms, spellings, what must not match; texts to sentences and words."""

import json
import re
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_lib.data import FASHION_CLASSES
from cvae_lib.data.scenes import draw_scene, scene_words
from cvae_lib.text import (
    MAX_TEXT,
    SYNONYMS,
    has_word,
    labels_from_text,
    split_sentences,
    unknown_words,
)

GARMENTS = json.loads(files("cvae_lib").joinpath("garments.json").read_text("utf-8"))
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


def joined(phrase: str, joint: str = "") -> str:
    return re.sub("[ -]", joint, phrase)


def test_the_table() -> None:
    assert list(GARMENTS["classes"]) == list(SYNONYMS) == list(FASHION_CLASSES)
    assert min(map(len, SYNONYMS.values())) >= 8
    assert all(re.fullmatch("[a-z]+([ -][a-z]+)*", word) for word, _ in WORDS)


def test_no_phrase_stands_twice_however_it_is_spelled() -> None:
    words = [word for word, _ in WORDS]
    keys = [joined(phrase) for phrase in [*words, *GARMENTS["not_garments"]]]
    assert len(keys) == len(set(keys))
    assert {joined(phrase) for phrase in GARMENTS["written_as_two"]} <= set(words)


@pytest.mark.parametrize("label", range(10), ids=FASHION_CLASSES)
def test_every_synonym_and_its_plural(label: int) -> None:
    for word in SYNONYMS[FASHION_CLASSES[label]]:
        many = english_plural(word)
        for text in (word, many, f"A pair of {many.upper()}!"):
            assert labels_from_text(text) == [label], text


@pytest.mark.parametrize("phrase", GARMENTS["not_garments"])
def test_what_only_looks_like_a_garment(phrase: str) -> None:
    assert labels_from_text(f"a bag, {phrase} and {joined(phrase)}") == [8]


@pytest.mark.parametrize("joint", [" ", "-", "", "\u2011", "\u2013", "\n", "\u00a0"])
def test_joints_are_interchangeable(joint: str) -> None:
    for word, label in WORDS:
        assert labels_from_text("my " + joined(word, joint)) == [label], word


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("two hoodies and a handbag", [2, 8]),
        ("a dress and another dress", [3, 3]),
        ("dresses, clutches, booties; jerseys", [3, 8, 9, 2]),
        ("a tee, a tee shirt and a t-shirt", [0, 0, 0]),
        ("T‑shirt, t shirt, TSHIRTS, ｔ－ｓｈｉｒｔ, t\u00adshirt, 't-shirt'", 6 * [0]),
        ("“dress”, the dress's hem, red_dress.png, ❤️dress, red\u200bdress", 5 * [3]),
        ("men’s shirts", [6]),
        ("we can't shirt, we can’t shirt", [6, 6]),  # their t is not that of a t-shirt
        ("ankle\n  boot, ankle boots", [9, 9]),
        ("dress shirt, shirt dress, shirtdress, sweater dress", [6, 3, 3, 3]),
        ("coat dress and dress coat", [3, 4]),
        ("boot bag, boot-cut jeans", [8, 1]),
        ("sweat shirt, top coat", [2, 4]),
        ("back packs, ruck sacks, brief cases", [8, 8, 8]),
        ("an under shirt, a turtle neck, a wind breaker", [0, 2, 4]),
        ("high-top sneakers, high heel boots, flip flops", [7, 9, 5]),
        ("a denim jacket over a polo shirt with slacks", [4, 6, 1]),
        ("a dress, shirt; a dress - shirt", [3, 6, 3, 6]),
        ("no dress", [3]),
        ("一件 dress", [3]),
        ("a dress on top of a coat", [3, 4]),
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
        "\ud800", "\x00", "", " ", "\n\t \u00a0", "\u200b",
    ],
)  # fmt: skip
def test_no_garment(text: str) -> None:
    with pytest.raises(ValueError, match=r"no garment word in .*; known words include: ankle boot"):
        labels_from_text(text)


def test_the_error_shortens_a_long_text_and_names_one_word_of_each_class() -> None:
    with pytest.raises(ValueError) as error:
        labels_from_text("\n" * 5 + "car " * 1000)
    assert re.match(r"no garment word in '(\\n){5}(car )+ca?r?\.\.\.'; known", str(error.value))
    named = str(error.value).split("include: ")[1].split(", ")
    assert named == sorted(named)
    assert sorted(labels_from_text(", ".join(named))) == list(range(10))


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
NAMED = st.tuples(
    st.lists(st.sampled_from(OTHERS)), st.sampled_from(WORDS), st.booleans(), st.booleans()
)


@settings(max_examples=200)
@given(st.lists(NAMED, min_size=1, max_size=8))
def test_synonyms_are_found_among_other_words_in_their_order(named: list) -> None:
    text = ""
    for others, (word, _), many, loud in named:
        word = english_plural(word) if many else word
        text += f"{' '.join(others)} {word.upper() if loud else word}; "
    assert labels_from_text(text) == [label for _, (_, label), _, _ in named]


# Sentences: "|" marks where one ends and the next begins.
@pytest.mark.parametrize(
    "marked",
    [
        "One sentence without a stop",
        "A red circle! |A blue square! |Is it? |Yes",
        "Mr. Smith owns 3.5 dogs. |Dr. Jones met Mrs. Jones. |It is windy.",
        "In the U.S. Army. |From the U.S. |The flag of the U.S. hangs in St. Ives. |It is red.",
        "J. R. R. Tolkien and J.K. Rowling wrote. |A Ph.D. student reads.",
        "It is 3.5 m long. |It costs $1,000.50. |Version 2.0.1 is out.",
        "Wait... what is that? |A kite! |He left... |She stayed.",
        "“I see a dog.” |“So do I!” said she. |He asked “why?” and left.",
        "红圆。|蓝方！|好吗？|“是。”|「行け！？」|終わり。 |A dog｡|B",
        "wrapped\nlines are one. |And\ttwo\n\n|a new paragraph\r\n\r\n|another\n \n|last",
        "... Hello. !!! |World. ???",
        "🐕. 🐈.",
        "A dog 🐕. |A cat 🐈!",
        "U.S\u2028.\n\n|U.S.\u00a0army\x85. |\ud800 cat",  # sentencex alone panics
    ],
)
def test_split_sentences(marked: str) -> None:
    expected = [" ".join(sentence.split()) for sentence in marked.split("|")]
    assert split_sentences(marked.replace("|", "")) == expected


def test_white_space_has_no_sentence() -> None:
    assert split_sentences("") == split_sentences("\n\n \t\u00a0") == []


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


@pytest.mark.parametrize("unit", ["a.", ". ", "。", "A. ", ".”", "\n", "("])
def test_long_texts_are_split_soon(unit: str) -> None:
    assert "".join("".join(split_sentences(unit * 50_000)).split()) == unit.strip() * 50_000


# Words


def test_a_letter_or_digit_is_a_word_and_marks_are_none() -> None:
    assert all(map(has_word, ["a", "3", "红", "é", "²", "ｔ", "👍 x", "&nbsp;", "\x1b[31m"]))
    marks = ["", " ", "👍", "...", "\u200b", "_", "\x00", "\u0301", "\ufc5e"]
    assert not any(map(has_word, marks))


def test_unknown_words_come_once_and_in_order() -> None:
    known = {"a", "red", "circle"}
    assert unknown_words("A RÉD circle!", known) == []
    assert unknown_words("红色圆圈", known) == ["红色圆圈"]
    assert unknown_words("two red dogs, a dog, two cats", known) == ["two", "dogs", "dog", "cats"]
    assert unknown_words("👍 ...", known) == []


def test_the_words_of_scenes_are_those_of_their_captions() -> None:
    known = scene_words()
    said = [caption for i in range(1500) for caption in draw_scene("train", i)[1]]
    assert unknown_words(" ".join(said), known) == []
    assert unknown_words(" ".join(known), unknown_words(" ".join(said), ())) == []
