"""COCO from its official addresses: val2017 is fetched and checked, for the rest there is curl."""

import shlex
import zipfile
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from cvae_lib.data.coco import coco_root, parse_captions
from cvae_lib.files import DataError, fetch, write_atomically

BASE = "http://images.cocodataset.org"  # it has no certificate of its own: the hashes below vouch
SMALL = {  # archives of less than 1 GB: SHA-256
    "annotations/annotations_trainval2017.zip": (
        "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268"
    ),
    "zips/val2017.zip": "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
}
SPLITS = ("val2017", "train2017", "val2014", "train2014")


def download_coco(split: str, root: str | Path | None = None, progress: bool = False) -> Path:
    """Fetch the photos and captions of val2017 and return the COCO folder that has them.

    What is there is not fetched again; a download, or unpacking, goes on where it was cut off.
    ValueError if ``split`` is none of `SPLITS`; DataError if the server fails, and for an archive
    of 6 to 18 GB (and captions of 2014), with the command that fetches it.
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
    url, path = f"{BASE}/{archive}", folder / "downloads" / Path(archive).name
    if archive not in SMALL:
        where = shlex.quote(str(folder))
        command = f"cd {where} && curl -L -O -C - {url} && unzip -qn {path.name}"
        raise DataError(f"{url} is left to you: fetch it with\n{command}")
    try:
        fetch(url, path, SMALL[archive], progress)
    except OSError as error:
        raise DataError(
            f"cannot fetch {url} ({getattr(error, 'reason', error)}): the same command goes on "
            f"from there. Without a network, copy it to {path} and say the same again"
        ) from error
    with zipfile.ZipFile(path) as content:
        names = [name for name in content.namelist() if name.endswith(".jpg") or "captions" in name]
        for name in tqdm(names, unit=" files", disable=not progress):
            if not (folder / name).is_file():
                write_atomically(folder / name, content.read(name))
    path.unlink()
