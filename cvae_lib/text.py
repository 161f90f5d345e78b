"""Prompts to garments, their counts and adjectives, and to pictures; texts to sentences, words."""

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Generator, Tensor

from cvae_lib import grammar
from cvae_lib.checks import whole_number
from cvae_lib.grammar import APART, JOINT, LETTER, TABLE

MAX_TEXT = 10_000  # characters of one prompt

# Lower-case singulars (plural-only words as they are) by class, in label order. A hyphen or space
# stands for hyphen, space or nothing. The head of an English compound comes last: compounds whose
# first word is another garment are listed under their head, so that a shirt dress is a dress.
SYNONYMS: dict[str, list[str]] = TABLE["classes"]
_WORDS = {word: label for label, words in enumerate(SYNONYMS.values()) for word in words}


def _forms(phrase: str) -> tuple[str, str]:
    """A phrase and its English plural; plural-only words (jeans) stay as they are."""
    if phrase.endswith(("ss", "ch", "sh", "x")):
        return phrase, phrase + "es"
    return phrase, phrase if phrase.endswith("s") else phrase + "s"


# By form its label, None where it only looks like a garment ("top hat"); then by what spellings
# share. Known words come last: "over coat", which the pattern needs, leads to "overcoat".
_PHRASES = [*TABLE["not_garments"], *TABLE["written_as_two"], *_WORDS]
_FORMS = {form: _WORDS.get(phrase) for phrase in _PHRASES for form in _forms(phrase)}
LABELS = {JOINT.sub("", form): label for form, label in _FORMS.items()}
# Longest phrase first; no unbounded repeat, so it runs in linear time. "can't" holds no t-shirt.
NOUN = re.compile(
    rf"(?<!{LETTER})(?<!{LETTER}')(?:"
    + "|".join(JOINT.sub("[ -]?", form) for form in sorted(_FORMS, key=len, reverse=True))
    + rf"){APART}"
)

# Typography to ASCII: quotes, minus, hyphens, a zero-width space, emoji variants; dashes but —,
# soft hyphens and joiners by their category. A lone accent or vowel sign is a letter.
CHARACTERS = str.maketrans(
    "‘’ʼ−\u2010\u2011\u200b", 3 * "'" + "--- ", "".join(map(chr, range(0xFE00, 0xFE10)))
)
CATEGORIES = {"Pd": " ", "Cf": "", "Me": "", "Mn": "x", "Mc": "x"}


def _plain(text: str) -> str:
    """Compatibility forms (full-width letters, ligatures) unfolded, lower case, single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(CHARACTERS)
    plain = (
        char if char in "-—" else CATEGORIES.get(unicodedata.category(char), char)
        for char in folded
    )
    return " ".join("".join(plain).split())


@dataclass(frozen=True)
class Garment:
    """What a text asks for: "two dark red hoodies" -> Garment(2, 2, ("dark",), ("red",)).

    ``count`` is None where the text leaves it open; ``adjectives`` are names of garments.json;
    ``ignored`` are words that these pictures cannot obey: colours, sizes, contradictions.
    """

    label: int  # 0 … 9, of Fashion-MNIST
    count: int | None = None
    adjectives: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([*self.adjectives, list(SYNONYMS)[self.label]])


def ignored_words(garments: Iterable[Garment]) -> list[str]:
    """What no picture can obey, each word once; to be told beside the pictures."""
    return list(dict.fromkeys(word for garment in garments for word in garment.ignored))


def garments_from_text(text: str) -> list[Garment]:
    """The garments of a text in its order, each with its count and adjectives.

    A noun has the number and the adjectives before it, back to an article, number, preposition or
    verb, and those of a simple predicate behind ("a bag that is dark", "a coat, dark and long"):
    in "two dark shirts and bags" the bags have neither. Words are those of garments.json; case,
    plurals, and hyphen, space or nothing ("T-shirt", "t shirt", "tshirts") make no difference. "A
    pair of boots" is one picture, "a pair of bags" two; "a few" counts 3, "several" 4. Without a
    number a singular counts 1, a plural None. Neither negation nor fractions in words are
    understood: "no dress" is a dress.

    Raises ValueError for a text without a garment, one over `MAX_TEXT` characters, and a number
    of garments that is not a whole one from 1 to `grammar.MAX_COUNT`; TypeError for no str.

    >>> garments_from_text("two dark red hoodies")
    [Garment(label=2, count=2, adjectives=('dark',), ignored=('red',))]
    """
    if not isinstance(text, str):
        raise TypeError(f"text is {type(text).__name__} {text!r:.60}; want a str")
    if len(text) > MAX_TEXT:
        raise ValueError(f"text has {len(text)} characters; want at most {MAX_TEXT}")
    plain = _plain(text)
    forms = ((LABELS[JOINT.sub("", m[0])], m) for m in NOUN.finditer(plain))
    found = [(label, match) for label, match in forms if label is not None]
    if not found:
        quoted = text if len(text) <= 50 else f"{text[:50]}..."
        main = ", ".join(sorted(words[0] for words in SYNONYMS.values()))
        raise ValueError(f"no garment word in {quoted!r}; known words include: {main}")
    ends = [0, *(match.end() for _, match in found)]
    starts = [*(match.start() for _, match in found), len(plain)]
    spans = zip(ends, starts, strict=True)
    gaps = [grammar.split(plain[a:b], a == 0, b == len(plain)) for a, b in spans]
    return [
        Garment(label, *grammar.read(list(SYNONYMS)[label], match[0], before, behind))
        for (label, match), (_, before), (behind, _) in zip(found, gaps, gaps[1:], strict=False)
    ]


def labels_from_text(text: str) -> list[int]:
    """The labels (0..9) of the `garments_from_text`: those of `FASHION_CLASSES`.

    >>> labels_from_text("two hoodies and a bag")
    [2, 8]
    """
    return [garment.label for garment in garments_from_text(text)]


def text_to_images(
    model: Any, text: str, n: int = 4, generator: Generator | None = None, temperature: float = 1.0
) -> tuple[list[Tensor], list[Garment]]:
    """Draw the M garments of a text in their order, as many as it says and as it says they look.

    Args:
        model: a conditional one of `cvae_lib.models.garments`.
        n: pictures of each garment whose number the text leaves open ("dark hoodies").
        generator, temperature: as in `BaseVAE.sample`.

    Returns for each garment its images (count, 1, 28, 28) in [0, 1], and the M garments. How far
    from the usual an adjective leads was measured for the shipped fashion-concat-sigma. Raises what
    `garments_from_text` does; ValueError also for a model that takes no label.
    """
    n = whole_number("n", n, at_least=1)
    if not getattr(model, "conditional", False):
        name = type(model).__name__
        raise ValueError(f"{name} takes no label; want a conditional model such as fashion-concat")
    garments, images = garments_from_text(text), []
    for garment in garments:
        label, count = garment.label, n if garment.count is None else garment.count
        noise = {"generator": generator, "temperature": temperature}
        if shares := grammar.shares(list(SYNONYMS)[label], garment.adjectives):
            images.append(model.sample_given(label, shares, count, **noise))
        else:
            images.append(model.sample(torch.full((count,), label), **noise))
    return images, garments


def has_word(text: str) -> bool:
    """Whether a text holds a letter or digit, of any script: then the encoders have its vector."""
    return any(map(str.isalnum, unicodedata.normalize("NFKD", text)))


def unknown_words(text: str, known: Collection[str]) -> list[str]:
    """The words of a text that are not in ``known`` (lower case, no accents), each once, in order.

    Words are those that `HashingTextEncoder` counts. Inflections differ: "circles" and "circle".

    >>> unknown_words("A red circle and two red kettles", {"a", "and", "red", "circle"})
    ['two', 'kettles']
    """
    folded = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(char for char in folded if not unicodedata.combining(char))
    return [word for word in dict.fromkeys(re.findall(r"\w+", plain)) if word not in known]


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, white space made single spaces; no other character is lost.

    They are those of the library sentencex, which knows decimals, initials, common abbreviations
    and the stops of other scripts, but not the numbers of a list ("1. A dog." is two). An empty
    line ends a sentence too. Each holds a letter or digit, if the text does; blank text has none.

    >>> split_sentences("Dr. Lee has a dog. It is 1.5 m tall.")
    ['Dr. Lee has a dog.', 'It is 1.5 m tall.']
    """
    from sentencex import get_sentence_boundaries  # for texts alone: garments' words need none

    sentences: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        plain = " ".join([*paragraph.split(), ""])  # at white space of other kinds sentencex panics
        clean = re.sub("[\ud800-\udfff]", "\ufffd", plain)  # and it takes no lone surrogate
        starts = [found["start_index"] for found in get_sentence_boundaries("en", clean)]
        for start, end in pairwise([0, *starts[1:], len(plain)]):
            part = plain[start:end]
            if sentences and not (has_word(part) and has_word(sentences[-1])):
                sentences[-1] += part
            else:
                sentences.append(part)
    return [sentence.strip() for sentence in sentences if sentence.strip()]
