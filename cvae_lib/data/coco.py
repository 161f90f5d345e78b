"""COCO captions: fetched; decoded and encoded once, into arrays that are memory-mapped."""

import contextlib
import hashlib
import io
import json
import os
import re
import shlex
import warnings
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np
import PIL
from filelock import FileLock
from PIL import Image, ImageOps
from PIL.Image import Transpose as T
from tqdm import tqdm

from cvae_lib import files
from cvae_lib.checks import one_of, whole_number
from cvae_lib.data.sets import CaptionedSet, TextEncoder
from cvae_lib.data.words import Words
from cvae_lib.files import DataError, cache_root, user_path
from cvae_lib.text import has_word

Root = str | Path | None
VERSION = 6  # of the cached arrays: raise it if the same files give other arrays, chunks or notes
CHUNK = 256  # photos that are decoded, written and vouched for together
TEXTS = 1024  # captions that are encoded together
REMEDY = (
    "A COCO folder has annotations/captions_SPLIT.json and the images in SPLIT/. Name yours in "
    "$CVAE_COCO_ROOT, or fetch one: python -m cvae_lib data coco --download val2017"
)
MODES = {"1": "grey", "L": "grey", "I": "grey", "C": "cmyk", "P": "palette"}  # by first letter
ODD = ("grey", "cmyk", "palette", "alpha", "rotated")  # what a photo may be and is used
ORIENTATION = 0x0112  # an EXIF tag, whose values from 2 to 8 say how to get the picture upright
TURNS = (T.FLIP_LEFT_RIGHT, T.ROTATE_180, T.FLIP_TOP_BOTTOM, T.TRANSPOSE)
UPRIGHT = dict(enumerate((*TURNS, T.ROTATE_270, T.TRANSVERSE, T.ROTATE_90), 2))
BASE = "http://images.cocodataset.org"  # has no certificate of its own: hashes vouch
SMALL = {  # archives of less than 1 GB: SHA-256
    "annotations_trainval2017": "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
    "val2017": "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
}
SPLITS = ("val2017", "train2017", "val2014", "train2014")


class Photo(NamedTuple):
    """An image that the annotations list."""

    id: int  # COCO's own number
    file_name: str  # in the folder of its split
    captions: list[str]  # in the order of the file


class CocoImages(NamedTuple):
    """The images of a split, the photo that each shows, and how many of what were found.

    Images with captions may be "missing" or "broken" (cut off, damaged, too large, neither JPEG nor
    PNG), captions "orphans" of no listed image or "empty", without a letter or digit; photos were
    turned to RGB ("grey", "cmyk", "palette"), laid over white ("alpha") or upright ("rotated").
    "images" and "captions" count what the file lists, "uncaptioned" images without a caption.
    """

    images: np.ndarray  # uint8 (N, 3, size, size)
    photos: list[Photo]  # N
    report: dict[str, int]  # what was found → how often
    source: str  # the annotations' description and the folder


def coco_captions(
    split: str,
    size: int,
    root: Root = None,
    *,
    encoder: TextEncoder,
    words: bool = False,
    progress: bool = False,
) -> CaptionedSet:
    """Return one split of a COCO folder: images (N, 3, size, size), vectors float16 (M, D).

    Arguments and errors are those of `coco_images`, ``words`` that of `scenes`; ValueError also for
    vectors that are not as the encoder says, or do not fit into float16. They are kept, too.
    """
    found = coco_images(split, size, root, progress=progress)
    texts = [caption for photo in found.photos for caption in photo.captions]
    path = cache_root() / "coco-arrays" / f"{split}-{'words' if words else 'captions'}"
    key = [VERSION, encoder.name, encoder.fingerprint, texts]
    keep, bar = partial(files.cached_array, path, key), "captions" * progress
    vectors: np.ndarray | Words
    if words:
        none = encoder.ragged([])
        row = np.dtype((none.tokens.dtype, none.tokens.shape[1:]))
        tokens, counts = keep(row, partial(_words, encoder), texts, TEXTS, bar)
        vectors = Words(tokens, np.cumsum([0, *chain(*counts)]), none.table)
    else:
        row = np.dtype((np.float16, (encoder.dim,)))
        vectors, _ = keep(row, partial(_encode, encoder), texts, TEXTS, bar)
    starts = np.cumsum([0, *(len(photo.captions) for photo in found.photos)], dtype=np.int64)
    return CaptionedSet(found.images, vectors, starts, texts, source=found.source)


def coco_images(split: str, size: int, root: Root = None, *, progress: bool = False) -> CocoImages:
    """Return the images of a split by id, upright, cut to the central square and resized.

    The captions of a split ("val2017", …) are in ``ROOT/annotations/captions_SPLIT.json``, its JPEG
    or PNG files in ``ROOT/SPLIT``; `write_scenes` makes such a folder, too. ``root`` is by default
    ``$CVAE_COCO_ROOT``, else where `download_coco` puts it. The array is kept in the user's cache
    until annotations, photos or Pillow, which decodes them, change. ValueError if ``split`` or
    ``size`` makes no sense, DataError if annotations, photos or the kept array are missing or not
    what they should be.
    """
    size = whole_number("size", size, at_least=1)
    folder, path = coco_root(root) / split, annotation_file(split, root)
    content = path.read_bytes()
    photos, useless, description = parse_captions(content, path)
    captioned = [photo for photo in photos if photo.captions]
    stamps = {photo.file_name: _stamp(folder / photo.file_name) for photo in captioned}
    present = [photo for photo in captioned if stamps[photo.file_name]]
    array = cache_root() / "coco-arrays" / f"{split}-{size}"
    key = [VERSION, PIL.__version__, hashlib.sha256(content).hexdigest(), size, stamps]
    row, decode = np.dtype((np.uint8, (3, size, size))), partial(_decode, folder, size)
    images, notes = files.cached_array(array, key, row, decode, present, CHUNK, "photos" * progress)
    kinds = list(chain(*notes))  # of each photo
    counts = Counter(chain(*kinds))
    used = [photo for photo, its in zip(present, kinds, strict=True) if "broken" not in its]
    report = {
        "images": len(used),
        "captions": sum(len(photo.captions) for photo in used),
        "missing": len(captioned) - len(present),
        "broken": counts["broken"],
        "uncaptioned": len(photos) - len(captioned),
        **useless,
        **{kind: counts[kind] for kind in ODD},
    }
    if not used:
        found = ", ".join(f"{count} {word}" for word, count in report.items())
        raise DataError(f"no image of {path} in {folder} can be used: {found}. {REMEDY}")
    return CocoImages(images, used, report, f"{description}: {folder}")


def coco_root(root: Root = None) -> Path:
    """Return ``root``, else ``$CVAE_COCO_ROOT``, else the folder in the user's cache."""
    return user_path(root or os.environ.get("CVAE_COCO_ROOT") or cache_root() / "coco")


def shipped_photos() -> Path:
    """Return the COCO folder that ships: 57 photographs of val2017, CC BY 2.0, shorter side 288."""
    return Path(__file__).parent / "photos"


def annotation_file(split: str, root: Root = None) -> Path:
    """Return the captions' file; DataError if there is none, ValueError if ``split`` is no name."""
    if not re.fullmatch(r"\w[\w.-]*", split):
        raise ValueError(f"split must be a name like 'val2017', got {split!r}")
    path = coco_root(root) / "annotations" / f"captions_{split}.json"
    if not path.is_file():
        raise DataError(f"{path} does not exist. {REMEDY}")
    return path


def parse_captions(content: bytes, path: Path) -> tuple[list[Photo], dict[str, int], str]:
    """Check what the file ``path`` holds → its images by id, useless captions, its description.

    Useless are "orphans", of no image, and "empty" ones, without a letter or digit; they are
    counted. A DataError names the file and the entry that is not right.
    """
    photos: dict[int, Photo] = {}
    useless, at = {"orphans": 0, "empty": 0}, "the file"
    try:
        tree = json.loads(content)
        images, annotations = tree["images"], tree["annotations"]
        description = (tree.get("info") or {}).get("description") or "COCO"
        for i, entry in enumerate(images):
            at = f"images[{i}]"
            number, name = entry["id"], entry["file_name"]
            way = PureWindowsPath(name)  # knows both kinds of slash
            if not way.parts or way.anchor or ".." in way.parts or "\0" in name:
                raise ValueError(f"file_name {name!r} leads out of its folder")
            if type(number) is not int or number in photos:
                raise ValueError(f"id {number!r} is no whole number, or there twice")
            photos[number] = Photo(number, name, [])
        for i, entry in enumerate(annotations):
            at = f"annotations[{i}]"
            number, caption = entry["image_id"], entry["caption"].strip()
            caption = caption.encode("utf-8", "replace").decode()  # no surrogates
            if not has_word(caption):
                useless["empty"] += 1
            elif number in photos:
                photos[number].captions.append(caption)
            else:
                useless["orphans"] += 1
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is no file of COCO captions: {at}: {error!r}") from error
    return [photos[number] for number in sorted(photos)], useless, description


def _decode(folder: Path, size: int, photos: list[Photo]) -> tuple[np.ndarray, list[list[str]]]:
    """Photos to the squares of those that are not broken, and what each of all was."""
    with ThreadPoolExecutor(os.cpu_count()) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the report says what is odd
        paths = [folder / photo.file_name for photo in photos]
        squares = list(pool.map(lambda path: square(path.read_bytes(), size), paths))
    rows = [pixels for pixels, _ in squares if pixels is not None]
    return np.array(rows, np.uint8), [kinds for _, kinds in squares]


def square(content: bytes, size: int) -> tuple[np.ndarray | None, list[str]]:
    """Decode a JPEG or PNG file → its central square, uint8 (3, size, size), and what it was.

    The words are those of `CocoImages`; a "broken" image has no pixels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            kinds = [MODES[image.mode[0]]] if image.mode[0] in MODES else []
            turn = None
            with contextlib.suppress(Exception):  # unreadable EXIF; the pixels may well be sound
                turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
            image.draft(None, (2 * size, 2 * size))  # a JPEG at 1/2, 1/4, 1/8 that is large enough
            whole: Image.Image = image
            if image.mode.startswith("I"):  # 16 bits
                whole = Image.fromarray((np.asarray(image, np.float32) / 257).round().astype("u1"))
            elif image.has_transparency_data:
                kinds.append("alpha")
                white = Image.new("RGBA", image.size, "white")
                whole = Image.alpha_composite(white, image.convert("RGBA"))
            if turn is not None:
                kinds.append("rotated")
                whole = whole.transpose(turn)
            pixels = ImageOps.fit(whole.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
            return np.asarray(pixels).transpose(2, 0, 1), kinds
    except MemoryError:
        raise
    except Exception:  # a decoder may raise anything when it is fed with damage
        return None, ["broken"]


def _encode(encoder: TextEncoder, texts: list[str]) -> tuple[np.ndarray, None]:
    vectors = encoder(texts).half().numpy()
    if vectors.shape != (len(texts), encoder.dim) or not np.isfinite(vectors).all():
        want = f"({len(texts)}, {encoder.dim}), all of them numbers in float16"
        raise ValueError(f"vectors of {encoder.name} are {vectors.shape}: want {want}")
    return vectors, None


def _words(encoder: TextEncoder, texts: list[str]) -> tuple[np.ndarray, list[int]]:
    words = encoder.ragged(texts)
    if not np.isfinite(words.tokens).all():
        raise ValueError(f"words of {encoder.name} have values that float16 cannot hold")
    return words.tokens, np.diff(words.starts).tolist()


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change (ns) of a file; None if there is none, or none of such a name."""
    return (path.stat().st_size, path.stat().st_mtime_ns) if os.path.isfile(path) else None


def download_coco(split: str, root: str | Path | None = None, progress: bool = False) -> Path:
    """Fetch the photos and captions of val2017 and return the COCO folder that has them.

    What is there is not fetched again; unpacking goes on where it was cut off.
    ValueError if ``split`` is none of `SPLITS`; DataError if the server fails, and for an archive
    of 6 to 18 GB (and captions of 2014), with the command that fetches it.
    """
    one_of("split to download", split, SPLITS)
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
    if path.stem not in SMALL:
        where = shlex.quote(str(folder))
        command = f"cd {where} && curl -L -O -C - {url} && unzip -qn {path.name}"
        raise DataError(f"{url} is left to you: fetch it with\n{command}")
    try:
        files.fetch(url, path, SMALL[path.stem], progress)
    except OSError as error:
        remedy = f"without a network, copy it to {path} and say the same again"
        raise DataError(f"cannot fetch {url} ({error}): try again; {remedy}") from error
    with zipfile.ZipFile(path) as content:
        names = [name for name in content.namelist() if name.endswith(".jpg") or "captions" in name]
        for name in tqdm(names, unit=" files", disable=not progress):
            if not (folder / name).is_file():
                files.write_atomically(folder / name, content.read(name))
    path.unlink()
