"""COCO from its official addresses, checked: small archives are fetched, large ones named."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shlex
import urllib.request
import zipfile
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from cvae_lib.data.annotations import parse_captions
from cvae_lib.data.coco import coco_root
from cvae_lib.files import DataError, write_atomically

BASE = "http://images.cocodataset.org"  # it has no certificate of its own: the hashes below vouch
ARCHIVES = {  # bytes, SHA-256
    "train2014": "13510573713 ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
    "train2017": "19336861798 69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
    "val2014": "6645013297 fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
    "val2017": "815585330 4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
    "trainval2014": "252872794 031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
    "trainval2017": "252907541 113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
}
SPLITS = ("val2017", "train2017", "val2014", "train2014")
LARGE = 10**9  # bytes: what is larger is left to a tool made for it
BLOCK = 1 << 20
TIMEOUT = 30  # seconds of silence


def download_coco(split: str, root: str | Path | None = None, progress: bool = False) -> Path:
    """Fetch the photos and captions of a split and return the COCO folder that has them.

    What is there already is not fetched again: a download goes on where it was cut off, an
    unpacking at the first missing file. An archive that somebody put into the folder is used, and
    one of more than 1 GB has to be: all but val2017. Archives are removed when they are unpacked.

    Args:
        split: one of `SPLITS`; 0.8, 18, 6 and 13 GB, and 0.25 GB of captions.
        root: the folder; else ``$CVAE_COCO_ROOT``; else one in the user's cache.
        progress: show a bar on stderr.

    Raises:
        ValueError: for another split.
        DataError: if an archive is large, with the command that fetches it; if the server cannot be
            reached, cuts off, or sends something else than COCO, whereupon the same call goes on.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r} to download: choose one of {', '.join(SPLITS)}")
    folder, year = coco_root(root), split[-4:]
    folder.mkdir(parents=True, exist_ok=True)
    captions = folder / "annotations" / f"captions_{split}.json"
    with FileLock(folder / ".download.lock"):
        if not captions.is_file():
            wanted = r"annotations/captions_(train|val)\d{4}\.json"
            url = f"{BASE}/annotations/annotations_trainval{year}.zip"
            _get(url, ARCHIVES[f"trainval{year}"], wanted, folder, progress)
        photos, _, _ = parse_captions(captions.read_bytes(), captions)
        if not all((folder / split / photo.file_name).is_file() for photo in photos):
            url, wanted = f"{BASE}/zips/{split}.zip", rf"{split}/\w+\.jpg"
            _get(url, ARCHIVES[split], wanted, folder, progress)
    return folder


def _get(url: str, published: str, wanted: str, folder: Path, progress: bool) -> None:
    """Fetch an archive unless it is there; unpack the members called ``wanted``; remove it."""
    archive = folder / url.rpartition("/")[2]
    size, sha256 = published.split()
    if archive.is_file():
        if _sha256(archive) != sha256:
            raise DataError(f"{archive} is not the published one (SHA-256 {sha256}): move it away")
    elif int(size) > LARGE:
        raise DataError(
            f"{url} has {int(size) / 1e9:.1f} GB: fetch it with\n"
            f"curl --location --continue-at - --output {shlex.quote(str(archive))} {url}\n"
            "and the same command checks and unpacks it"
        )
    else:
        part = archive.with_name(f"{archive.name}.part")
        _fetch(url, part, int(size), progress)
        if _sha256(part) != sha256:
            part.unlink()
            raise DataError(f"what {url} sent is not what was published: try again")
        os.replace(part, archive)
    with zipfile.ZipFile(archive) as content:
        members = [m for m in content.infolist() if re.fullmatch(wanted, m.filename)]
        for member in tqdm(members, unit=" files", disable=not progress):
            if not (path := folder / member.filename).is_file():
                write_atomically(path, content.read(member))
    archive.unlink()


def _fetch(url: str, part: Path, size: int, progress: bool) -> None:
    """Append to ``part`` what it lacks; begin anew if the server cannot go on."""
    have = part.stat().st_size if part.exists() else 0
    if have >= size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer, part.open("ab") as file:
            if answer.status != 206:
                file.truncate(have := 0)
            bar = tqdm(total=size, initial=have, unit="B", unit_scale=True, disable=not progress)
            with bar:
                while have < size and (block := answer.read(BLOCK)):
                    file.write(block)
                    have += len(block)
                    bar.update(len(block))
    except (OSError, http.client.HTTPException) as why:
        raise DataError(
            f"cannot fetch {url} ({getattr(why, 'reason', None) or why}): the same command goes on "
            "from where it was. Without a network, get it elsewhere and copy it to "
            f"{part.with_suffix('')}"
        ) from why
    if have < size:
        raise DataError(
            f"{url} was cut off after {have:,} of {size:,} bytes: the same command goes on there"
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
