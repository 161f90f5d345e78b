"""Files of published weights: found on this machine, or downloaded once and verified."""

import contextlib
import os
from pathlib import Path

from cvae_lib.files import fetch, user_path


def find_weights(
    name: str, chosen: str | Path | None, variable: str, cache: str, url: str, sha: str, size: str
) -> Path:
    """The path of the weights of the network called ``name``.

    It is ``chosen``, else what the environment's ``variable`` names; where neither is given, it is
    ``cache``, into which ``url`` (of ``size``, for a message) is downloaded unless a file with the
    SHA-256 ``sha`` is there.

    Raises FileNotFoundError, with the remedy, if there is no such file.
    """
    if given := chosen or os.environ.get(variable):
        with contextlib.suppress(OSError):  # a home that nobody has, a closed folder
            if (path := user_path(given)).is_file():
                return path
        raise FileNotFoundError(
            f"{given} is no file: weights= or ${variable} must name {name}'s weights"
        )
    try:
        path = user_path(cache)
        fetch(url, path, sha)
        return path
    except OSError as error:
        raise FileNotFoundError(
            f"no sound {name} weights at {os.path.expanduser(cache)}, and no download ({error}). "
            f"Get {url} ({size}) on another machine and put it there, or name it in ${variable}"
        ) from error
