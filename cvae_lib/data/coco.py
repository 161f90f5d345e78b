"""COCO captions: photos decoded and captions encoded once, into arrays that are memory-mapped."""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np

from cvae_lib.checks import whole_number
from cvae_lib.data.array_cache import cached_array
from cvae_lib.data.photos import KINDS, square
from cvae_lib.data.sets import CaptionedSet, TextEncoder
from cvae_lib.files import DataError, cache_root, user_path
from cvae_lib.text import has_word

VERSION = 4  # of the cached arrays: raise it if the same files give other arrays, chunks or notes
CHUNK = 256  # photos that are decoded, written and vouched for together
TEXTS = 1024  # captions that are encoded together
REMEDY = (
    "A COCO folder has annotations/captions_SPLIT.json and the images in SPLIT/. Name yours in "
    "$CVAE_COCO_ROOT; or python -m cvae_lib data coco --download val2017 fetches one, "
    "python -m cvae_lib data scenes --out DIR draws one"
)


class Photo(NamedTuple):
    """An image that the annotations list."""

    id: int
    file_name: str
    captions: list[str]


class CocoImages(NamedTuple):
    """The images of a split, the photo that each shows, and a report of what was found.

    It counts "images" and their "captions"; captioned images left out as "missing" or "broken" (cut
    off, damaged, too large, neither JPEG nor PNG); "uncaptioned" images; captions that are
    "orphans", of no listed image, or "empty", without a letter or digit; and images turned to RGB
    ("grey", "cmyk", "palette"), laid over white ("alpha") or turned upright ("rotated").
    """

    images: np.ndarray  # uint8 (N, 3, size, size)
    photos: list[Photo]
    report: dict[str, int]
    empty: list[str]  # the empty captions, with their images' ids
    source: str


def coco_captions(
    split: str,
    size: int,
    root: str | Path | None = None,
    *,
    encoder: TextEncoder,
    progress: bool = False,
) -> CaptionedSet:
    """Return one split of a COCO folder: images (N, 3, size, size), vectors float16 (M, D).

    Arguments and errors are those of `coco_images`. The first call decodes photos and encodes
    captions; later ones open both as memory maps. The vectors serve every size. ValueError also if
    they are not as the encoder says, or do not fit into float16.
    """
    found = coco_images(split, size, root, progress=progress)
    texts = [caption for photo in found.photos for caption in photo.captions]
    vectors, _ = cached_array(
        cache_root() / "coco-arrays" / f"{split}-captions",
        [VERSION, encoder.name, encoder.fingerprint, texts],
        np.dtype((np.float16, (encoder.dim,))),
        partial(_encode, encoder),
        texts,
        TEXTS,
        "captions" * progress,
    )
    starts = np.cumsum([0, *(len(photo.captions) for photo in found.photos)], dtype=np.int64)
    return CaptionedSet(found.images, vectors, starts, texts, source=found.source)


def coco_images(
    split: str, size: int, root: str | Path | None = None, *, progress: bool = False
) -> CocoImages:
    """Return the images of a split by id, upright, cut to the central square and resized.

    The captions of a split ("val2017", …) are in ``ROOT/annotations/captions_SPLIT.json``, its JPEG
    or PNG files in ``ROOT/SPLIT``; `write_scenes` makes such a folder, too. ``root`` is by default
    ``$CVAE_COCO_ROOT``, else where `download_coco` puts it. The array is kept in the user's cache
    until annotations or photos change.

    Raises:
        TypeError, ValueError: if ``split`` or ``size`` makes no sense.
        DataError: if annotations, photos or the kept array are missing or not what they should be.
    """
    size = whole_number("size", size, at_least=1)
    folder, path = coco_root(root) / split, annotation_file(split, root)
    content = path.read_bytes()
    photos, about = parse_captions(content, path)
    captioned = [photo for photo in photos if photo.captions]
    stamps = {photo.file_name: _stamp(folder / photo.file_name) for photo in captioned}
    present = [photo for photo in captioned if stamps[photo.file_name]]
    images, notes = cached_array(
        cache_root() / "coco-arrays" / f"{split}-{size}",
        [VERSION, hashlib.sha256(content).hexdigest(), size, stamps],
        np.dtype((np.uint8, (3, size, size))),
        partial(_decode, folder, size),
        present,
        CHUNK,
        "photos" * progress,
    )
    kinds = list(chain(*notes))  # of each photo
    used = [photo for photo, its in zip(present, kinds, strict=True) if "broken" not in its]
    counts = {kind: sum(kind in its for its in kinds) for kind in KINDS}
    report = {
        "images": len(used),
        "captions": sum(len(photo.captions) for photo in used),
        "missing": len(captioned) - len(present),
        "broken": counts.pop("broken"),
        "uncaptioned": len(photos) - len(captioned),
        "orphans": about["orphans"],
        "empty": len(about["empty"]),
        **counts,
    }
    if not used:
        raise DataError(
            f"no image of {path} can be used: {len(captioned)} have captions, of these "
            f"{report['missing']} are not in {folder} and {report['broken']} are broken. {REMEDY}"
        )
    return CocoImages(images, used, report, about["empty"], f"{about['description']}: {folder}")


def coco_root(root: str | Path | None = None) -> Path:
    """Return ``root``, else ``$CVAE_COCO_ROOT``, else the folder in the user's cache."""
    return user_path(root or os.environ.get("CVAE_COCO_ROOT") or cache_root() / "coco")


def annotation_file(split: str, root: str | Path | None = None) -> Path:
    """Return the captions' file; DataError if there is none, ValueError if ``split`` is no name."""
    if not re.fullmatch(r"\w[\w.-]*", split):
        raise ValueError(f"split must be a name like 'val2017', got {split!r}")
    path = coco_root(root) / "annotations" / f"captions_{split}.json"
    if not path.is_file():
        raise DataError(f"{path} does not exist. {REMEDY}")
    return path


def parse_captions(content: bytes, path: Path) -> tuple[list[Photo], dict[str, Any]]:
    """Check what the file ``path`` holds → its images by id, its description and useless captions.

    Those are "orphans" (how many) and "empty" (which, with their images' ids): without a letter or
    digit. A DataError names the file and the entry that is not right.
    """
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}): get it again") from error
    photos: dict[int, Photo] = {}
    for at, entry in _entries(path, tree, "images", id=int, file_name=str):
        number, name = entry["id"], entry["file_name"]
        way = PureWindowsPath(name)  # knows both kinds of slash
        if not way.parts or way.anchor or ".." in way.parts or "\0" in name:
            raise DataError(f"{at}.file_name {name!r} leads out of its folder")
        if number in photos:
            raise DataError(f"{at}.id {number} is there twice")
        photos[number] = Photo(number, name, [])
    orphans, empty = 0, []
    for _, entry in _entries(path, tree, "annotations", image_id=int, caption=str):
        number = entry["image_id"]
        caption = entry["caption"].strip().encode("utf-8", "replace").decode()  # no surrogates
        if not has_word(caption):
            empty.append(f"image {number}: {caption!r:.60}")
        elif number in photos:
            photos[number].captions.append(caption)
        else:
            orphans += 1
    info = tree["info"] if isinstance(tree.get("info"), dict) else {}
    about = {"description": info.get("description") or "COCO", "orphans": orphans, "empty": empty}
    return [photos[number] for number in sorted(photos)], about


def _entries(path: Path, tree: Any, name: str, **fields: type) -> Iterator[tuple[str, Any]]:
    """Where each entry of ``tree[name]`` stands, and the entry, which has ``fields``."""
    entries = tree.get(name) if isinstance(tree, dict) else None
    if not isinstance(entries, list):
        raise DataError(f"{path} has no list {name!r}: not a file of COCO captions")
    for i, entry in enumerate(entries):
        at = f"{path}: {name}[{i}]"
        for key, kind in fields.items():
            value = entry.get(key) if isinstance(entry, dict) else None
            if type(value) is not kind:
                raise DataError(f"{at}.{key} is {value!r:.60}, want {kind.__name__}")
        yield at, entry


def _decode(folder: Path, size: int, photos: list[Photo]) -> tuple[np.ndarray, list[list[str]]]:
    """Photos to the squares of those that are not broken, and what each of all was."""
    files = (folder / photo.file_name for photo in photos)
    with ThreadPoolExecutor(os.cpu_count()) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the report says what is odd
        squares = list(pool.map(lambda file: square(file.read_bytes(), size), files))
    rows = [pixels for pixels, _ in squares if pixels is not None]
    return np.array(rows, np.uint8), [kinds for _, kinds in squares]


def _encode(encoder: TextEncoder, texts: list[str]) -> tuple[np.ndarray, None]:
    vectors = encoder(texts).half().numpy()
    if vectors.shape != (len(texts), encoder.dim) or not np.isfinite(vectors).all():
        raise ValueError(
            f"the encoder {encoder.name} turned {len(texts)} captions into {vectors.shape}: "
            f"want ({len(texts)}, {encoder.dim}), and numbers that float16 can hold"
        )
    return vectors, None


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change (ns) of a file; None if there is none, or none of such a name."""
    status = os.stat(path) if os.path.isfile(path) else None
    return status and (status.st_size, status.st_mtime_ns)
