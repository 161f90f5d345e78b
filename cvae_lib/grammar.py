"""What the words around a garment say: a count, adjectives, what cannot be obeyed."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MAX_COUNT = 12  # pictures of one garment
TABLE = json.loads(Path(__file__).with_name("garments.json").read_text("utf-8"))

JOINT = re.compile("[ -]")
LETTER = r"[^\W_]"  # a letter or digit of any script: "red_dress.png" holds a dress
# A hyphened word is what its last part says: "a bag-like thing" holds no bag.
APART = rf"(?!{LETTER}|-(?!and\b|or\b){LETTER})"

# The words as tokens of one letter: what counts (N, T: a and an), pairs (Q), adjectives (A), a
# count behind ("bags x2": S), and by `words` of garments.json D(eterminers), C(onjunctions),
# P(repositions), V: what leads to a predicate, R: what may stand before an adjective; X: other.
_ADJECTIVES: dict[str, dict[str, Any]] = TABLE["adjectives"]
NAMES = dict.fromkeys(TABLE["ignored"]) | {
    word: name for name, about in _ADJECTIVES.items() for word in about["words"]
}
KINDS = {word: kind for kind, words in TABLE["words"].items() for word in words}


def _any_of(words: Iterable[str]) -> str:
    longest_first = sorted(words, key=len, reverse=True)
    return "(?:" + "|".join(JOINT.sub("[ -]", word) for word in longest_first) + ")"


_OWNERS = _any_of(TABLE["words"]["D"])
_ADJECTIVE, _LARGE = _any_of(NAMES), _any_of([*TABLE["numbers"], *TABLE["no_counts"]])
# "two-dark-bags", not "two-tone bags"
_END = rf"(?!{LETTER}|-(?!(?:{_ADJECTIVE}|and|or)\b){LETTER})"
_CHAIN = _any_of(word for word in [*TABLE["numbers"], *TABLE["no_counts"]] if word[0] != "a")
TOKEN = re.compile(
    "|".join(
        f"(?P<{kind}>{pattern})"
        for kind, pattern in {
            "S": rf"(?<!\*)[x×*] ?\d+(?!\*){APART}|\( ?(?:\d+|{_CHAIN}) ?\)"
            rf"|: ?(?:\d+|{_CHAIN})(?= ?(?:[,;.]|$))",
            "X": rf"{_any_of(TABLE['not_adjectives'])}{APART}|[$€£#] ?\d+|\d+[.)](?= )"
            rf"|(?:an?|size|number|no\.) \d+{APART}",
            "N": rf"(?P<number>{_CHAIN}(?:(?:(?<=hundred) and|(?<=thousand) and)?[ -]{_CHAIN})*"
            rf"|{_LARGE}|-?\d+(?:[.,⁄/]\d+)*(?:-\d+)?(?: ?[x×])?){_END}(?: \(\d+\))?"
            rf"(?: of(?: {_OWNERS})?{APART})?",
            "Q": rf"pairs?(?: of)?{APART}",
            "A": rf"(?P<adjective>{_ADJECTIVE})(?:[ -]{_any_of(TABLE['after_adjectives'])})?{_END}",
            "W": rf"{LETTER}+(?:(?:'|-(?!{_ADJECTIVE}\b)){LETTER}+)*|\S",
        }.items()
    )
)
# Of the tokens behind a garment: "that is very dark", "in black"; ", dark and long" up to an end.
PREDICATE = re.compile(
    "S?[^A-Z]*(?:C?(?=[RDNT]*V)[VRDNT]+((?:A[RCV,]*)+)|[RDN]*((?:A[RC,]*)+)(?![A-OQ-UW-Z]))"
)
# Of the tokens before a garment, none of its phrase: "dark glasses and bags", "bags 2, boots".
LOOSE = re.compile("C,?$|[XN],$")
COUNT_BEHIND = re.compile("S|N([,.]|$)")  # "bags x2", "bags 2, boots"
DIGITS = re.compile(r"(?:\d+-)?0*(\d{1,3})(?: ?[x×])?")  # the last of "2-3"
Tokens = list[tuple[str, str]]  # (kind, word)


def split(gap: str, first: bool, last: bool) -> tuple[Tokens, Tokens]:
    """The tokens between two garments: those of the one, and those of the other one's phrase."""
    tokens: Tokens = []
    for m in TOKEN.finditer(gap):
        word = m["number"] or m["adjective"] or m[0]
        other = "R" if word.endswith("ly") else "D" if word.endswith("'s") else "X"
        other = other if word[0].isalnum() else ","
        kind = KINDS.get(word, other) if m.lastgroup == "W" else str(m.lastgroup)
        if kind == "S":
            word, kind = word.strip("x×*:() "), "N" if first or tokens else "S"
        kind = "T" if word in ("a", "an") else kind
        tokens.append((kind, word))
    kinds = "".join(kind for kind, _ in tokens)
    at = len(kinds) if last else max(kinds.rfind(kind) for kind in ".PSV") + 1
    if kinds.startswith("("):  # "bags (dark)", "bags—dark—"
        at = max(at, kinds.find(")") + 1, kinds.find("(", 1) + 1)
    if (article := max(kinds.rfind(kind, at) for kind in "DNT")) >= 0:
        at = len(kinds[:article].rstrip("DNT"))  # "two men's shirts"
    elif kinds[at - 1 : at] == "V":  # "shirts that are dark, bright trousers"
        at = max(at, kinds.rfind("C", at) + 1, kinds.rfind(",", at) + 1)
    if LOOSE.search(kinds):
        at = len(kinds)
    return tokens[:at], tokens[at:]


def read(
    name: str, noun: str, before: Tokens, behind: Tokens
) -> tuple[int | None, tuple[str, ...], tuple[str, ...]]:
    """Count, adjectives and ignored words of a garment of the class ``name``, written ``noun``."""
    kinds = "".join(kind for kind, _ in behind)
    numbers = [word for kind, word in before if kind in "NT"]
    if COUNT_BEHIND.match(kinds):
        numbers.append(behind[0][1])
    many = noun.endswith("s") and not noun.endswith("ss")
    pairs = [word for kind, word in before if kind == "Q"]
    if pairs and not numbers:
        many = pairs[-1].startswith("pairs")
    count = _number(numbers[-1]) if numbers else None if many else 1
    if pairs and count and name not in TABLE["pairs"]:
        count = _number(str(2 * count))
    words = [word for kind, word in before if kind == "A"]
    if predicate := PREDICATE.match(kinds):
        span = slice(*predicate.span(predicate.lastindex or 0))
        words += [word for kind, word in behind[span] if kind == "A"]
    return count, *_sorted_out(name, words)


def _number(words: str) -> int:
    """ "two", "2 x", the last of "2-3" as a number; ValueError unless it is 1 to `MAX_COUNT`."""
    spoken = words.replace("-", " ")
    if not {*TABLE["no_counts"], "dozen"} & {*spoken.split()}:
        spoken = spoken.rpartition(" ")[2]
    digits = DIGITS.fullmatch(words)
    number = int(digits[1]) if digits else TABLE["numbers"].get(spoken, 0)
    if not 1 <= number <= MAX_COUNT:
        wanted = f"a whole number from 1 to {MAX_COUNT}, or none"
        raise ValueError(f"cannot draw {words[:40]!r} of a garment: want {wanted}")
    return number


def offered(adjective: str, garment: str) -> bool:
    """Whether pictures of a class can be drawn so."""
    about = _ADJECTIVES[adjective]
    able = TABLE["shares"][about["attribute"]][about["side"]]
    return garment in able and garment not in about["not_for"]


def shares(garment: str, adjectives: Iterable[str]) -> dict[str, float]:
    """By attribute, the share of a class's pictures that should measure less than those asked for.

    They are the measured ones of garments.json (benchmarks/adjectives.py).
    """
    asked = [_ADJECTIVES[name] for name in adjectives]
    able = TABLE["shares"]
    return {one["attribute"]: able[one["attribute"]][one["side"]][garment] for one in asked}


def _sorted_out(garment: str, words: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of adjectives that a garment can have, and of the words those it cannot have.

    Of contradictions all are ignored ("black and white"); "dark grey" is dark.
    """
    plain = dict.fromkeys(JOINT.sub(" ", word) for word in words)
    names = {word: name for word in plain if (name := NAMES[word])}
    able = {word: _ADJECTIVES[name] for word, name in names.items() if offered(name, garment)}
    sides = {(about["attribute"], about["side"]) for about in able.values()}
    low, high = ({name for name, side in sides if side == end} for end in ("low", "high"))
    middle = {w: _ADJECTIVES[n] for w, n in names.items() if _ADJECTIVES[n]["side"] == "middle"}
    shades = [word for word, about in middle.items() if about["attribute"] in low | high]
    lost = [w for w in plain if w not in able or able[w]["attribute"] in low & high]
    kept = [name for word, name in names.items() if word not in (*lost, *shades)]
    return tuple(dict.fromkeys(kept)), tuple(word for word in lost if word not in shades)
