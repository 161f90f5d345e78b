"""Published weights: where they are looked for, and a download that is verified or says why not."""

from __future__ import annotations

import hashlib
import io
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import requests

from cvae_lib import files
from cvae_lib.files import find_weights

CONTENT = b"the weights of a network"
VARIABLE = "CVAE_NETWORK_WEIGHTS"
URL = "https://weights.example/network.pt"


def find() -> Path:
    cache, sha = "~/.cache/network/network.pt", hashlib.sha256(CONTENT).hexdigest()
    return find_weights("Network", VARIABLE, cache, URL, sha, "24 bytes")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without weights, and no network."""

    def refuse(*_: Any, **__: Any) -> None:
        raise requests.ConnectionError("no route to host")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(requests, "get", refuse)
    return tmp_path


@pytest.fixture
def cached(home: Path) -> Path:
    """Where the weights would be kept; its folder exists."""
    path = home / ".cache/network/network.pt"
    path.parent.mkdir(parents=True)
    return path


def test_what_the_variable_names_wins_then_the_cache(
    home: Path, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached.write_bytes(CONTENT)
    assert find() == cached
    (home / "named.pt").write_bytes(b"fine-tuned")  # nobody knows what it should be
    monkeypatch.setenv(VARIABLE, "~/named.pt")
    assert find() == home / "named.pt"


@pytest.mark.parametrize("place", ["elsewhere.pt", "~nobody-of-that-name/weights.pt", "."])
def test_what_is_named_must_be_a_file(
    home: Path, cached: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached.write_bytes(CONTENT)
    message = rf"{re.escape(place)} is no file: want Network's weights in \${VARIABLE}"
    monkeypatch.setenv(VARIABLE, place)
    with pytest.raises(FileNotFoundError, match=message):
        find()


def test_without_weights_and_network_the_error_says_what_to_do(cached: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        find()
    message = str(error.value)
    assert URL in message and "no route to host" in message and "24 bytes" in message
    assert str(cached) in message and f"${VARIABLE}" in message
    assert not list(cached.parent.iterdir())


@pytest.mark.parametrize("sound", [True, False])
def test_a_download_is_verified_and_leaves_nothing_else(
    cached: Path, sound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer(url: str, timeout: float, **_: Any) -> requests.Response:
        asked.append((url, timeout))
        response = requests.Response()
        response.status_code = 200
        response.raw = io.BytesIO(CONTENT if sound else b"Please log in to the hotel's network.")
        return response

    monkeypatch.setattr(requests, "get", answer)
    cached.write_bytes(CONTENT[:-1])  # damaged: what is published takes its place
    if sound:
        assert find() == find() == cached
        assert cached.read_bytes() == CONTENT
    else:
        with pytest.raises(FileNotFoundError, match=r"no sound Network weights.*another SHA-256"):
            find()
        assert cached.read_bytes() == CONTENT[:-1]
    assert asked == [(URL, 30)]
    assert list(cached.parent.iterdir()) == [cached]


def test_a_proxy_that_accepts_and_says_nothing_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(files, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(FileNotFoundError, match=r"no download \(.*timed out.*Get https://"):
            find()


def test_no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("os.path.expanduser", str)
    with pytest.raises(FileNotFoundError, match=r"no download \(.*no home folder is known"):
        find()
    assert not list(tmp_path.iterdir()), "a folder called ~"


def test_a_home_that_cannot_be_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Any, *_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.makedirs", closed)  # root, as whom some run this, may write everywhere
    with pytest.raises(FileNotFoundError, match=r"no download \(.*Permission denied"):
        find()
