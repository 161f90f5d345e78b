"""COCO captions: photos decoded and captions encoded once, into arrays that are memory-mapped."""

from __future__ import annotations

import json
import os
import re
import stat
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cvae_lib.data.annotations import Photo, parse_captions
from cvae_lib.data.array_cache import cached_array, sha256
from cvae_lib.data.photos import KINDS, square
from cvae_lib.data.scenes import STYLES
from cvae_lib.data.sets import CaptionedSet, TextEncoder
from cvae_lib.files import DataError, cache_root, user_path

VERSION = 2  # of the cached arrays: raise it if the same files give other arrays or other chunks
CHUNK = 256  # photos that are decoded, written and vouched for together
TEXTS = 1024  # captions that are encoded together
REMEDY = (
    "A COCO folder has annotations/captions_SPLIT.json and the images in SPLIT/. Name yours in "
    "$CVAE_COCO_ROOT; or python -m cvae_lib data coco --download val2017 fetches one, "
    "python -m cvae_lib data scenes --out DIR draws one"
)


@dataclass(frozen=True)
class CocoReport:
    """How many images and captions a split has, were left out, or were mended."""

    images: int  # used; so many rows the array has
    captions: int  # of these images
    missing: int  # captioned images without a file
    broken: int  # captioned images that are cut off, damaged, too large, or neither JPEG nor PNG
    uncaptioned: int  # images without a caption; their files are not looked at
    orphans: int  # captions of an image that is not listed
    empty: int  # captions without a letter or digit
    grey: int  # used images that were turned to RGB, as the next two
    cmyk: int
    palette: int
    alpha: int  # used images with transparency, which were laid over white
    rotated: int  # used images that were turned upright, as their EXIF data say
    odd: tuple[str, ...] = ()  # the first of the empty captions, with their images' ids


@dataclass(frozen=True)
class CocoImages:
    """The images of a split, uint8 (N, 3, size, size), and the photo that each shows."""

    images: np.ndarray
    photos: list[Photo]
    report: CocoReport
    source: str
    real: bool
    sha256: str  # stands for the content of ``images``


def coco_captions(
    split: str,
    size: int,
    root: str | Path | None = None,
    *,
    encoder: TextEncoder,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> CaptionedSet:
    """Return one split of a COCO folder: images (N, 3, size, size), vectors float16 (M, D).

    The first call decodes the photos (see `coco_images`, which also has the report) and encodes the
    captions; a later one opens both as memory maps. The vectors serve every size.

    Args:
        encoder: turns the captions into vectors.
        split, size, root, cache, workers, progress: as in `coco_images`.

    Raises:
        DataError: as `coco_images`.
        ValueError: as `coco_images`; or if the encoder's vectors have another shape than it says,
            or do not fit into float16.
    """
    found = coco_images(split, size, root, cache=cache, workers=workers, progress=progress)
    captions = [caption for photo in found.photos for caption in photo.captions]
    truths = [photo.truth for photo in found.photos if photo.truth is not None]
    told = len(truths) == len(found.photos)
    key = {"version": VERSION, "encoder": encoder.name, "fingerprint": encoder.fingerprint}
    key["captions"] = sha256(json.dumps(captions).encode())
    encode = partial(_encode, encoder, captions, progress)
    name = f"{split}-captions"
    vectors, about = cached_array(_cache(cache), name, key, (encoder.dim,), np.float16, encode)
    counts = [len(photo.captions) for photo in found.photos]
    starts = np.cumsum([0, *counts], dtype=np.int64)
    content = found.sha256.encode() + about["sha256"].encode() + starts.tobytes()
    return CaptionedSet(
        found.images,
        vectors,
        starts,
        captions,
        truths if told else None,
        found.source,
        found.real,
        styles=STYLES if told and set(counts) == {len(STYLES)} else (),
    ).known_as(sha256(content))


def coco_images(
    split: str,
    size: int,
    root: str | Path | None = None,
    *,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> CocoImages:
    """Return the images of a split, upright, cut to the central square and resized; and a report.

    Images are sorted by id. One without a caption, or without a file that can be read, is left out
    and counted.

    Args:
        split: "val2017", "train2014", …: captions in ``ROOT/annotations/captions_SPLIT.json``,
            JPEG or PNG files in ``ROOT/SPLIT``. Scenes are written like that, too.
        size: pixels along a side.
        root: the folder; else ``$CVAE_COCO_ROOT``; else where `download_coco` puts it.
        cache: the folder for the array; the default is in the user's cache. Its key is the SHA-256
            of the annotations, the names, sizes and times of the photos, and ``size``.
        workers: threads that decode; all cores if None.
        progress: show a bar on stderr.

    Raises:
        ValueError: if ``split``, ``size`` or ``workers`` makes no sense.
        DataError: if the annotations are missing or not what they should be, if no image is left,
            or if a cached array was altered.
    """
    workers = workers if workers is not None else os.cpu_count() or 1
    if size < 1 or workers < 1:
        raise ValueError(f"size and workers must be at least 1, got {size} and {workers}")
    folder = coco_root(root) / split
    path = annotation_file(split, root)
    content = path.read_bytes()
    photos, info, counts = parse_captions(content, path)
    captioned = [photo for photo in photos if photo.captions]
    stamps = [_stamp(folder / photo.file_name) for photo in captioned]
    present = [photo for photo, stamp in zip(captioned, stamps, strict=True) if stamp]
    listing = json.dumps([[p.file_name, s] for p, s in zip(captioned, stamps, strict=True)])
    key = {"version": VERSION, "annotations": sha256(content), "size": size}
    key["photos"] = sha256(listing.encode())
    decode = partial(_decode, folder, present, size, workers, progress)
    name = f"{split}-{size}"
    images, about = cached_array(_cache(cache), name, key, (3, size, size), np.uint8, decode)
    seen = {kind: [i for note in about["notes"] for i in note.get(kind, ())] for kind in KINDS}
    broken = set(seen["broken"])
    used = [photo for photo in present if photo.id not in broken]
    missing = len(captioned) - len(present)
    if not used:
        raise DataError(
            f"no image of {path} can be used: {len(captioned)} have captions, of these {missing} "
            f"are not in {folder} and {len(broken)} are broken. {REMEDY}"
        )
    report = CocoReport(
        images=len(used),
        captions=sum(len(photo.captions) for photo in used),
        missing=missing,
        uncaptioned=len(photos) - len(captioned),
        **counts,
        **{kind: len(ids) for kind, ids in seen.items()},  # type: ignore[arg-type]
    )
    source = f"{info.get('description') or 'COCO'}: {folder}"
    return CocoImages(images, used, report, source, not info.get("procedural"), about["sha256"])


def coco_root(root: str | Path | None = None) -> Path:
    """Return ``root``, else ``$CVAE_COCO_ROOT``, else the folder in the user's cache."""
    return user_path(root or os.environ.get("CVAE_COCO_ROOT") or cache_root() / "coco")


def annotation_file(split: str, root: str | Path | None = None) -> Path:
    """Return the file with the captions of ``split``.

    Raises:
        ValueError: if ``split`` cannot be a folder's name.
        DataError: if the file is not there.
    """
    if not re.fullmatch(r"\w[\w.-]*", split):
        raise ValueError(f"split must be a name like 'val2017', got {split!r}")
    path = coco_root(root) / "annotations" / f"captions_{split}.json"
    if not path.is_file():
        raise DataError(f"{path} does not exist. {REMEDY}")
    return path


def _decode(
    folder: Path, photos: list[Photo], size: int, workers: int, progress: bool, done: int
) -> Iterator[tuple[np.ndarray, dict[str, list[int]]]]:
    """The squares of each chunk but the first ``done``, and the ids of the photos of each kind."""

    def work(photo: Photo) -> tuple[np.ndarray | None, list[str]]:
        return square((folder / photo.file_name).read_bytes(), size)

    with ThreadPoolExecutor(workers) as pool:  # Pillow lets threads run side by side
        for chunk in _chunks(photos, CHUNK, done, "photos", progress):
            rows: list[np.ndarray] = []
            note: dict[str, list[int]] = {}
            with warnings.catch_warnings():  # the report says what is odd
                warnings.simplefilter("ignore")
                squares = list(pool.map(work, chunk))
            for photo, (pixels, kinds) in zip(chunk, squares, strict=True):
                rows += [] if pixels is None else [pixels]
                for kind in kinds:
                    note.setdefault(kind, []).append(photo.id)
            yield np.array(rows, np.uint8).reshape(-1, 3, size, size), note


def _encode(
    encoder: TextEncoder, captions: list[str], progress: bool, done: int
) -> Iterator[tuple[np.ndarray, None]]:
    """The vectors of each chunk of captions but the first ``done``."""
    for texts in _chunks(captions, TEXTS, done, "captions", progress):
        vectors = encoder(texts).half().numpy()
        if vectors.shape != (len(texts), encoder.dim) or not np.isfinite(vectors).all():
            raise ValueError(
                f"the encoder {encoder.name} turned {len(texts)} captions into {vectors.shape}: "
                f"want ({len(texts)}, {encoder.dim}), and numbers that float16 can hold"
            )
        yield vectors, None


def _chunks(items: list[Any], size: int, done: int, unit: str, progress: bool) -> Iterator[Any]:
    """``items`` by ``size``, but for the first ``done`` chunks; with a bar if ``progress``."""
    start = min(done * size, len(items))
    with tqdm(total=len(items), initial=start, unit=f" {unit}", disable=not progress) as bar:
        for i in range(start, len(items), size):
            yield items[i : i + size]
            bar.update(len(items[i : i + size]))


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change (ns) of a file; None if there is none, or none of such a name."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _cache(cache: str | Path | None) -> Path:
    return user_path(cache or cache_root() / "coco-arrays")
