"""Rewrite the repository's address, and its copies at raw.githubusercontent.com and Colab's.

make set-repository URL=https://github.com/OWNER/NAME
"""

import re
import subprocess
import sys
from pathlib import Path

ADDRESS = (
    r"https://github\.com/([A-Za-z0-9][A-Za-z0-9-]{0,38}/(?!\.{0,2}(?:git)?/?$)[\w.-]{1,100}?)"
)
HOSTS = r"(https://(?:github|raw\.githubusercontent|colab\.research\.google)\.com/(?:github/)?)"

if __name__ == "__main__":
    new = re.fullmatch(rf"{ADDRESS}(?:\.git)?/?", sys.argv[1].strip(), re.ASCII)
    if not new:
        sys.exit(f"set-repository: {sys.argv[1]!r} is not like https://github.com/OWNER/NAME")
    metadata = Path("pyproject.toml").read_text("utf-8")
    old = re.findall(rf'^Repository = "{ADDRESS}"', metadata, re.MULTILINE)[0]
    # no longer name that begins so: a dot may end a sentence or begin ".git"
    copy = re.compile(rf"{HOSTS}{re.escape(old)}(?![\w-])(?!\.(?!git\b)[\w-])".encode())
    find = ["git", "grep", "--no-index", "--exclude-standard", "-lzIF", old]
    found = subprocess.run(find, stdout=subprocess.PIPE, check=True).stdout.decode()
    for name in found.split("\0")[:-1]:
        text = Path(name).read_bytes()
        Path(name).write_bytes(copy.sub(rb"\g<1>" + new[1].encode(), text))
