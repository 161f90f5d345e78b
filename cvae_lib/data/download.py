"""COCO from its official addresses: with resume, checked, and nothing outside its folder."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import stat
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from cvae_lib.data.coco import coco_root, is_inside, parse_captions
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
MEMBER = 1 << 30  # bytes: no file in these archives is larger
BLOCK = 1 << 20
TIMEOUT = 30  # seconds of silence


def download_coco(split: str, root: str | Path | None = None, progress: bool = False) -> Path:
    """Fetch the photos and captions of a split and return the COCO folder that has them.

    What is there already is not fetched again: a download goes on where it was cut off, an
    unpacking at the first file that is missing or damaged. An archive that somebody else put into
    the folder is used. Archives are removed when everything is unpacked.

    Args:
        split: one of `SPLITS`; 0.8, 18, 6 and 13 GB, and 0.25 GB of captions.
        root: the folder; else ``$CVAE_COCO_ROOT``; else one in the user's cache.
        progress: show a bar on stderr.

    Raises:
        ValueError: for another split.
        DataError: if the server cannot be reached, cuts off, or offers something else than COCO;
            the same command goes on.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r} to download: choose one of {', '.join(SPLITS)}")
    folder = coco_root(root)
    folder.mkdir(parents=True, exist_ok=True)
    captions = folder / "annotations" / f"captions_{split}.json"
    with FileLock(folder / ".download.lock"):
        if not captions.is_file():
            wanted = r"annotations/captions_(train|val)\d{4}\.json"
            address = f"{BASE}/annotations/annotations_trainval{split[-4:]}.zip"
            _get(address, ARCHIVES[f"trainval{split[-4:]}"], wanted, folder, progress)
        photos, _, _ = parse_captions(captions.read_bytes(), captions)
        if not all((folder / split / photo.file_name).is_file() for photo in photos):
            address, wanted = f"{BASE}/zips/{split}.zip", rf"{split}/\w+\.jpg"
            _get(address, ARCHIVES[split], wanted, folder, progress)
    return folder


def extract(archive: Path, folder: Path, wanted: str, progress: bool = False) -> None:
    """Unpack the members whose whole name matches ``wanted``, each checked, each wholly or not.

    Raises:
        DataError: if the archive is damaged, or a name or a link in it leads out of ``folder``.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            for member in content.infolist():
                is_link = stat.S_ISLNK(member.external_attr >> 16)
                if is_link or not is_inside(member.filename) or member.file_size > MEMBER:
                    raise DataError(
                        f"{archive} holds {member.filename!r}: a link, too large, or a way out of "
                        "the folder; COCO has no such file. Delete the archive"
                    )
            members = [m for m in content.infolist() if re.fullmatch(wanted, m.filename)]
            if not members:
                raise DataError(f"{archive} holds nothing called {wanted}: delete it")
            for member in tqdm(members, unit=" files", disable=not progress):
                path = folder / member.filename
                if not path.is_file() or zlib.crc32(path.read_bytes()) != member.CRC:
                    write_atomically(path, content.read(member))
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
        raise DataError(
            f"{archive} is damaged ({error}): delete it, and the same command fetches it again"
        ) from error


def _get(url: str, published: str, wanted: str, folder: Path, progress: bool) -> None:
    """Fetch an archive unless it is there, check it, unpack it, remove it."""
    archive = folder / url.rpartition("/")[2]
    size, sha256 = published.split()
    if not archive.is_file():
        _fetch(url, archive, int(size), progress)
    with archive.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(BLOCK):
            digest.update(block)
    if digest.hexdigest() != sha256:
        raise DataError(
            f"{archive} is not what was published (SHA-256 {sha256}): delete it, and the same "
            "command fetches it again"
        )
    extract(archive, folder, wanted, progress)
    archive.unlink()


def _fetch(url: str, path: Path, size: int, progress: bool) -> None:
    part, tag = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.etag")
    try:
        _receive(url, part, tag, size, progress)
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as why:
        reason = getattr(why, "reason", None) or why
        raise DataError(
            f"cannot fetch {url} ({reason}): the same command tries again, from where it was. "
            f"Without a network, get it elsewhere and copy it to {path}"
        ) from why
    if (have := part.stat().st_size) != size:
        raise DataError(
            f"{url} was cut off after {have:,} of {size:,} bytes: the same command goes on there"
        )
    os.replace(part, path)
    tag.unlink(missing_ok=True)


def _receive(url: str, part: Path, tag: Path, size: int, progress: bool) -> None:
    """Receive into ``part`` what it lacks; all of it if the file on the server is another one."""
    start = part.stat().st_size if part.exists() else 0
    etag = tag.read_text() if tag.exists() else ""
    if start == size:
        return
    request = urllib.request.Request(url)
    if start and etag:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", etag)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        if resumed := response.status == 206:
            offer, want = response.headers["Content-Range"], f"bytes {start}-{size - 1}/{size}"
        else:
            offer, want = response.headers["Content-Length"], str(size)
        if offer != want:
            raise DataError(f"{url} offers {offer!r} bytes, want {want!r}: not the published file")
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(
                total=size,
                initial=file.tell(),
                unit="B",
                unit_scale=True,
                disable=not progress,
            ) as bar,
        ):
            tag.write_text(response.headers["ETag"] or "")
            while block := response.read(BLOCK):
                file.write(block)
                bar.update(len(block))
