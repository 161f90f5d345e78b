"""Prompts to Fashion-MNIST labels and on to pictures; texts to sentences."""

import re
import unicodedata
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

MAX_TEXT = 10_000  # characters of one prompt

# Lower-case singulars (plural-only words as they are) by class, in label order. A hyphen or space
# stands for hyphen, space or nothing. The head of an English compound comes last: compounds whose
# first word is another garment are listed under their head, so that a shirt dress is a dress.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "T-shirt/top": (
        "t-shirt", "tee", "tee-shirt", "top", "tank top", "crop top", "tube top", "halter top",
        "muscle tee", "camisole", "singlet", "undershirt", "t-shirt top",
    ),
    "Trouser": (
        "trouser", "pants", "jeans", "jean", "slacks", "chinos", "leggings", "sweatpants",
        "joggers", "khakis", "corduroys", "culottes", "dress pants", "dress trouser",
        "dress slacks", "boot-cut jeans", "boot-cut pants", "boot-cut trouser",
    ),
    "Pullover": (
        "pullover", "sweater", "hoodie", "jumper", "sweatshirt", "jersey", "cardigan",
        "turtleneck", "polo neck", "turtleneck sweater", "jersey sweater", "cardigan sweater",
        "pullover sweater", "pullover hoodie", "sweater vest", "sweater top",
    ),
    "Dress": (
        "dress", "gown", "frock", "sundress", "evening gown", "ball gown", "evening dress",
        "pinafore", "pinafore dress", "t-shirt dress", "tee dress", "tank top dress",
        "shirt dress", "sweater dress", "jumper dress", "jersey dress", "hoodie dress",
        "turtleneck dress", "coat dress", "blazer dress", "button-down dress", "button-up dress",
    ),
    "Coat": (
        "coat", "jacket", "parka", "trench coat", "overcoat", "raincoat", "anorak", "blazer",
        "topcoat", "pea coat", "duffle coat", "windbreaker", "mackintosh", "shacket",
        "dress coat", "sweater coat", "sweater jacket", "shirt jacket", "jean jacket",
        "jeans jacket", "blazer jacket", "anorak jacket", "parka coat", "parka jacket",
    ),
    "Sandal": (
        "sandal", "flip-flop", "espadrille", "high heel", "stiletto", "huarache", "beach sandal",
        "thong sandal", "gladiator sandal", "platform sandal", "wedge sandal", "dress sandal",
        "high heel sandal", "stiletto sandal", "espadrille sandal", "high heel shoe",
    ),
    "Shirt": (
        "shirt", "dress shirt", "blouse", "button-down", "button-up", "oxford shirt",
        "flannel shirt", "polo shirt", "button-down shirt", "button-up shirt", "overshirt",
        "work shirt", "denim shirt", "blouse top", "button-down blouse", "button-up blouse",
    ),
    "Sneaker": (
        "sneaker", "trainer", "running shoe", "tennis shoe", "gym shoe", "training shoe",
        "basketball shoe", "skate shoe", "plimsoll", "shoe", "dress shoe", "high-top", "low-top",
        "high-top sneaker", "low-top sneaker", "high-top trainer", "low-top trainer",
        "sneaker shoe", "trainer shoe",
    ),
    "Bag": (
        "bag", "handbag", "purse", "tote", "tote bag", "clutch", "clutch bag", "backpack",
        "satchel", "rucksack", "knapsack", "briefcase", "duffle bag", "duffel bag",
        "messenger bag", "shoulder bag", "satchel bag", "clutch purse", "boot bag", "shoe bag",
        "dress bag",
    ),
    "Ankle boot": (
        "ankle boot", "boot", "bootie", "ankle bootie", "chelsea boot", "chukka", "chukka boot",
        "combat boot", "desert boot", "hiking boot", "cowboy boot", "rain boot", "snow boot",
        "dress boot", "sneaker boot", "high heel boot", "high heel ankle boot", "sandal boot",
    ),
}  # fmt: skip

# Phrases that hold a garment word and mean something else.
NOT_GARMENTS = (
    "on top", "at the top", "top of the", "top hat", "top-quality", "top-notch", "top model",
    "top-down", "top view", "top left", "top right", "lap top", "table top", "roof top",
    "dress code", "dress rehearsal", "coat hanger", "coat rack", "coat of arms", "coat of paint",
    "life jacket", "dust jacket", "sleeping bag", "bean bag", "tea bag", "boot camp", "car boot",
    "shoe box", "shoe lace", "shoe rack", "personal trainer", "golf tee",
)  # fmt: skip

# Known words that some write as two.
_SPLIT = (
    "under shirt", "sweat pants", "sweat shirt", "sun dress", "over coat", "rain coat", "top coat",
    "over shirt", "hand bag", "back pack", "ruck sack", "brief case", "turtle neck", "wind breaker",
)  # fmt: skip

_WORDS = {word: label for label, words in enumerate(SYNONYMS.values()) for word in words}


def _plural(word: str) -> str:
    """The English plural; plural-only words (jeans) stay as they are."""
    if word.endswith(("ss", "ch", "sh", "x")):
        return word + "es"
    return word if word.endswith("s") else word + "s"


def _key(phrase: str) -> str:
    """A phrase without hyphens and spaces: what its spellings share."""
    return re.sub("[ -]", "", phrase)


# Every known spelling -> its label, or None for a phrase that only looks like a garment.
_LABELS: dict[str, int | None] = {}
for _phrase in NOT_GARMENTS:
    _LABELS[_key(_phrase)] = _LABELS[_key(_plural(_phrase))] = None
for _phrase, _label in _WORDS.items():
    _LABELS[_key(_phrase)] = _LABELS[_key(_plural(_phrase))] = _label


def _pattern() -> re.Pattern[str]:
    """One alternation, longest phrase first; no unbounded repeat, so it runs in linear time."""
    singular = {*_WORDS, *_SPLIT, *NOT_GARMENTS}
    phrases = {form for word in singular for form in (word, _plural(word))}
    longest_first = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    spellings = (re.sub("[ -]", "[ -]?", phrase) for phrase in longest_first)
    letter = r"[^\W_]"  # a letter or digit of any script: "red_dress.png" holds a dress
    before = rf"(?<!{letter})(?<!{letter}')"  # the t of "can't" begins no t-shirt
    return re.compile(rf"{before}(?:{'|'.join(spellings)})(?!{letter})")


_PATTERN = _pattern()


def _plain_char(char: str) -> str:
    """Typographic variants of one character to ASCII: dashes, quotes, invisible characters."""
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
        TypeError, ValueError: as `labels_from_text`; ValueError for n < 1, for a model that takes
            no label, and for a negative temperature.
    """
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


# Abbreviations, lower case, without the last stop. No sentence ends with one of these,
_LEADING = {
    "mr", "mrs", "ms", "mx", "messrs", "dr", "prof", "e.g", "i.e", "eg", "ie", "cf", "vs", "viz",
    "approx", "ca",
}  # fmt: skip
# none before a number with one of these,
_NUMBERED = {
    "no", "nos", "nr", "fig", "figs", "p", "pp", "vol", "ch", "eq", "sec", "art",
    "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
}  # fmt: skip
# and with these, and with initials, only before a starter: "the U.S. The", but not "U.S. Army".
_ABBREVIATIONS = {
    "st", "mt", "gen", "sen", "rep", "rev", "hon", "gov", "capt", "lt", "col", "sgt", "jr", "sr",
    "inc", "ltd", "co", "corp", "dept", "univ", "est", "etc", "al", "ave", "blvd", "rd", "sq",
    "ft", "oz", "lb", "lbs", "hr", "hrs", "min", "max",
}  # fmt: skip
_STARTERS = {
    "A", "An", "The", "This", "That", "These", "Those", "There", "It", "He", "She", "They", "We",
    "You", "I", "Its", "His", "Her", "Their", "Our", "My", "In", "On", "At", "To", "From", "Behind",
    "Above", "Below", "And", "But", "So", "Then", "If", "When", "While", "After", "Before", "What",
}  # fmt: skip
_OPENERS = "\"'“‘„«‹([{「『（【《"
_CLOSERS = "\"'”’»›)]}」』）】》"
_CJK_STOPS = "。！？｡"
_STOPS = ".!?…" + _CJK_STOPS
# A stretch without white space, which a CJK stop ends too, and the white space behind it.
_STRETCH = re.compile(
    rf"([^\s{_CJK_STOPS}]*[{_CJK_STOPS}]+[{re.escape(_CLOSERS)}]*|[^\s{_CJK_STOPS}]+)(\s*)"
)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, white space made single spaces; no other character is lost.

    A sentence ends at a stop (. ! ? … 。！？ and the quotes and brackets that close behind it) or
    at an empty line; a single newline is a space. No end is seen in decimals, after initials and
    abbreviations, nor where an ellipsis or a closing quote goes on in lower case. In doubt the
    text stays in one piece. Every sentence holds a letter or digit if the text holds one; a text
    of white space has no sentence. Linear in the length of the text.
    """
    stretches = list(_STRETCH.finditer(text))
    sentences, start, first, worded = [], 0, True, False
    for here, following in pairwise(stretches):
        worded = worded or _has_word(here[1])
        if worded and _has_word(following[1]) and _ends(here, following[1], first):
            sentences.append(text[start : here.end()])
            start, first, worded = here.end(), True, False
        else:
            first = False
    sentences.append(text[start:])
    return [" ".join(sentence.split()) for sentence in sentences if sentence.strip()]


def _has_word(text: str) -> bool:
    return any(map(str.isalnum, text))


def _ends(here: re.Match[str], following: str, first: bool) -> bool:
    """Whether a sentence ends between two stretches; ``first``: it began with the one here."""
    stopped = here[1].rstrip(_CLOSERS)
    word = stopped.rstrip(_STOPS)
    stop = stopped[len(word) :]
    if here[2].count("\n") > 1 or set(stop) & set(_CJK_STOPS):
        return True
    following = following.lstrip(_OPENERS)
    goes_on = following[:1].islower() and (stopped != here[1] or stop == "…" or stop[1:])
    if not stop or goes_on:
        return False
    word = word.lstrip(_OPENERS)
    if stop != ".":
        return True
    if word.lower() in _LEADING or (first and word.isdigit()):  # "1. A dog" in a list
        return False
    if word.lower() in _NUMBERED:
        return not following[:1].isdigit()
    parts = word.split(".")
    letters = all(part.isalpha() and len(part) < 3 for part in parts)  # J. U.S. p.m. Ph.D.
    if word.lower() in _ABBREVIATIONS or (letters and (parts[1:] or len(word) == 1)):
        return following.rstrip(",") in _STARTERS
    return True
