"""The photographs that ship: under CC BY 2.0 alone, credited, small, read by COCO's reader."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pack_photos
import pytest
from PIL import Image

from cvae_lib.corpus import load_photographs
from cvae_lib.data import coco_images, shipped_photos

ROOT = Path(__file__).resolve().parent.parent
FOLDER = shipped_photos()
TREE = json.loads((FOLDER / pack_photos.ANNOTATIONS).read_bytes())
CC_BY = "http://creativecommons.org/licenses/by/2.0/"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_every_photograph_is_listed_under_cc_by() -> None:
    assert [(entry["id"], entry["url"]) for entry in TREE["licenses"]] == [(4, CC_BY)]
    assert {entry["license"] for entry in TREE["images"]} == {4}
    listed = [entry["file_name"] for entry in TREE["images"]]
    assert len(set(listed)) == len(listed) == 57
    files = {str(f.relative_to(FOLDER)) for f in FOLDER.rglob("*") if f.is_file()}
    assert files == {"LICENSE.md", pack_photos.ANNOTATIONS, *(f"val2017/{name}" for name in listed)}


def test_they_are_small_and_say_nothing_of_the_camera() -> None:
    assert sum(file.stat().st_size for file in FOLDER.rglob("*.jpg")) <= 3e6
    for entry in TREE["images"]:
        with Image.open(FOLDER / "val2017" / entry["file_name"]) as image:
            assert image.format == "JPEG" and min(image.size) == pack_photos.SIDE == 288
            assert image.size == (entry["width"], entry["height"])
            assert not image.getexif() and not {"icc_profile", "comment", "xmp"} & image.info.keys()


def test_each_has_its_five_captions() -> None:
    counts = Counter(entry["image_id"] for entry in TREE["annotations"])
    assert counts.keys() == {entry["id"] for entry in TREE["images"]}
    assert min(counts.values()) >= 5


def test_the_reader_reads_all_and_leaves_the_folder_alone() -> None:
    def stamps() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in [FOLDER, *FOLDER.rglob("*")]}

    before = stamps()
    found = coco_images("val2017", 64, FOLDER)
    assert found.images.shape == (57, 3, 64, 64) and found.images.std() > 50
    counts = {name: count for name, count in found.report.items() if count}
    assert counts == {"images": 57, "captions": 285, "grey": 1}
    assert "CC BY 2.0" in found.source and stamps() == before


def test_a_chapter_gets_them_split() -> None:
    found = load_photographs(16)
    assert found.photos and (len(found.train), len(found.test)) == (46, 11)
    assert found.about == "46 photographs of COCO val2017, 11 to measure on, texts hashed"
    images, vectors = next(found.test.batches(11))
    assert images.shape == (11, 3, 16, 16) and len(vectors) == 11
    assert set(found.train.texts).isdisjoint(found.test.texts)


def test_the_credits_are_those_of_the_annotations() -> None:
    text = pack_photos.credits(TREE)
    for path in (pack_photos.PAGE, FOLDER / "LICENSE.md"):
        assert path.read_text(encoding="utf-8") == text, f"{path}: run benchmarks/pack_photos.py"
    assert all(pack_photos.flickr_page(entry["flickr_url"]) in text for entry in TREE["images"])


def test_the_photographs_are_in_the_wheel() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    data = re.search(r"^\[tool\.setuptools\.package-data\]\n(.*?)\n\[", project, re.M | re.S)
    assert data
    patterns = re.findall(r'"(data/photos/.*)"', data[1])
    packed = {path for pattern in patterns for path in (ROOT / "cvae_lib").glob(pattern)}
    assert packed == {path for path in FOLDER.rglob("*") if path.is_file()}


def made_folder(root: Path, *licences: str) -> Path:
    """A COCO folder with a photograph under each licence, the ids of licences counted from 4."""
    (root / "val2017").mkdir(parents=True)
    (root / "annotations").mkdir()
    images: list[dict[str, Any]] = []
    for k in range(len(licences)):
        image = Image.new("RGB", (400, 600), (50 * k, 90, 0))
        exif = Image.Exif()
        exif[0x0112] = 6  # lies on its side
        image.save(root / "val2017" / f"{k}.jpg", exif=exif, comment=b"Joe's camera")
        address = f"http://farm1.staticflickr.com/2/{k}0_ab_z.jpg"
        entry = {"id": k, "file_name": f"{k}.jpg", "license": 4 + k, "flickr_url": address}
        images.append(entry | {"width": 400, "height": 600, "coco_url": "", "date_captured": ""})
    tree = {
        "info": {"description": "Made"},
        "licenses": [{"id": k, "url": url, "name": "a"} for k, url in enumerate(licences, 4)],
        "images": images,
        "annotations": [
            {"id": k, "image_id": k, "caption": f"*{k}*\n|"} for k in range(len(images))
        ],
    }
    (root / pack_photos.ANNOTATIONS).write_text(json.dumps(tree), encoding="utf-8")
    return root


def test_only_what_is_under_cc_by_is_packed(tmp_path: Path) -> None:
    others = [CC_BY.replace("/by/", f"/{kind}/") for kind in ("by-nc", "by-sa")]
    folder = made_folder(tmp_path / "in", others[0], CC_BY, others[1])
    content = []
    for out in (tmp_path / "out", tmp_path / "out", tmp_path / "again"):
        if out.exists():  # from an earlier run, and listed no more
            (out / "val2017" / "0.jpg").touch()
        pack_photos.pack(folder, out)
        content.append({str(f.relative_to(out)): f.read_bytes() for f in out.rglob("*.*")})
    assert content[0] == content[1] == content[2]
    assert content[0].keys() == {pack_photos.ANNOTATIONS, "val2017/1.jpg"}
    tree = json.loads(content[0][pack_photos.ANNOTATIONS])
    (image,), (licence,), (caption,) = (tree[k] for k in ("images", "licenses", "annotations"))
    assert (image["id"], image["width"], image["height"]) == (1, 432, 288)
    assert licence["url"] == CC_BY and licence["id"] == image["license"] == 5
    assert caption == {"id": 1, "image_id": 1, "caption": "*1*\n|"}
    with Image.open(tmp_path / "out" / "val2017" / "1.jpg") as photo:
        assert photo.size == (432, 288) and not photo.getexif() and "comment" not in photo.info
    line = "| 1 | [10](https://www.flickr.com/photo.gne?id=10) | \\*1\\* \\| |\n"
    assert pack_photos.credits(tree).endswith(line)
    assert coco_images("val2017", 8, tmp_path / "out").report["images"] == 1


def test_a_folder_without_cc_by_is_refused(tmp_path: Path) -> None:
    folder = made_folder(tmp_path / "in", CC_BY.replace("2.0", "2.0-nc"))
    with pytest.raises(ValueError, match=r"no image is under CC BY 2\.0; the licences are http:"):
        pack_photos.pack(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("address", ["", "http://a.example/1/2_3_z.jpg", "http://flickr.com/2"])
def test_a_picture_from_elsewhere_has_no_credit(address: str) -> None:
    with pytest.raises(ValueError, match="its author cannot be credited"):
        pack_photos.flickr_page(address)
