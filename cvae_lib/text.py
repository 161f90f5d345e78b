"""Prompts to Fashion-MNIST labels and on to pictures; texts to sentences and words."""

import re
import unicodedata
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from cvae_lib.checks import whole_number

MAX_TEXT = 10_000  # characters of one prompt


def _phrases(listed: str) -> tuple[str, ...]:
    """What stands between commas; "tank/crop top" are two."""
    parts = (entry.rpartition(" ") for entry in " ".join(listed.split()).split(", "))
    return tuple(f"{first} {head}".strip() for stem, _, head in parts for first in stem.split("/"))


# Lower-case singulars (plural-only words as they are) by class, in label order. A hyphen or space
# stands for hyphen, space or nothing. The head of an English compound comes last: compounds whose
# first word is another garment are listed under their head, so that a shirt dress is a dress.
_TABLE = """
T-shirt/top: t-shirt, tee, tee-shirt, top, tank/crop/tube/halter/t-shirt top, muscle tee,
    camisole, singlet, undershirt
Trouser: trouser, pants, jeans, jean, slacks, chinos, leggings, sweatpants, joggers, khakis,
    corduroys, culottes, dress/boot-cut pants, dress/boot-cut trouser, dress slacks, boot-cut jeans
Pullover: pullover, sweater, hoodie, jumper, sweatshirt, jersey, cardigan, turtleneck, polo neck,
    turtleneck/jersey/cardigan/pullover sweater, pullover hoodie, sweater vest, sweater top
Dress: dress, gown, frock, sundress, pinafore, evening/ball gown, evening/pinafore dress,
    t-shirt/tee/tank top/shirt/sweater/jumper/jersey/hoodie/turtleneck/coat/blazer dress,
    button-down/button-up dress
Coat: coat, jacket, parka, overcoat, raincoat, anorak, blazer, topcoat, windbreaker, mackintosh,
    shacket, trench/pea/duffle/dress/sweater/parka coat,
    sweater/shirt/jean/jeans/blazer/anorak/parka jacket
Sandal: sandal, flip-flop, espadrille, high heel, stiletto, huarache, high heel shoe,
    beach/thong/gladiator/platform/wedge/dress/high heel/stiletto/espadrille sandal
Shirt: shirt, blouse, button-down, button-up, overshirt, button-down/button-up blouse, blouse top,
    dress/oxford/flannel/polo/button-down/button-up/work/denim shirt
Sneaker: sneaker, trainer, plimsoll, shoe, high-top, low-top, high-top/low-top sneaker,
    high-top/low-top trainer, dress/sneaker/trainer shoe,
    running/tennis/gym/training/basketball/skate shoe
Bag: bag, handbag, purse, tote, clutch, backpack, satchel, rucksack, knapsack, briefcase,
    tote/clutch/duffle/duffel/messenger/shoulder/satchel/boot/shoe/dress bag, clutch purse
Ankle boot: ankle boot, boot, bootie, ankle bootie, chukka, high heel/high heel ankle boot,
    chelsea/chukka/combat/desert/hiking/cowboy/rain/snow/dress/sneaker/sandal boot
"""
SYNONYMS: dict[str, tuple[str, ...]] = {
    name: _phrases(words)
    for name, words in (row.split(":") for row in re.split(r"\n(?=\S)", _TABLE.strip()))
}

# Phrases that hold a garment word and mean something else.
NOT_GARMENTS = _phrases("""
on top, at the top, top of the, top hat, top-quality, top-notch, top model, top-down, top view,
top left, top right, lap/table/roof top, dress code, dress rehearsal, coat hanger, coat rack,
coat of arms, coat of paint, life/dust jacket, sleeping/bean/tea bag, boot camp, car boot, shoe box,
shoe lace, shoe rack, personal trainer, golf tee
""")

# Known words that some write as two.
_SPLIT = _phrases("""
under/sweat/over shirt, sweat pants, sun dress, over/rain/top coat, hand bag, back pack, ruck sack,
brief case, turtle neck, wind breaker
""")


def _forms(phrase: str) -> tuple[str, str]:
    """A phrase and its English plural; plural-only words (jeans) stay as they are."""
    if phrase.endswith(("ss", "ch", "sh", "x")):
        return phrase, phrase + "es"
    return phrase, phrase if phrase.endswith("s") else phrase + "s"


def _key(phrase: str) -> str:
    """What the spellings of a phrase share."""
    return re.sub("[ -]", "", phrase)


_WORDS = {word: label for label, words in enumerate(SYNONYMS.values()) for word in words}
_FORMS = [
    (form, _WORDS.get(phrase))
    for phrase in (*NOT_GARMENTS, *_SPLIT, *_WORDS)  # the last word on a key is a word's
    for form in _forms(phrase)
]
_LABELS = {_key(form): label for form, label in _FORMS}  # None: it only looks like a garment
_LETTER = r"[^\W_]"  # a letter or digit of any script: "red_dress.png" holds a dress
# Longest phrase first; no unbounded repeat, so it runs in linear time. "can't" holds no t-shirt.
_PATTERN = re.compile(
    rf"(?<!{_LETTER})(?<!{_LETTER}')(?:"
    + "|".join(re.sub("[ -]", "[ -]?", form) for form in sorted(dict(_FORMS), key=len)[::-1])
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


def known_words() -> list[str]:
    """All garment words and phrases that `labels_from_text` knows, sorted."""
    return sorted(_WORDS)


def labels_from_text(text: str) -> list[int]:
    """The Fashion-MNIST labels (0..9) of the garments named in a text.

    One label per mention, in the order of the text: "two hoodies and a handbag" -> [2, 8]. Case,
    plurals, and hyphen, space or nothing ("T-shirt", "t shirt", "tshirts") make no difference.
    Words only: numbers and negation are not understood, "no dress" is a dress.

    Raises TypeError for anything but a str; ValueError for a text that is empty, longer than
    MAX_TEXT characters, or without a known garment word.
    """
    if not isinstance(text, str):
        raise TypeError(f"text is {type(text).__name__} {text!r:.60}; want a str")
    if len(text) > MAX_TEXT:
        raise ValueError(f"text has {len(text)} characters; want at most {MAX_TEXT}")
    if not (plain := _plain(text)):
        raise ValueError(f"text {text!r:.60} is empty; want words such as 'a red dress'")
    found = (_LABELS[_key(match.group())] for match in _PATTERN.finditer(plain))
    labels = [label for label in found if label is not None]
    if not labels:
        quoted = text if len(text) <= 50 else f"{text[:50]}..."
        main = ", ".join(sorted(words[0] for words in SYNONYMS.values()))
        raise ValueError(f"no garment word in {quoted!r}; known words include: {main}")
    return labels


def text_to_images(
    model: Any,
    text: str,
    n: int = 4,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
) -> tuple[Tensor, list[int]]:
    """Draw ``n`` pictures of each of the M garments that ``text`` mentions.

    Args:
        model: a conditional model of `cvae_lib.models`, in eval mode.
        generator: source of the noise, on the model's device.
        temperature: scales the noise, at least 0; 0 draws only the means of the class's prior.

    Returns images (M, n, 1, 28, 28) in [0, 1] and the M labels, in the order of the text.

    Raises what `labels_from_text` raises; ValueError for a model that takes no label, and for an n
    or a temperature out of range; TypeError for an n that is no whole number.
    """
    n = whole_number("n", n, at_least=1)
    if not getattr(model, "conditional", False):
        raise ValueError(
            f"{type(model).__name__} takes no label, so a text cannot steer it; want a "
            "conditional model such as fashion-concat"
        )
    labels = labels_from_text(text)
    condition = torch.tensor(labels).repeat_interleave(n)
    images = model.sample(condition, generator=generator, temperature=temperature)
    return images.unflatten(0, (len(labels), n)), labels


def has_word(text: str) -> bool:
    """Whether a text holds a letter or digit of any script, compatibility forms unfolded (NFKD).

    Every text encoder of `cvae_lib.encoders` has a vector for such a text.
    """
    return any(map(str.isalnum, unicodedata.normalize("NFKD", text)))


def unknown_words(text: str, known: Collection[str]) -> list[str]:
    """The words of a text that are not in ``known`` (lower case, no accents), each once, in order.

    A word is what `HashingTextEncoder` counts: a run of letters, digits and underscores, whose case
    and accents make no difference. No inflection is understood: "circles" is not "circle".
    """
    folded = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(char for char in folded if not unicodedata.combining(char))
    return [word for word in dict.fromkeys(re.findall(r"\w+", plain)) if word not in known]


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, white space made single spaces; no other character is lost.

    They are those of the library sentencex, which knows decimals, initials, ellipses, quotes,
    common abbreviations and the stops of other scripts; an empty line ends a sentence as well, a
    single newline is a space. It does not know the numbers of a list ("1. A dog." is two), nor
    "Prof." and "e.g." before a capital, an end behind a bracket ("(It barks.) It runs." is one).

    Every sentence holds a letter or digit if the text holds one; blank text has no sentence.
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
