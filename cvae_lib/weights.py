"""Files of published weights: found on this machine, or downloaded once and verified."""

import hashlib
import http.client
import os
import tempfile
import urllib.request
from pathlib import Path
from typing import NamedTuple

TIMEOUT = 30.0  # seconds that a server may be silent


class Published(NamedTuple):
    """A file of weights that anybody can fetch."""

    name: str  # of the network
    url: str
    size: str
    sha256: str
    cache: str  # the path where it is kept; ~ is the home directory
    variable: str  # of the environment, which may name the file


def find_weights(published: Published, chosen: str | Path | None = None) -> Path:
    """The path of a network's weights.

    Looked for in this order: ``chosen``, the environment's variable (and nowhere else if one is
    given), the cache, a download into it; the last two must have the published SHA-256.

    Raises FileNotFoundError, with the remedy, if there is no such file.
    """
    name, url, size, sha256, cache, variable = published
    if given := chosen or os.environ.get(variable):
        path = Path(os.path.expanduser(given))
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f"{path} is no file: weights= or ${variable} must name {name}'s weights"
            )
        return path
    try:
        path = Path(cache).expanduser()  # RuntimeError without a home
        if not (path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256):
            _download(url, path, sha256)
    except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
        raise FileNotFoundError(
            f"no sound {name} weights at {os.path.expanduser(cache)}, and no download ({error}). "
            f"Get {url} ({size}) on another machine and put it there, or name it in ${variable}"
        ) from error
    return path


def _download(url: str, path: Path, sha256: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder, path.name)
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, part.open("wb") as file:
            while chunk := answer.read(1 << 20):
                file.write(chunk)
                digest.update(chunk)
        if digest.hexdigest() != sha256:
            raise ValueError("what came has another SHA-256 than the one published")
        os.replace(part, path)
