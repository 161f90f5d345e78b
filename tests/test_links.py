"""tools/check_links.py on small made-up books."""

from pathlib import Path

import check_links
import pytest


def book(root: Path, **pages: str) -> Path:
    for name, body in pages.items():
        (root / f"{name}.html").write_text(f"<html><body>{body}</body></html>", encoding="utf-8")
    return root


def test_a_sound_book_has_no_faults(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text("<a href='../index.html#a%20b'>up</a>")
    (tmp_path / "a.png").touch()
    book(
        tmp_path,
        index="<p id='a b'><a href='one.html#two'>1</a><a href='#'>top</a><a href='sub/'>s</a>"
        "<img src='a.png' alt='a shoe'><a href='https://a.example/x#y'>out</a>"
        "<a href='mailto:a@a.example'>mail</a><a href='?q=1'>self</a>",
        one="<span id='two'></span><a href='/index.html'>home</a><img src='data:,' alt='dot'>",
    )
    assert check_links.check(tmp_path) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<a href='gone.html'>x</a>", "index.html:1: no such file: gone.html"),
        ("<a href='../out.html'>x</a>", "index.html:1: no such file: ../out.html"),
        ("<script src='gone.js'></script>", "index.html:1: no such file: gone.js"),
        ("<link href='gone.css'>", "index.html:1: no such file: gone.css"),
        ("\n<a href='#gone'>x</a>", "index.html:2: no such anchor: #gone"),
        ("<a href='index.html#gone'>x</a>", "index.html:1: no such anchor: index.html#gone"),
        ("<img src='data:,'>", "index.html:1: picture without alt text: data:,"),
        ("<img src='data:,' alt=' '>", "index.html:1: picture without alt text: data:,"),
        (
            "<img src='data:,' alt='_images/a.png'>",
            "index.html:1: picture without alt text: data:,",
        ),
    ],
)
def test_a_fault_is_named_with_its_place(body: str, fault: str, tmp_path: Path) -> None:
    assert check_links.check(book(tmp_path, index=body)) == [fault]


def test_a_page_that_forwards_is_followed(tmp_path: Path) -> None:
    forward = "<meta http-equiv='Refresh' content='0; url=one.html' />"
    book(tmp_path, index=forward, one="<a href='gone.html'>x</a>")
    assert check_links.check(tmp_path) == ["one.html:1: no such file: gone.html"]


def test_faults_on_later_pages_are_found_and_those_of_stale_pages_are_not(tmp_path: Path) -> None:
    book(
        tmp_path,
        index="<a href='one.html'>1</a>",
        one="<a href='index.html'>back</a><a href='gone.html'>x</a>",
        stale="<a href='also-gone.html'>x</a>",
    )
    assert check_links.check(tmp_path) == ["one.html:1: no such file: gone.html"]
