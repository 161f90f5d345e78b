"""The prose is spelt in British English, and the list of accepted words holds what is needed."""

import shutil
from pathlib import Path

import pytest
import spelling

needs_aspell = pytest.mark.skipif(
    shutil.which("aspell") is None, reason="no aspell here: on Debian, aspell and aspell-en"
)


@needs_aspell
def test_every_word_of_the_book_is_known() -> None:
    accepted = set(spelling.WORDLIST.read_text(encoding="utf-8").split())
    wrong, unused = spelling.report(spelling.ROOT, accepted)
    lines = [f"{place}: {', '.join(sorted(words))}" for place, words in wrong.items()]
    assert not lines, "\n".join([*lines, "`make spelling` says how to accept a word"])
    assert not unused, f"no text uses {sorted(unused)}: remove them from {spelling.WORDLIST.name}"


def test_the_list_is_sorted_and_has_no_word_twice() -> None:
    words = spelling.WORDLIST.read_text(encoding="utf-8").splitlines()
    assert words == spelling.order(set(words))


@pytest.mark.parametrize(
    ("markdown", "left"),
    [
        ("a `tset` and ``a ` tset``", "a and"),
        ("```bash\nmaek\n```\nword", "word"),
        ("````\n```python\nmaek\n```\n````\nword", "word"),
        ("```{exercise-start} A title\n:label: ex-04-1\n```\n\nTask.", "A title Task."),
        ("```{solution-start} ex-04-1\n:label: sol-04-1\n:class: dropdown\n```\n\nWhy.", "Why."),
        ("```{solution-end}\n```\n\nword", "word"),
        (":::{admonition} Key idea\n:class: tip\n\nword\n:::", "Key idea word"),
        ("$\\mathrm{KL}$ is $$\nx \\geq 0\n$$ (eq-04-kl) small", "is small"),
        (
            "{cite:p}`kingma2014auto` {numref}`fig-04-x` {term}`nats <nat>` {term}`rate`",
            "nats rate",
        ),
        ("[text](https://a.example/tset) <https://b.example> https://c.example", "[text]"),
        ('<details class="answer" name="04-q1"><summary>An option</summary>', "An option"),
        ("`make` README.md 0.8 x_1 the model’s don’t", "the model don't"),
    ],
)
def test_what_is_no_prose_is_left_out(markdown: str, left: str) -> None:
    assert spelling.prose(markdown).split() == left.split()


@needs_aspell
def test_a_wrong_word_is_reported_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "README.md").write_text("A tset of the ELBO. Nats, the VAE's.", encoding="utf-8")
    (tmp_path / "CONTRIBUTING.md").write_text("The color was realized.", encoding="utf-8")
    (tmp_path / "book" / "01.ipynb").write_text(
        '{"cells": [{"id": "01-a", "cell_type": "code", "source": ["tset"], "metadata":'
        ' {"mystnb": {"image": {"alt": "A piture."}, "figure": {"caption": "Two shooes."}}}}]}',
        encoding="utf-8",
    )
    wrong, unused = spelling.report(tmp_path, {"ELBO", "nats", "VAE", "axolotl"})
    assert wrong == {
        "README.md": {"tset"},
        "CONTRIBUTING.md": {"color", "realized"},
        "book/01.ipynb, cell 01-a": {"piture", "shooes"},
    }
    assert unused == {"axolotl"}
