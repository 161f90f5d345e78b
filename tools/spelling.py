"""Spell the book's prose with aspell, in British English with -ise.

    python tools/spelling.py                       # what is unknown, and where
    python tools/spelling.py --add latent softmax  # accept words, drop those no longer used

Words that aspell does not know and that are right stand in book/wordlist.txt: in small letters a
word may begin a sentence too, with capitals it is taken as it stands.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORDLIST = ROOT / "book" / "wordlist.txt"
ASPELL = ("aspell", "list", "--lang=en_GB", "--master=en_GB-ise", "--encoding=utf-8")

# What is no prose, in the order of removal, and what stands in its place.
NO_PROSE = [
    (r"<!--.*?-->", " "),
    (r"^```\{exercise-start\}(.*)$", r"\1\n```"),  # its title is prose
    (r"^(`{3,})[^`\n]*\n.*?^\1`*$", " "),  # fenced code and directives
    (r"^:{3,}(\{[^}]*\})?", " "),  # a directive's fence; its content is prose
    (r"^:[a-z-]+:.*$", " "),  # a directive's option
    (r"\$\$.*?\$\$(\s*\(eq-[^)]*\))?", " "),
    (r"\{term\}`([^`<]*?)(\s*<[^>]*>)?`", r"\1"),
    (r"\{[a-z:]+\}`[^`]*`", " "),
    (r"(`+)(?!`).*?(?<!`)\1(?!`)", " "),
    (r"\$[^$]*\$", " "),
    (r"<https?://[^>]*>", " "),
    (r"\]\([^)]*\)", "] "),
    (r"https?://\S+", " "),
    (r"</?[a-zA-Z][^>]*>", " "),
    (r"&[a-z]+;", " "),
    (r"(?<=\w)[’']s\b", ""),
    (r"[’‘]", "'"),
    (r"\S*(?:[\d_@/\\=]|\w\.\w)\S*", " "),  # numbers, file names, options
]


def prose(text: str) -> str:
    """The words of a Markdown text: without code, maths, addresses, keys and tags."""
    for pattern, instead in NO_PROSE:
        flags = re.M | re.S if ".*?" in pattern else re.M
        text = re.sub(pattern, instead, text, flags=flags)
    return text


def texts(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """(place, prose) of every Markdown page, and of every cell, caption and alt text."""
    for path in [root / "README.md", root / "CONTRIBUTING.md", *sorted(root.glob("book/*.md"))]:
        yield path.relative_to(root).as_posix(), prose(path.read_text(encoding="utf-8"))
    for path in sorted(root.glob("book/*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            place = f"{path.relative_to(root).as_posix()}, cell {cell['id']}"
            if cell["cell_type"] == "markdown":
                yield place, prose("".join(cell["source"]))
                continue
            shown = cell["metadata"].get("mystnb", {})
            caption = shown.get("figure", {}).get("caption", "")
            yield place, prose(f"{caption}\n\n{shown.get('image', {}).get('alt', '')}")


def unknown(text: str) -> set[str]:
    """The words of a text that aspell does not know."""
    done = subprocess.run(
        ASPELL, input=text, capture_output=True, text=True, encoding="utf-8", check=True
    )
    return {word.strip("'") for word in done.stdout.split()}


def entry(word: str, accepted: set[str]) -> str | None:
    """The entry of the list that accepts a word."""
    if word in accepted:
        return word
    small = word[0].lower() + word[1:]
    return small if small in accepted else None


def order(words: set[str]) -> list[str]:
    """Sorted as in the list: small and capital letters together."""
    return sorted(words, key=lambda word: (word.lower(), word))


def report(root: Path, accepted: set[str]) -> tuple[dict[str, set[str]], set[str]]:
    """The wrong words of each place, and the accepted words that no text uses."""
    found = list(texts(root))
    candidates = unknown("\n\n".join(text for _, text in found))
    entries = {word: entry(word, accepted) for word in candidates}
    wrong = {word for word, accepted_as in entries.items() if accepted_as is None}
    places: dict[str, set[str]] = {}
    for place, text in found:
        for word in re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text):
            if word in wrong:
                places.setdefault(place, set()).add(word)
    seen = {word for words in places.values() for word in words}
    if wrong - seen:
        places["somewhere"] = wrong - seen
    return places, accepted - {name for name in entries.values() if name}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--add", nargs="+", default=[], metavar="WORD", help="accept these")
    added = set(parser.parse_args().add)
    if shutil.which("aspell") is None:
        parser.error("no aspell here: on Debian, apt-get install aspell aspell-en")
    accepted = set(WORDLIST.read_text(encoding="utf-8").split()) | added
    places, unused = report(ROOT, accepted)
    if added:
        WORDLIST.write_text("\n".join(order(accepted - unused)) + "\n", encoding="utf-8")
        unused = set()
    for place, words in places.items():
        print(f"{place}: {', '.join(order(words))}")
    if unused:
        print(f"no longer used, to be removed from {WORDLIST.name}: {' '.join(order(unused))}")
    if places:
        words = {word for found in places.values() for word in found}
        words -= {word for word in words if word[0].lower() + word[1:] in words - {word}}
        print("\nMend what is wrong, and accept what is right:\n")
        print(f"{sys.executable} tools/spelling.py --add {' '.join(order(words))}")
    sys.exit(bool(places or unused))


if __name__ == "__main__":
    main()
