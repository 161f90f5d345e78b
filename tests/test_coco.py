"""COCO folders: what is decoded, what is left out, what is kept, and what is refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cvae_lib.data import CocoImages, DataError, coco, coco_captions, coco_images
from cvae_lib.data.coco import ORIENTATION
from cvae_lib.encoders import HashingTextEncoder

SAMPLE = Path(__file__).resolve().parents[2] / "shared" / "data" / "coco-sample"
T = Image.Transpose
# orientation → what a camera did to an upright picture
CAMERA = {
    2: T.FLIP_LEFT_RIGHT,
    3: T.ROTATE_180,
    4: T.FLIP_TOP_BOTTOM,
    5: T.TRANSPOSE,
    6: T.ROTATE_90,
    7: T.TRANSVERSE,
    8: T.ROTATE_270,
}


class LengthEncoder:
    """A text → its length and its number of words."""

    dim = 2

    def __init__(self, name: str = "length", fingerprint: str = "1") -> None:
        self.name, self.fingerprint, self.seen = name, fingerprint, list[str]()

    def __call__(self, texts: Sequence[str]) -> Tensor:
        self.seen += texts
        return torch.tensor([[len(t), len(t.split())] for t in texts], dtype=torch.float32)


def encoded(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, format, **({"quality": 95} | options if format == "JPEG" else options))
    return content.getvalue()


def flag(size: tuple[int, int] = (90, 60)) -> Image.Image:
    """Red top left, green top right, blue bottom left, black bottom right; wider than high."""
    image = Image.new("RGB", size)
    width, height = size[0] // 2, size[1] // 2
    for colour, corner in {"red": (0, 0), "lime": (width, 0), "blue": (0, height)}.items():
        image.paste(colour, (*corner, corner[0] + width, corner[1] + height))
    return image


def write_coco(
    root: Path,
    files: dict[str, bytes],
    captions: Sequence[tuple[int, str]] | None = None,
    split: str = "val2017",
    **more: Any,
) -> Path:
    """A COCO folder: files get the ids 1, 2, …, and each one caption unless ``captions`` says."""
    images = [{"id": i, "file_name": name} for i, name in enumerate(files, 1)]
    captions = (
        [(i, f"caption of {i}") for i in range(1, len(files) + 1)] if captions is None else captions
    )
    annotations = [
        {"id": k, "image_id": image, "caption": text} for k, (image, text) in enumerate(captions)
    ]
    path = root / "annotations" / f"captions_{split}.json"
    for name, content in files.items():
        if content:
            (root / split / name).parent.mkdir(parents=True, exist_ok=True)
            (root / split / name).write_bytes(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"info": {}, "images": images, "annotations": annotations} | more))
    return root


def plain(count: int, size: int = 40) -> dict[str, bytes]:
    """So many grey-blue photos, each another one."""
    return {
        f"{i:012d}.jpg": encoded(Image.new("RGB", (size, size), (i % 256, 100, 200)))
        for i in range(count)
    }


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CVAE_COCO_ROOT", raising=False)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that were decoded, in no order."""
    calls: list[bytes] = []
    square = coco.square
    monkeypatch.setattr(coco, "square", lambda c, size: calls.append(c) or square(c, size))
    return calls


def arrays(root: Path) -> list[Path]:
    return sorted((root / "cache" / "cvae_lib" / "coco-arrays").glob("*.raw"))


def parts(root: Path) -> list[Path]:
    return sorted((root / "cache" / "cvae_lib" / "coco-arrays").glob("*.part"))


def finished(root: Path) -> int:
    """Chunks of an array that is being built."""
    (part,) = parts(root)
    return len(json.loads(part.read_bytes())[1])


def colours(pixels: np.ndarray) -> list[list[int]]:
    """The colours amid the four quarters of uint8 (3, S, S), each channel 0 or 1."""
    size = pixels.shape[1]
    at = (size // 4, size - size // 4 - 1)
    return [(pixels[:, y, x] > 127).astype(int).tolist() for y in at for x in at]


FLAG = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]


# What is decoded.


def test_every_kind_of_image_is_used_or_counted(tmp_path: Path) -> None:
    photo = flag()
    rotated = Image.Exif()
    rotated[ORIENTATION] = 3
    jpeg = encoded(photo, quality=95)
    files = {
        "plain.jpg": jpeg,
        "grey.jpg": encoded(photo.convert("L")),
        "cmyk.jpg": encoded(photo.convert("CMYK")),
        "palette.png": encoded(photo.quantize(8), "PNG"),
        "alpha.png": encoded(photo.convert("RGBA"), "PNG"),
        "rotated.jpg": encoded(photo.transpose(T.ROTATE_180), exif=rotated),
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "text.jpg": b"<html>not a photo</html>",
        "empty.jpg": b"",
        "gif.jpg": encoded(photo, "GIF"),
        "bare.jpg": jpeg,
        "COCO_val2014_000000000042.jpg": jpeg,
    }
    captions = [(i, f"caption {i}") for i in range(1, 13) if i != 11]
    captions += [(1, "  a second one\n"), (1, " \n"), (77, "of nobody")]
    write_coco(tmp_path, files, captions)
    (tmp_path / "val2017" / "folder.jpg").mkdir()
    found = coco_images("val2017", 16, tmp_path)
    counts = {"images": 7, "captions": 8, "missing": 1, "broken": 3, "uncaptioned": 1}
    ones = ("orphans", "empty", "grey", "cmyk", "palette", "alpha", "rotated")
    assert list(found.report.items()) == list((counts | dict.fromkeys(ones, 1)).items())
    assert [photo.id for photo in found.photos] == [1, 2, 3, 4, 5, 6, 12]
    assert found.photos[0].captions == ["caption 1", "a second one"]
    assert found.images.shape == (7, 3, 16, 16) and found.images.dtype == np.uint8
    grey = found.images[1].astype(int)
    assert np.ptp(grey, axis=0).max() == 0 and np.ptp(grey) > 100
    for row in (0, 2, 3, 4, 5, 6):
        assert colours(found.images[row]) == FLAG, row


@pytest.mark.parametrize("orientation", CAMERA)
def test_photos_are_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = flag((320, 240)).transpose(CAMERA[orientation])
    pixels, kinds = coco.square(encoded(image, exif=exif), 16)
    assert pixels is not None and kinds == ["rotated"] and colours(pixels) == FLAG


def test_photos_with_other_odd_exif_are_turned_upright(recwarn: pytest.WarningsRecorder) -> None:
    image = flag((320, 240)).transpose(CAMERA[6])
    for kind, value in ((2, b"72\0\0"), (10, struct.pack("<ii", -72, 1)), (9, b"")):
        # little-endian TIFF: orientation 6, and XResolution of an odd type
        entries = struct.pack("<HHIHH", ORIENTATION, 3, 1, 6, 0)
        inline = len(value) <= 4
        count = len(value) if kind == 2 else 1
        where = value.ljust(4, b"\0") if inline else struct.pack("<I", 38)
        entries += struct.pack("<HHI", 0x011A, kind, count) + where
        exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4) + value
        pixels, kinds = coco.square(encoded(image, exif=exif), 16)
        assert pixels is not None and kinds == ["rotated"] and colours(pixels) == FLAG, kind
    assert not recwarn.list


def test_exif_that_is_cut_off_is_no_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x010F] = "a camera with a long name"
    whole = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    files = {f"{cut}.jpg": encoded(flag(), exif=whole[:cut]) for cut in range(4, len(whole), 3)}
    see_through = flag().quantize(8)
    see_through.info["transparency"] = bytes([255, 255, 255, 0])
    files["palette.png"] = encoded(see_through, "PNG", transparency=bytes([255] * 8))
    found = coco_images("val2017", 16, write_coco(tmp_path, files))
    assert found.report["images"] == len(files) and found.report["broken"] == 0
    assert colours(found.images[-1]) == FLAG and found.report["alpha"] == 1
    assert capsys.readouterr() == ("", "") and not recwarn.list


def test_16_bits_a_pixel_are_scaled() -> None:
    values = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    pixels, kinds = coco.square(encoded(Image.fromarray(values), "PNG"), 16)
    assert kinds == ["grey"] and pixels is not None
    assert np.array_equal(pixels[0], np.arange(256).reshape(16, 16))
    assert np.array_equal(pixels[0], pixels[2])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_shows_white(mode: str) -> None:
    image = Image.new("RGBA", (16, 16), (200, 0, 0, 0))  # a hidden red
    image.paste((0, 0, 0, 255), (0, 0, 8, 16))
    if mode == "P":
        image = image.quantize(4)
    pixels, kinds = coco.square(encoded(image.convert(mode), "PNG"), 16)
    assert pixels is not None and kinds[-1] == "alpha"
    assert (pixels[:, :, :8] == 0).all() and (pixels[:, :, 8:] == 255).all()


def test_the_middle_is_cut_out_and_nothing_is_squeezed() -> None:
    image = Image.new("RGB", (300, 100), "red")
    image.paste("blue", (100, 0, 200, 100))
    for content in (encoded(image, "PNG"), encoded(image.rotate(90, expand=True), "PNG")):
        pixels, _ = coco.square(content, 20)
        assert pixels is not None
        error = abs(pixels - np.array([0, 0, 255])[:, None, None])
        assert (
            error[:, 2:-2, 2:-2].max() <= 2 and error.max() < 30
        )  # the filter reaches out a little


@pytest.mark.parametrize("size", [8, 64, 200])
def test_the_picture_is_resized_without_aliasing(size: int) -> None:
    rng = np.random.default_rng(0)
    board = np.indices((512, 512)).sum(0) % 2 * 255
    pixels, _ = coco.square(encoded(Image.fromarray(board.astype(np.uint8)), "PNG"), size)
    assert pixels is not None and abs(pixels[:, 1:-1, 1:-1].astype(int) - 127).max() <= 8
    smooth = Image.fromarray(rng.integers(0, 256, (50, 50, 3), np.uint8)).resize((600, 600))
    content = encoded(smooth, subsampling=0)
    pixels, _ = coco.square(content, size)
    exact = Image.open(io.BytesIO(content)).resize((size, size), Image.Resampling.LANCZOS)
    error = abs(np.asarray(pixels, int) - np.asarray(exact, int).transpose(2, 0, 1))
    assert error.mean() < 1.3, "decoding at a fraction of the size must not show"
    same, _ = coco.square(encoded(exact, "PNG"), size)
    assert np.array_equal(np.asarray(same), np.asarray(exact).transpose(2, 0, 1))


def test_a_decompression_bomb_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(Image.new("L", (100, 100)), "PNG")
    assert coco.square(content, 8)[1] == ["grey"]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100 * 100 // 3)
    assert coco.square(content, 8) == (None, ["broken"])


def test_no_memory_is_not_a_broken_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(MemoryError):
        coco.square(b"", 8)


# What is returned.


def test_captions_are_grouped_by_image_and_images_sorted_by_id(tmp_path: Path) -> None:
    names = ["c.jpg", "a.jpg", "b.jpg"]
    images = [{"id": i, "file_name": n} for i, n in zip((30, 10, 20), names, strict=True)]
    captions = [(20, "b one"), (10, "a one"), (30, "c one"), (20, "b two"), (10, "a two words")]
    shades = {name: encoded(Image.new("L", (8, 8), 80 * i)) for i, name in enumerate(names)}
    write_coco(tmp_path, shades, captions, "train", images=images, info={"description": "Drawn"})
    encoder = LengthEncoder()
    drawn = coco_captions("train", 8, tmp_path, encoder=encoder)
    assert drawn.texts == ["a one", "a two words", "b one", "b two", "c one"] == encoder.seen
    assert drawn.starts.tolist() == [0, 2, 4, 5] and drawn.starts.dtype == np.int64
    assert drawn.images[:, 0, 0, 0].tolist() == [80, 160, 0]
    assert drawn.vectors.dtype == np.float16 and drawn.vectors[1].tolist() == [11, 3]
    assert drawn.source == f"Drawn: {tmp_path / 'train'}" and drawn.truths is None
    for array in (drawn.images, drawn.vectors):
        assert isinstance(array, np.memmap) and not array.flags.writeable
    write_coco(tmp_path, {}, captions, "train", images=images)
    assert coco_captions("train", 8, tmp_path, encoder=encoder).source.startswith("COCO: ")


def test_the_root_may_stand_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        DataError, match=r"cvae_lib.coco.annotations.captions_val2017.json does not"
    ):
        coco_images("val2017", 8)
    monkeypatch.setenv("CVAE_COCO_ROOT", str(write_coco(tmp_path / "a", plain(1))))
    assert coco_images("val2017", 8).report["images"] == 1
    with pytest.raises(DataError, match="data coco --download val2017"):
        coco_images("val2017", 8, tmp_path / "b")


# What is refused.


ENTRY = {"id": 1, "file_name": "1.jpg"}
CAPTION = {"image_id": 1, "caption": "a"}


def whole(images: list[Any], *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"images": images, "annotations": annotations}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "the file: JSONDecodeError"),
        (b"\xff", "the file: UnicodeDecodeError"),
        (b"[" * 100_000, "the file: RecursionError"),
        ([], "the file: TypeError"),
        ({"images": []}, "the file: KeyError('annotations')"),
        (whole(["1.jpg"]), "images[0]: TypeError"),
        (whole([ENTRY, ENTRY | {"id": "2"}]), "images[1]: ValueError(\"id '2' is no whole number"),
        (whole([{"id": 1}]), "images[0]: KeyError('file_name')"),
        (whole([ENTRY, ENTRY]), "images[1]: ValueError('id 1 is no whole number, or there twice"),
        (whole([ENTRY], {"caption": "a"}), "annotations[0]: KeyError('image_id')"),
        (whole([ENTRY], CAPTION, CAPTION | {"caption": 3}), "annotations[1]: AttributeError"),
    ],
)
def test_annotations_are_checked(content: Any, reason: str, tmp_path: Path) -> None:
    path = write_coco(tmp_path, plain(1)) / "annotations" / "captions_val2017.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(DataError) as error:
        coco_images("val2017", 8, tmp_path)
    assert reason in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize(
    "name",
    ["../1.jpg", "a/../../1.jpg", "/1.jpg", "C:\\1.jpg", "..\\1.jpg", "c:1.jpg", "1\0.jpg", ""],
)
def test_a_file_name_cannot_lead_out(name: str, tmp_path: Path) -> None:
    write_coco(tmp_path, plain(1), images=[{"id": 1, "file_name": name}])
    with pytest.raises(DataError, match=r"images\[0\]: .*file_name .* leads out of its folder"):
        coco_images("val2017", 8, tmp_path)


@pytest.mark.parametrize("split", ["", "..", "../val2017", "val2017\n"])
def test_a_split_is_a_name(split: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split must be a name"):
        coco_images(split, 8, tmp_path)


def test_sizes_are_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        coco_images("val2017", 0, tmp_path)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"1.jpg": b"", "2.jpg": b""}, "val2017 can be used: 0 images, .*2 missing, 0 broken"),
        ({"1.jpg": b"x"}, "0 images, .*0 missing, 1 broken"),
        ({}, "0 images, 0 captions, 0 missing"),
    ],
)
def test_no_image_is_an_error(files: dict[str, bytes], reason: str, tmp_path: Path) -> None:
    write_coco(tmp_path, files)
    for _ in range(2):
        with pytest.raises(DataError, match=reason):
            coco_images("val2017", 8, tmp_path)


def test_a_photo_that_cannot_be_read_is_not_a_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_coco(tmp_path, plain(2))
    real = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.suffix == ".jpg":
            raise OSError(5, "Input/output error")
        return real(path)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="Input/output"):
        patch.setattr(Path, "read_bytes", fail)
        coco_images("val2017", 8, tmp_path)
    assert coco_images("val2017", 8, tmp_path).report["images"] == 2


@pytest.mark.parametrize("factor", ["shape", 1e6, float("nan")])
def test_vectors_are_checked(factor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coco, "TEXTS", 2)
    write_coco(tmp_path, plain(5))
    encoder = LengthEncoder()

    class Bad(LengthEncoder):
        def __call__(self, texts: Sequence[str]) -> Tensor:
            vectors = super().__call__(texts)
            if "caption of 5" not in texts:
                return vectors
            return vectors[:, :1] if factor == "shape" else vectors * factor

    with pytest.raises(ValueError, match=r"vectors of length are .*: want"):
        coco_captions("val2017", 8, tmp_path, encoder=Bad())
    assert len(coco_captions("val2017", 8, tmp_path, encoder=encoder).vectors) == 5
    assert encoder.seen == ["caption of 5"], "the other chunks were kept"


def test_captions_without_a_word_are_counted(tmp_path: Path) -> None:
    words = [(1, "a \ud800 cat"), (1, "👍"), (2, "..."), (2, "\u200b")]  # a lone surrogate
    words += [(3, "猫"), (3, "?" * 99), (9, "")]
    write_coco(tmp_path, plain(3), words)
    found = coco_images("val2017", 8, tmp_path)
    assert [photo.captions for photo in found.photos] == [["a ? cat"], ["猫"]]
    assert [found.report[key] for key in ("empty", "captions", "uncaptioned")] == [5, 2, 1]
    coco_captions("val2017", 8, tmp_path, encoder=HashingTextEncoder(8))


@pytest.mark.parametrize("name", ["\ud800.jpg", "x" * 999 + ".jpg"])
def test_a_name_that_no_file_can_have_is_missing(name: str, tmp_path: Path) -> None:
    write_coco(tmp_path, plain(1))
    images = [{"id": 1, "file_name": f"{0:012d}.jpg"}, {"id": 2, "file_name": name}]
    write_coco(tmp_path, plain(1), [(1, "a"), (2, "b")], images=images)
    report = coco_images("val2017", 8, tmp_path).report
    assert (report["images"], report["missing"]) == (1, 1)


# What is kept.


def test_nothing_is_done_twice(
    tmp_path: Path, decoded: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    write_coco(tmp_path, plain(5))
    encoder = LengthEncoder()
    first = coco_captions("val2017", 8, tmp_path, encoder=encoder)
    assert len(decoded) == len(encoder.seen) == 5 and capsys.readouterr() == ("", "")
    again = coco_captions("val2017", 8, tmp_path, encoder=encoder)
    assert len(decoded) == len(encoder.seen) == 5
    assert np.array_equal(first.images, again.images) and np.array_equal(
        first.vectors, again.vectors
    )
    coco_captions("val2017", 12, tmp_path, encoder=encoder, progress=True)
    assert len(decoded) == 10 and len(encoder.seen) == 5, "vectors serve every size"
    for other in (LengthEncoder("other"), LengthEncoder(fingerprint="2")):
        coco_captions("val2017", 8, tmp_path, encoder=other, progress=True)
        assert len(other.seen) == 5
    out, err = capsys.readouterr()
    assert out == "" and "5/5" in err and "photos" in err and "captions" in err
    assert len(arrays(tmp_path)) == 5 and len(decoded) == 10


@pytest.mark.parametrize("change", ["photo", "time", "new photo", "annotations", "Pillow"])
def test_another_source_is_another_array(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = plain(3)
    write_coco(tmp_path, files | {"late.jpg": b""})
    photo = tmp_path / "val2017" / next(iter(files))
    before = photo.stat()
    old = np.array(coco_images("val2017", 8, tmp_path).images)
    if change == "photo":
        photo.write_bytes(encoded(Image.new("RGB", (40, 40), "white")))
        os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "time":
        os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    elif change == "new photo":
        (tmp_path / "val2017" / "late.jpg").write_bytes(encoded(flag()))
    elif change == "Pillow":
        monkeypatch.setattr("PIL.__version__", "another")
    else:
        write_coco(tmp_path, files | {"late.jpg": b""}, [(1, "changed")])
    new = coco_images("val2017", 8, tmp_path).images
    assert len(arrays(tmp_path)) == 2
    assert np.array_equal(old, new) == (change in ("time", "Pillow"))


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".raw", lambda c: c[:-1]),
        (".raw", lambda c: c[:150]),
        (".raw", lambda c: c + c),
        (".raw", lambda c: b""),
        (".json", lambda c: c[:-5]),
        (".json", lambda c: b"[]"),
        (".raw", None),
    ],
)
def test_an_altered_array_is_refused(suffix: str, damage: Any, tmp_path: Path) -> None:
    write_coco(tmp_path, plain(3))
    coco_images("val2017", 8, tmp_path)
    (array,) = arrays(tmp_path)
    file = array.with_suffix(suffix)
    if damage:
        content = file.read_bytes()
        assert damage(content) != content
        file.write_bytes(damage(content))
    else:
        file.unlink()
    with pytest.raises(DataError, match="not as it was written: move both elsewhere") as error:
        coco_images("val2017", 8, tmp_path)
    assert str(array) in str(error.value)
    for path in (array, array.with_suffix(".json")):
        path.unlink(missing_ok=True)
    assert coco_images("val2017", 8, tmp_path).report["images"] == 3


def test_a_set_is_known_by_what_its_arrays_hold(tmp_path: Path) -> None:
    def known(name: str, files: dict[str, bytes], shift: int = 0) -> str:
        root = write_coco(tmp_path / name, files)
        for photo in (root / "val2017").iterdir():
            os.utime(photo, ns=(0, shift))
        return coco_captions("val2017", 8, root, encoder=LengthEncoder()).fingerprint()

    files = plain(3)
    others = (plain(2), files | {"000000000001.jpg": encoded(flag())})
    assert known("a", files) == known("b", files, shift=10**9)
    assert len({known("a", files), *(known(f"c{len(o)}", o) for o in others)}) == 3


def test_two_at_once_build_once(tmp_path: Path, decoded: list[bytes]) -> None:
    write_coco(tmp_path, plain(20))
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(coco_images, "val2017", 8, tmp_path) for _ in range(3)]
        assert [run.result().report["images"] for run in runs] == [20, 20, 20]
    assert len(decoded) == 20


SLOW = """
import sys, time
from cvae_lib.data import coco
coco.CHUNK = 4
square = coco.square
def slow(content, size):
    time.sleep(0.1)
    return square(content, size)
coco.square = slow
coco.coco_images("val2017", 8, sys.argv[1])
"""


def test_a_killed_build_goes_on(
    tmp_path: Path, decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = plain(40)
    names = list(files)
    files[names[2]] = b"broken"
    write_coco(tmp_path, files)
    monkeypatch.setattr(coco, "CHUNK", 4)
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)])
    deadline = time.monotonic() + 120
    while not parts(tmp_path) or finished(tmp_path) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    kept = finished(tmp_path)
    assert 3 <= kept < 10
    resumed = coco_images("val2017", 8, tmp_path)
    assert len(decoded) == 40 - 4 * kept, "finished chunks were decoded again"
    assert not set(decoded) & set(list(files.values())[: 4 * kept])
    (built,) = arrays(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "clean"))
    clean = coco_images("val2017", 8, tmp_path)
    assert resumed.report == clean.report and clean.report["broken"] == 1
    (undisturbed,) = (tmp_path / "clean").rglob("*.raw")
    assert built.read_bytes() == undisturbed.read_bytes() and not parts(tmp_path)
    assert built.with_suffix(".json").read_bytes() == undisturbed.with_suffix(".json").read_bytes()


# Real photos.


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> CocoImages:
    if not SAMPLE.is_dir():
        pytest.skip(f"no sample of COCO in {SAMPLE}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("sample")))
        return coco_images("val2017", 64, SAMPLE)


def test_the_sample_of_coco_is_read_whole(sample: CocoImages) -> None:
    counts = {name: count for name, count in sample.report.items() if count}
    assert counts == {"images": 283, "captions": 1416, "grey": 2}
    pixels = hashlib.sha256(np.ascontiguousarray(sample.images).tobytes()).hexdigest()
    # the records on photos are of these pixels; before Pillow 13, six pictures differ by 6 at most
    assert pixels[:16] in ("7df74fddfc94a765", "dcf0ebd9280b0b78")
    assert "COCO 2017" in sample.source
    assert 60 < sample.images.mean() < 160 and sample.images.std() > 50


def test_pycocotools_reads_the_same(sample: CocoImages) -> None:
    from pycocotools.coco import COCO

    other = COCO(str(SAMPLE / "annotations" / "captions_val2017.json"))
    assert [photo.id for photo in sample.photos] == sorted(other.getImgIds())
    for photo in sample.photos[::20]:
        theirs = other.loadAnns(other.getAnnIds(imgIds=photo.id))
        assert photo.captions == [entry["caption"].strip() for entry in theirs]
