"""Prompts to Fashion-MNIST labels and on to pictures; texts to sentences and words."""

import operator
import re
import unicodedata
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import torch
from sentencex import get_sentence_boundaries
from torch import Tensor

MAX_TEXT = 10_000  # characters of one prompt


def _phrases(listed: str) -> tuple[str, ...]:
    return tuple(re.split(r",\s+", listed.strip()))


# Lower-case singulars (plural-only words as they are) by class, in label order. A hyphen or space
# stands for hyphen, space or nothing. The head of an English compound comes last: compounds whose
# first word is another garment are listed under their head, so that a shirt dress is a dress.
_TABLE = """
T-shirt/top: t-shirt, tee, tee-shirt, top, tank top, crop top, tube top, halter top, muscle tee,
    camisole, singlet, undershirt, t-shirt top
Trouser: trouser, pants, jeans, jean, slacks, chinos, leggings, sweatpants, joggers, khakis,
    corduroys, culottes, dress pants, dress trouser, dress slacks, boot-cut jeans, boot-cut pants,
    boot-cut trouser
Pullover: pullover, sweater, hoodie, jumper, sweatshirt, jersey, cardigan, turtleneck, polo neck,
    turtleneck sweater, jersey sweater, cardigan sweater, pullover sweater, pullover hoodie,
    sweater vest, sweater top
Dress: dress, gown, frock, sundress, evening gown, ball gown, evening dress, pinafore,
    pinafore dress, t-shirt dress, tee dress, tank top dress, shirt dress, sweater dress,
    jumper dress, jersey dress, hoodie dress, turtleneck dress, coat dress, blazer dress,
    button-down dress, button-up dress
Coat: coat, jacket, parka, trench coat, overcoat, raincoat, anorak, blazer, topcoat, pea coat,
    duffle coat, windbreaker, mackintosh, shacket, dress coat, sweater coat, sweater jacket,
    shirt jacket, jean jacket, jeans jacket, blazer jacket, anorak jacket, parka coat, parka jacket
Sandal: sandal, flip-flop, espadrille, high heel, stiletto, huarache, beach sandal, thong sandal,
    gladiator sandal, platform sandal, wedge sandal, dress sandal, high heel sandal,
    stiletto sandal, espadrille sandal, high heel shoe
Shirt: shirt, dress shirt, blouse, button-down, button-up, oxford shirt, flannel shirt, polo shirt,
    button-down shirt, button-up shirt, overshirt, work shirt, denim shirt, blouse top,
    button-down blouse, button-up blouse
Sneaker: sneaker, trainer, running shoe, tennis shoe, gym shoe, training shoe, basketball shoe,
    skate shoe, plimsoll, shoe, dress shoe, high-top, low-top, high-top sneaker, low-top sneaker,
    high-top trainer, low-top trainer, sneaker shoe, trainer shoe
Bag: bag, handbag, purse, tote, tote bag, clutch, clutch bag, backpack, satchel, rucksack, knapsack,
    briefcase, duffle bag, duffel bag, messenger bag, shoulder bag, satchel bag, clutch purse,
    boot bag, shoe bag, dress bag
Ankle boot: ankle boot, boot, bootie, ankle bootie, chelsea boot, chukka, chukka boot, combat boot,
    desert boot, hiking boot, cowboy boot, rain boot, snow boot, dress boot, sneaker boot,
    high heel boot, high heel ankle boot, sandal boot
"""
SYNONYMS: dict[str, tuple[str, ...]] = {
    name: _phrases(words)
    for name, words in (row.split(":") for row in re.split(r"\n(?=\S)", _TABLE.strip()))
}

# Phrases that hold a garment word and mean something else.
NOT_GARMENTS = _phrases("""
on top, at the top, top of the, top hat, top-quality, top-notch, top model, top-down, top view,
top left, top right, lap top, table top, roof top, dress code, dress rehearsal, coat hanger,
coat rack, coat of arms, coat of paint, life jacket, dust jacket, sleeping bag, bean bag, tea bag,
boot camp, car boot, shoe box, shoe lace, shoe rack, personal trainer, golf tee
""")

# Known words that some write as two.
_SPLIT = _phrases("""
under shirt, sweat pants, sweat shirt, sun dress, over coat, rain coat, top coat, over shirt,
hand bag, back pack, ruck sack, brief case, turtle neck, wind breaker
""")

_WORDS = {word: label for label, words in enumerate(SYNONYMS.values()) for word in words}


def _forms(phrase: str) -> tuple[str, str]:
    """A phrase and its English plural; plural-only words (jeans) stay as they are."""
    if phrase.endswith(("ss", "ch", "sh", "x")):
        return phrase, phrase + "es"
    return phrase, phrase if phrase.endswith("s") else phrase + "s"


def _key(phrase: str) -> str:
    """A phrase without hyphens and spaces: what its spellings share."""
    return re.sub("[ -]", "", phrase)


# Every known spelling -> its label, or None for a phrase that only looks like a garment.
_LABELS: dict[str, int | None] = {
    _key(form): _WORDS.get(phrase) for phrase in (*NOT_GARMENTS, *_WORDS) for form in _forms(phrase)
}


def _pattern() -> re.Pattern[str]:
    """One alternation, longest phrase first; no unbounded repeat, so it runs in linear time."""
    phrases = {form for phrase in (*_WORDS, *_SPLIT, *NOT_GARMENTS) for form in _forms(phrase)}
    longest_first = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    spellings = (re.sub("[ -]", "[ -]?", phrase) for phrase in longest_first)
    letter = r"[^\W_]"  # a letter or digit of any script: "red_dress.png" holds a dress
    before = rf"(?<!{letter})(?<!{letter}')"  # the t of "can't" begins no t-shirt
    return re.compile(rf"{before}(?:{'|'.join(spellings)})(?!{letter})")


_PATTERN = _pattern()


def _plain_char(char: str) -> str:
    """Typographic variants of a character to ASCII: dashes, quotes, invisible characters."""
    if char in "‘’ʼ":
        return "'"
    if char == "\u200b" or char.isspace():  # a zero-width space parts words as well
        return " "
    category = unicodedata.category(char)
    if category == "Pd" or char == "\u2212":
        return "-"
    if category == "Cf" or "\ufe00" <= char <= "\ufe0f":  # soft hyphens, joiners, emoji variants
        return ""
    return "x" if category in ("Mn", "Mc") else char  # a lone accent or vowel sign is a letter


def _plain(text: str) -> str:
    """Compatibility forms (full-width letters, ligatures) unfolded, lower case, single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(map(_plain_char, folded)).split())


def _short(text: str) -> str:
    quoted = repr(text)
    return quoted if len(quoted) <= 60 else f"{quoted[:56]}...{quoted[0]}"


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
        raise TypeError(f"text is {type(text).__name__} {_short(text)}; want a str")
    if len(text) > MAX_TEXT:
        raise ValueError(f"text has {len(text)} characters; want at most {MAX_TEXT}")
    plain = _plain(text)
    if not plain:
        raise ValueError(f"text {_short(text)} is empty; want words such as 'a red dress'")
    found = (_LABELS[_key(match.group())] for match in _PATTERN.finditer(plain))
    labels = [label for label in found if label is not None]
    if not labels:
        main = ", ".join(sorted(words[0] for words in SYNONYMS.values()))
        raise ValueError(f"no garment word in {_short(text)}; known words include: {main}")
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

    Returns:
        Images (M, n, 1, 28, 28) in [0, 1] and the M labels, in the order of the text.

    Raises:
        TypeError, ValueError: as `labels_from_text`; TypeError for an n that is no whole number;
            ValueError for n < 1, for a model that takes no label, and for a negative temperature.
    """
    try:
        n = operator.index(n)  # NumPy's whole numbers too
    except TypeError:
        raise TypeError(f"n is {n!r}; want a whole number of pictures") from None
    if n < 1:
        raise ValueError(f"n is {n}; want at least 1 picture of each garment")
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

    The sentences are those of the library sentencex. It knows decimals, initials, ellipses, quotes,
    common abbreviations and the stops of other scripts; an empty line ends a sentence as well, a
    single newline is a space. It does not know the numbers of a list ("1. A dog." is two), nor
    "Prof." and "e.g." before a capital, an end behind a bracket ("(It barks.) It runs." is one).

    Every sentence holds a letter or digit if the text holds one; blank text has no sentence.
    """
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
