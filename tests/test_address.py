"""The built book names the repository that it was built from, and none that it cannot know."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import address
import pytest
import small_book

ROOT = Path(__file__).parent.parent
NAMED = f"https://github.com/{address.named()}"
PAGE = f"""
[The script]({NAMED}/blob/main/benchmarks/pretrain.py), [its kin]({NAMED}-kin) and [elsewhere](https://github.com/a/b).

```bash
git clone {NAMED}
```
"""


@pytest.mark.parametrize(
    ("remote", "slug"),
    [
        ("https://github.com/ada/my.book", "ada/my.book"),
        ("https://github.com/ada/my.book.git/", "ada/my.book"),
        ("https://ada:secret@github.com/ada/book.git", "ada/book"),
        ("git@github.com:ada/book.git\n", "ada/book"),
        ("ssh://git@github.com/ada/book", "ada/book"),
        ("/srv/git/book", None),
        ("https://example.org/ada/book", None),
        ("https://github.com.example.org/ada/book", None),
        ("https://github.com/ada", None),
        ("https://github.com/ada/<script>", None),
        ("", None),
    ],
)
def test_a_remote_tells_owner_and_name(remote: str, slug: str | None) -> None:
    assert address.slug_of(remote) == slug


def test_the_workflow_tells_before_the_remote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert address.found(tmp_path) is None
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    remote = ["git", "-C", tmp_path, "remote", "add", "origin", "git@github.com:ada/book.git"]
    subprocess.run(remote, check=True)
    address.found.cache_clear()
    assert address.found(tmp_path) == "ada/book"
    address.found.cache_clear()
    monkeypatch.setenv("GITHUB_REPOSITORY", "grace/fork")
    assert address.found(tmp_path) == "grace/fork"
    address.found.cache_clear()
    monkeypatch.setenv("GITHUB_REPOSITORY", "https://github.com/grace")
    with pytest.raises(ValueError, match="want OWNER/NAME"):
        address.found(tmp_path)
    address.found.cache_clear()


def test_only_the_sources_address_is_replaced() -> None:
    text = (
        f"{NAMED}.git {NAMED}/x {NAMED}-kin https://raw.githubusercontent.com/{address.named()}/a"
    )
    assert address.rewrite(text, "a/b") == (
        f"https://github.com/a/b.git https://github.com/a/b/x {NAMED}-kin "
        "https://raw.githubusercontent.com/a/b/a"
    )


def built(folder: Path, **environment: str) -> tuple[str, str, str]:
    """The small book's two pages, and the notebook that the second lets one download."""
    small_book.need_packages()
    small_book.write(folder, more=PAGE)
    done = small_book.build(folder, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    html = folder / "_build" / "html"
    first, second = (html / "book" / f"{name}.html" for name in ("index", "second"))
    notebook = html / "_sources" / "book" / "index.md"
    return first.read_text("utf-8"), second.read_text("utf-8"), notebook.read_text("utf-8")


def test_a_fork_s_book_leads_to_the_fork(tmp_path: Path) -> None:
    first, second, source = built(tmp_path, GITHUB_REPOSITORY="ada/my.book", COLAB_BRANCH="colab")
    fork = "https://github.com/ada/my.book"
    assert f'href="{fork}/blob/main/benchmarks/pretrain.py"' in first
    assert f'href="{NAMED}-kin"' in first and 'href="https://github.com/a/b"' in first
    assert f"git clone {fork}\n" in first.replace("<span></span>", "")
    assert f"git clone {fork}\n" in source
    colab = "https://colab.research.google.com/github/ada/my.book/blob/colab/book/second.ipynb"
    assert colab in second and f'href="{fork}"' in second
    assert "does not know where its repository is" not in first + second


def test_a_book_without_an_address_has_no_button_that_cannot_work(tmp_path: Path) -> None:
    first, second, _ = built(tmp_path, GITHUB_REPOSITORY="")
    assert f'href="{NAMED}/' not in first + second and "The script" in first
    assert "colab.research.google.com" not in second and "issues/new" not in second
    for page in (first, second):
        assert "git remote add origin" in page


def test_the_chapters_for_colab_name_the_fork(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "address.py"), "--notebooks", str(tmp_path)]
    environment = {"GITHUB_REPOSITORY": "ada/book", "PATH": "/usr/bin:/bin"}
    subprocess.run(command, env=environment, check=True)
    written = sorted(tmp_path.glob("*.ipynb"))
    assert len(written) == len(list((ROOT / "book").glob("*.ipynb")))
    for path in written:
        assert "git+https://github.com/ada/book" in path.read_text("utf-8")
        assert NAMED not in path.read_text("utf-8")
