"""The words and patterns of `cvae_lib.text` and `cvae_lib.grammar` for playground/rules.js.

Patterns are translated sign by sign, so that a page and the library read by the same ones.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import Any

from cvae_lib import grammar, text

WORD = r"[\p{L}\p{N}_]"
# Where signs of Python's patterns are others in JavaScript's with the flag u, whose own \b and \d
# know ASCII alone. White space differs too, but a text made plain has none but " ".
SIGNS = {
    "(?P<": "(?<",
    r"[^\W_]": r"[\p{L}\p{N}]",
    r"\b": rf"(?:(?<={WORD})(?!{WORD})|(?<!{WORD})(?={WORD}))",
    r"\d": r"\p{Decimal_Number}",
    r"\S": r"\S",
}


def javascript(pattern: re.Pattern[str]) -> str:
    """The source of a pattern in JavaScript; ValueError for a sign whose like is not known."""

    def translated(sign: re.Match[str]) -> str:
        if sign[0] in SIGNS:
            return SIGNS[sign[0]]
        if sign[0].startswith("\\") and not sign[0][1].isalnum():
            return sign[0]  # punctuation
        raise ValueError(f"{sign[0]} in {pattern.pattern!r:.80}: say in SIGNS what it is called")

    if pattern.flags != re.UNICODE:
        raise ValueError(f"{pattern!r:.80} has flags; want none")
    return re.sub(r"\[\^\\W_\]|\\.|\(\?P.", translated, pattern.pattern)


def folded() -> dict[str, str]:
    """By character that NFKC and lower case leave as it is what Python's casefold makes of it."""
    chars = map(chr, range(sys.maxunicode + 1))
    folds = {char: char.casefold() for char in chars if char.lower() == char != char.casefold()}
    return {c: fold for c, fold in folds.items() if unicodedata.normalize("NFKC", c) == c}


def zeros() -> list[int]:
    """The code points of the zeros of all scripts; the digits 1 to 9 follow each."""
    codes = range(sys.maxunicode + 1)
    return [code for code in codes if unicodedata.decimal(chr(code), None) == 0]


def adjective(name: str) -> dict[str, Any]:
    """What an adjective asks for: its attribute, its side of it, its share in each class's pictures
    (`grammar.shares`), None where they cannot be drawn so."""
    about = grammar.TABLE["adjectives"][name]
    shares = [
        grammar.shares(garment, [name])[about["attribute"]]
        if grammar.offered(name, garment)
        else None
        for garment in text.SYNONYMS
    ]
    return {"attribute": about["attribute"], "side": about["side"], "shares": shares}


def tables() -> dict[str, Any]:
    """All that rules.js needs to know, as JSON can hold it; classes are labels."""
    classes = list(text.SYNONYMS)
    patterns = {
        "joint": grammar.JOINT,
        "letter": re.compile(grammar.LETTER),
        "noun": text.NOUN,
        "token": grammar.TOKEN,
        "predicate": grammar.PREDICATE,
        "loose": grammar.LOOSE,
        "count_behind": grammar.COUNT_BEHIND,
        "digits": grammar.DIGITS,
    }
    return {
        "max_text": text.MAX_TEXT,
        "max_count": grammar.MAX_COUNT,
        "patterns": {name: javascript(pattern) for name, pattern in patterns.items()},
        "folded": folded(),
        "characters": {
            chr(code): "" if to is None else chr(to) for code, to in text.CHARACTERS.items()
        },
        "categories": text.CATEGORIES,
        "zeros": zeros(),
        "labels": text.LABELS,
        "known": sorted(words[0] for words in text.SYNONYMS.values()),
        "pairs": [classes.index(name) for name in grammar.TABLE["pairs"]],
        "numbers": grammar.TABLE["numbers"],
        "no_counts": grammar.TABLE["no_counts"],
        "kinds": grammar.KINDS,
        "names": grammar.NAMES,
        "adjectives": {name: adjective(name) for name in grammar.TABLE["adjectives"]},
    }
