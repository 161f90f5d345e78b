"""Pack the photographs of a COCO folder that are under CC BY 2.0 into those that the library ships.

    python benchmarks/pack_photos.py FOLDER    # without FOLDER: their credits alone, from the JSON

FOLDER has annotations/captions_val2017.json and the photographs in val2017/; what is under any
other licence stays out. A photograph is scaled down to a shorter side of 288 pixels and saved as
JPEG without colour profile or comment. Quality 90 is what COCO's own scaled files have: saved again
they differ by less than their first compression. The credits become a page of the book, too.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "cvae_lib" / "data" / "photos"
PAGE = ROOT / "book" / "photo_credits.md"
SPLIT = "val2017"
ANNOTATIONS = f"annotations/captions_{SPLIT}.json"
LICENCE = r"https?://creativecommons\.org/licenses/by/2\.0/"
IMAGE = ("id", "file_name", "width", "height", "license", "flickr_url", "coco_url")
CAPTION = ("id", "image_id", "caption")
SIDE, QUALITY = 288, 90
ABOUT = """\
# The photographs: licence and credits

<!-- Written by benchmarks/pack_photos.py; do not edit. -->

{count} photographs with captions ship with the library. They come from the data set COCO, the split
val2017 (Lin et al. 2014, <https://arxiv.org/abs/1405.0312>, <https://cocodataset.org>).

- **The photographs** belong to those who took them and published them on Flickr under
  [CC BY 2.0](https://creativecommons.org/licenses/by/2.0/). COCO names no authors; the page on
  Flickr does, as long as it is there. Its address below is made from the number in the address
  of the picture that COCO lists.
- **The captions** are by the COCO Consortium, under
  [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), and unchanged.
- **What was changed:** the photographs were scaled down to a shorter side of {side} pixels and
  saved again as JPEG, without colour profile and comments. The library reads the central square of
  each and scales it further; pictures that a model makes of them are not the photographs.

| photograph | on Flickr | its first caption |
| :--- | :--- | :--- |
"""


def pack(folder: Path, out: Path) -> None:
    """Write the photographs and the annotations of those under CC BY 2.0 anew; ValueError if none.

    What was in ``out``/val2017 before is gone.
    """
    tree = chosen(json.loads((folder / ANNOTATIONS).read_bytes()))
    shutil.rmtree(out / SPLIT, ignore_errors=True)
    (out / SPLIT).mkdir(parents=True)
    for entry in tree["images"]:
        with Image.open(folder / SPLIT / entry["file_name"]) as photo:
            image = scaled(photo)
        image.info.clear()  # else comments are written, too
        path = out / SPLIT / entry["file_name"]
        image.save(path, "JPEG", quality=QUALITY, optimize=True, progressive=True)
        entry.update(width=image.width, height=image.height)
    (out / ANNOTATIONS).parent.mkdir(exist_ok=True)
    content = json.dumps(tree, indent=1, ensure_ascii=False) + "\n"
    (out / ANNOTATIONS).write_text(content, encoding="utf-8", newline="\n")


def chosen(tree: dict[str, Any]) -> dict[str, Any]:
    """The part of COCO's annotations that is of images under CC BY 2.0; ValueError if none is."""
    licences = [entry for entry in tree["licenses"] if re.fullmatch(LICENCE, entry["url"])]
    numbers = {entry["id"] for entry in licences}
    images = [{k: i[k] for k in IMAGE} for i in tree["images"] if i["license"] in numbers]
    if not images:
        found = ", ".join(entry["url"] for entry in tree["licenses"])
        raise ValueError(f"no image is under CC BY 2.0; the licences are {found or 'none'}")
    ids = {image["id"] for image in images}
    captions = [{k: c[k] for k in CAPTION} for c in tree["annotations"] if c["image_id"] in ids]
    what = f"{tree['info']['description']}: {len(images)} photographs under CC BY 2.0, scaled down"
    info = tree["info"] | {"description": what}
    return {"info": info, "licenses": licences, "images": images, "annotations": captions}


def scaled(photo: Image.Image) -> Image.Image:
    """The photograph upright, its shorter side at most `SIDE` pixels."""
    image = ImageOps.exif_transpose(photo)
    share = min(1, SIDE / min(image.size))
    size = round(image.width * share), round(image.height * share)
    return image.resize(size, Image.Resampling.LANCZOS)


def flickr_page(address: str) -> str:
    """The page of the picture that lies at ``address``; ValueError if that is not on Flickr."""
    found = re.fullmatch(r"https?://farm\d+\.static\.?flickr\.com/\d+/(\d+)_\w+\.jpg", address)
    if not found:
        raise ValueError(f"{address} is no picture on Flickr: its author cannot be credited")
    return f"https://www.flickr.com/photo.gne?id={found[1]}"


def credits(tree: dict[str, Any]) -> str:
    """Licence, changes and a line for each photograph, as Markdown."""
    captions = {entry["image_id"]: entry["caption"] for entry in reversed(tree["annotations"])}
    text = ABOUT.format(count=len(tree["images"]), side=SIDE)
    for image in tree["images"]:
        page = flickr_page(image["flickr_url"])
        caption = re.sub(r"([\\`*_$<>|\[\]])", r"\\\1", " ".join(captions[image["id"]].split()))
        text += f"| {image['id']} | [{page.rpartition('=')[2]}]({page}) | {caption} |\n"
    return text


if __name__ == "__main__":
    if sys.argv[1:]:
        pack(Path(sys.argv[1]), OUT)
    text = credits(json.loads((OUT / ANNOTATIONS).read_bytes()))
    for path in (OUT / "LICENSE.md", PAGE):
        path.write_text(text, encoding="utf-8", newline="\n")
