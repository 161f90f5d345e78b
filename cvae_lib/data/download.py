"""COCO from its official addresses: val2017 is fetched and checked, for the rest there is curl."""

from __future__ import annotations

import hashlib
import http.client
import shlex
import urllib.request
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from cvae_lib.data.coco import coco_root, parse_captions
from cvae_lib.files import DataError, write_atomically

BASE = "http://images.cocodataset.org"  # it has no certificate of its own: the hashes below vouch
CAPTIONS, PHOTOS = "annotations/annotations_trainval2017.zip", "zips/val2017.zip"
SMALL = {  # archives of less than 1 GB: bytes, SHA-256
    CAPTIONS: "252907541 113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
    PHOTOS: "815585330 4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
}
SPLITS = ("val2017", "train2017", "val2014", "train2014")
TIMEOUT = 30  # seconds of silence


def download_coco(split: str, root: str | Path | None = None, progress: bool = False) -> Path:
    """Fetch the photos and captions of val2017 and return the COCO folder that has them.

    What is there is not fetched again; a download, or unpacking, goes on where it was cut off.
    ``root`` is the folder, else ``$CVAE_COCO_ROOT``, else one in the user's cache.

    Raises:
        ValueError: if ``split`` is none of `SPLITS`.
        DataError: if the server cannot be reached, cuts off, or sends something else than COCO; for
            an archive of 6 to 18 GB (and captions of 2014), with the command that fetches it.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r} to download: choose one of {', '.join(SPLITS)}")
    folder = coco_root(root)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "annotations" / f"captions_{split}.json"
    with FileLock(folder / ".download.lock"):
        if not path.is_file():
            _get(f"annotations/annotations_trainval{split[-4:]}.zip", folder, progress)
        photos, *_ = parse_captions(path.read_bytes(), path)
        if not all((folder / split / photo.file_name).is_file() for photo in photos):
            _get(f"zips/{split}.zip", folder, progress)
    return folder


def _get(archive: str, folder: Path, progress: bool) -> None:
    """Fetch an archive, check it, unpack its photos or captions, remove it."""
    url, name, place = f"{BASE}/{archive}", Path(archive).name, shlex.quote(str(folder))
    if archive not in SMALL:
        command = f"cd {place} && curl -L -O -C - {url} && unzip -qn {name}"
        raise DataError(f"{url} is left to you: fetch it with\n{command}")
    (size, sha256), part = SMALL[archive].split(), folder / f"{name}.part"
    _fetch(url, part, int(size), progress)
    if hashlib.sha256(np.memmap(part, mode="r").data).hexdigest() != sha256:
        part.unlink()
        raise DataError(f"what {url} sent is not what was published: try again")
    with zipfile.ZipFile(part) as content:
        names = [name for name in content.namelist() if name.endswith(".jpg") or "captions" in name]
        for name in tqdm(names, unit=" files", disable=not progress):
            if not (path := folder / name).is_file():
                write_atomically(path, content.read(name))
    part.unlink()


def _fetch(url: str, part: Path, size: int, progress: bool) -> None:
    """Append to ``part`` what it lacks; begin anew if the server cannot go on."""
    have = part.stat().st_size if part.exists() else 0
    if have >= size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer, part.open("ab") as file:
            if answer.status != 206:
                have = file.truncate(0)
            bar = tqdm(total=size, initial=have, unit="B", unit_scale=True, disable=not progress)
            with bar:
                for block in iter(partial(answer.read, 1 << 16), b""):
                    bar.update(file.write(block))
            if file.tell() < size:
                raise OSError(f"cut off after {file.tell():,} of {size:,} bytes")
    except (OSError, http.client.HTTPException) as why:
        raise DataError(
            f"cannot fetch {url} ({getattr(why, 'reason', None) or why}): the same command goes on "
            f"from there. Without a network, get it elsewhere, copy it to {part}, and say it again"
        ) from why
