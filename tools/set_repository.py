"""Rewrite the repository's address, and its copies at raw.githubusercontent.com and Colab's.

make set-repository URL=https://github.com/OWNER/NAME [BOOK=https://OWNER.github.io/NAME/]

BOOK is where the built book stands: its pages, their previews and sitemap.xml then name addresses.
"""

import re
import subprocess
import sys
from pathlib import Path

NAME = r"(?!\.{0,2}(?:git)?/?$)[\w.-]{1,100}?"
ADDRESS = rf"https://github\.com/([A-Za-z0-9][A-Za-z0-9-]{{0,38}}/{NAME})"
BOOK = r"https?://[\w.-]+(?::\d+)?(?:/[\w.~/-]*)?"
LINE = re.compile(rb'^(  baseurl: )"[^"\n]*"', re.MULTILINE)  # in _config.yml
HOSTS = r"(https://(?:github|raw\.githubusercontent|colab\.research\.google)\.com/(?:github/)?)"

if __name__ == "__main__":
    if not (new := re.fullmatch(rf"{ADDRESS}(?:\.git)?/?", sys.argv[1].strip(), re.ASCII)):
        sys.exit(f"set-repository: {sys.argv[1]!r} is not like https://github.com/OWNER/NAME")
    book = sys.argv[2].strip() if len(sys.argv) > 2 else ""
    if book and not re.fullmatch(BOOK, book, re.ASCII):
        sys.exit(f"set-repository: BOOK={book!r} is not like https://OWNER.github.io/NAME/")
    metadata = Path("pyproject.toml").read_text("utf-8")
    old = re.findall(rf'^Repository = "{ADDRESS}"', metadata, re.MULTILINE)[0]
    # no longer name that begins so: a dot may end a sentence or begin ".git"
    copy = re.compile(rf"{HOSTS}{re.escape(old)}(?![\w-])(?!\.(?!git\b)[\w-])".encode())
    find = ["git", "grep", "--no-index", "--exclude-standard", "-lzIF", old]
    for name in subprocess.check_output(find).decode().split("\0")[:-1]:
        Path(name).write_bytes(copy.sub(rb"\g<1>" + new[1].encode(), Path(name).read_bytes()))
    if book:
        config = Path("_config.yml")
        text, count = LINE.subn(rb'\g<1>"' + book.encode() + b'"', config.read_bytes())
        if count != 1:
            sys.exit(f"set-repository: _config.yml has {count} lines '  baseurl: \"…\"', want 1")
        config.write_bytes(text)
