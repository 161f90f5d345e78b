"""Rewrite the repository's address, and every copy of it, from what pyproject.toml says to URL.

    make set-repository URL=https://github.com/OWNER/NAME

The address stands in `[project.urls] Repository`. Copies are links to github.com (also
`git+https://`), raw.githubusercontent.com and Colab's `/github/`, in any text file here.
Needs Python alone: no environment, no other package.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWNER = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})"
NAME = r"[A-Za-z0-9._-]{1,100}"
HOSTS = (
    "https://github.com/",
    "https://raw.githubusercontent.com/",
    "https://colab.research.google.com/github/",
)
SKIP = {".git", ".venv", "_build", "__pycache__", "node_modules", "runs"}


def slug(url: str) -> str:
    """`OWNER/NAME` of a GitHub address, without a final slash or `.git`; else ValueError."""
    match = re.fullmatch(rf"https://github\.com/({OWNER})/({NAME}?)(?:\.git)?/?", url.strip())
    if match is None or match[2] in {".", "..", ".git"}:
        raise ValueError(
            f"{url!r} is no repository address; it looks like https://github.com/OWNER/NAME"
        )
    return f"{match[1]}/{match[2]}"


def current(root: Path) -> str:
    """`OWNER/NAME` as pyproject.toml has it."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    match = re.search(r'^Repository\s*=\s*"([^"]*)"', text, re.MULTILINE)
    if match is None:
        raise ValueError(
            f'{root / "pyproject.toml"} has no line Repository = "https://github.com/…"'
        )
    return slug(match[1])


def copies(old: str) -> re.Pattern[str]:
    """Matches every address of the repository `old`, and no other that merely begins like it."""
    hosts = "|".join(re.escape(host) for host in HOSTS)
    # after it: no more of a name; a dot may end a sentence or begin ".git"
    return re.compile(rf"({hosts}){re.escape(old)}(?![A-Za-z0-9_-])(?!\.(?!git\b)[A-Za-z0-9_-])")


def text_files(root: Path) -> list[Path]:
    """The repository's files: git's list, or, without git, everything outside build folders."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root, check=True, capture_output=True,
        ).stdout.decode()  # fmt: skip
        paths = [root / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [p for p in root.rglob("*") if not SKIP.intersection(p.relative_to(root).parts)]
    return sorted({path for path in paths if path.is_file() and not path.is_symlink()})


def read_text(path: Path) -> str | None:
    """The file's text with its line ends as they are, or None if it is no UTF-8 text."""
    content = path.read_bytes()
    if b"\0" in content[:8192]:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def set_repository(root: Path, url: str) -> list[Path]:
    """Rewrite every copy to `url` and return the changed files; nothing changes on an error."""
    new, old = slug(url), current(root)
    if new == old:
        return []
    pattern = copies(old)
    changed: dict[Path, str] = {}
    for path in text_files(root):
        text = read_text(path)
        if text is None:
            continue
        rewritten, count = pattern.subn(lambda match: match[1] + new, text)
        if count:
            if path.suffix == ".ipynb":
                json.loads(rewritten)
            changed[path] = rewritten
    for path, text in changed.items():
        path.write_bytes(text.encode("utf-8"))
    return sorted(changed)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not arguments[0]:
        print("usage: make set-repository URL=https://github.com/OWNER/NAME", file=sys.stderr)
        return 2
    try:
        changed = set_repository(ROOT, arguments[0])
    except ValueError as error:
        print(f"set-repository: {error}", file=sys.stderr)
        return 2
    if not changed:
        print(f"The address is https://github.com/{current(ROOT)} already.")
    for path in changed:
        print(path.relative_to(ROOT).as_posix())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
