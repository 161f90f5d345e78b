"""Prompts to Fashion-MNIST labels and on to pictures; texts to sentences and words."""

import json
import re
import unicodedata
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from cvae_lib.checks import whole_number

MAX_TEXT = 10_000  # characters of one prompt

# Lower-case singulars (plural-only words as they are) by class, in label order. A hyphen or space
# stands for hyphen, space or nothing. The head of an English compound comes last: compounds whose
# first word is another garment are listed under their head, so that a shirt dress is a dress.
_TABLE = json.loads(Path(__file__).with_name("garments.json").read_text("utf-8"))
SYNONYMS: dict[str, list[str]] = _TABLE["classes"]
_WORDS = {word: label for label, words in enumerate(SYNONYMS.values()) for word in words}


def _forms(phrase: str) -> tuple[str, str]:
    """A phrase and its English plural; plural-only words (jeans) stay as they are."""
    if phrase.endswith(("ss", "ch", "sh", "x")):
        return phrase, phrase + "es"
    return phrase, phrase if phrase.endswith("s") else phrase + "s"


# By form its label, None where it only looks like a garment ("top hat"); then by what spellings
# share. Known words come last: "over coat", which the pattern needs, leads to "overcoat".
_PHRASES = [*_TABLE["not_garments"], *_TABLE["written_as_two"], *_WORDS]
_FORMS = {form: _WORDS.get(phrase) for phrase in _PHRASES for form in _forms(phrase)}
_JOINT = re.compile("[ -]")
_LABELS = {_JOINT.sub("", form): label for form, label in _FORMS.items()}
_LETTER = r"[^\W_]"  # a letter or digit of any script: "red_dress.png" holds a dress
# Longest phrase first; no unbounded repeat, so it runs in linear time. "can't" holds no t-shirt.
_PATTERN = re.compile(
    rf"(?<!{_LETTER})(?<!{_LETTER}')(?:"
    + "|".join(_JOINT.sub("[ -]?", form) for form in sorted(_FORMS, key=len, reverse=True))
    + rf")(?!{_LETTER})"
)

# Typography to ASCII: quotes, minus, a zero-width space, emoji variants; dashes, soft hyphens and
# joiners by their category. A lone accent or vowel sign is a letter.
_CHARACTERS = str.maketrans("‘’ʼ−\u200b", 3 * "'" + "- ", "".join(map(chr, range(0xFE00, 0xFE10))))
_CATEGORIES = {"Pd": "-", "Cf": "", "Mn": "x", "Mc": "x"}


def _plain(text: str) -> str:
    """Compatibility forms (full-width letters, ligatures) unfolded, lower case, single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_CHARACTERS)
    plain = (_CATEGORIES.get(unicodedata.category(char), char) for char in folded)
    return " ".join("".join(plain).split())


def labels_from_text(text: str) -> list[int]:
    """The Fashion-MNIST labels (0..9) of a text's garments: "two hoodies and a bag" -> [2, 8].

    One for each mention, in their order. Case, plurals, and hyphen, space or nothing ("T-shirt",
    "t shirt", "tshirts") make no difference. Numbers and negation are not understood: "no dress"
    is a dress. Raises ValueError for a text without a garment, or over MAX_TEXT characters.
    """
    if not isinstance(text, str):
        raise TypeError(f"text is {type(text).__name__} {text!r:.60}; want a str")
    if len(text) > MAX_TEXT:
        raise ValueError(f"text has {len(text)} characters; want at most {MAX_TEXT}")
    found = (_LABELS[_JOINT.sub("", match[0])] for match in _PATTERN.finditer(_plain(text)))
    labels = [label for label in found if label is not None]
    if not labels:
        quoted = text if len(text) <= 50 else f"{text[:50]}..."
        main = ", ".join(sorted(words[0] for words in SYNONYMS.values()))
        raise ValueError(f"no garment word in {quoted!r}; known words include: {main}")
    return labels


def text_to_images(
    model: Any, text: str, n: int = 4, generator: Generator | None = None, temperature: float = 1.0
) -> tuple[Tensor, list[int]]:
    """Draw ``n`` pictures of each of the M garments that a text mentions, in their order.

    ``model`` is a conditional one of `cvae_lib.models`, in eval mode, with ``generator`` on its
    device. ``temperature``, at least 0, scales the noise: 0 draws only the means of the class's
    prior. Returns images (M, n, 1, 28, 28) in [0, 1] and the M labels.

    Raises what `labels_from_text` does; ValueError also for a model that takes no label.
    """
    n = whole_number("n", n, at_least=1)
    if not getattr(model, "conditional", False):
        name = type(model).__name__
        raise ValueError(f"{name} takes no label; want a conditional model such as fashion-concat")
    labels = labels_from_text(text)
    condition = torch.tensor(labels).repeat_interleave(n)
    images = model.sample(condition, generator=generator, temperature=temperature)
    return images.unflatten(0, (len(labels), n)), labels


def has_word(text: str) -> bool:
    """Whether a text holds a letter or digit, of any script: then the encoders have its vector."""
    return any(map(str.isalnum, unicodedata.normalize("NFKD", text)))


def unknown_words(text: str, known: Collection[str]) -> list[str]:
    """The words of a text that are not in ``known`` (lower case, no accents), each once, in order.

    Words are those that `HashingTextEncoder` counts. Inflections differ: "circles" and "circle".
    """
    folded = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(char for char in folded if not unicodedata.combining(char))
    return [word for word in dict.fromkeys(re.findall(r"\w+", plain)) if word not in known]


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, white space made single spaces; no other character is lost.

    They are those of the library sentencex, which knows decimals, initials, common abbreviations
    and the stops of other scripts, but not the numbers of a list ("1. A dog." is two). An empty
    line ends a sentence too. Each holds a letter or digit, if the text does; blank text has none.
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
