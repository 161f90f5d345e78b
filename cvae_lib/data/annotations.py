"""What a file of COCO captions says, checked entry by entry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

from cvae_lib.data.shapes import Scene
from cvae_lib.files import DataError
from cvae_lib.text import has_word

ODD = 5  # captions that the report quotes


@dataclass(frozen=True)
class Photo:
    """An image that the annotations list."""

    id: int
    file_name: str
    truth: Scene | None
    captions: list[str] = field(default_factory=list)


def parse_captions(
    content: bytes, path: Path
) -> tuple[list[Photo], dict[str, Any], dict[str, Any]]:
    """Check what the file ``path`` holds → its images by id, its info, its useless captions.

    Those have no letter or digit. A DataError names the file and the entry that is not right.
    """
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}): get it again") from error
    photos: dict[int, Photo] = {}
    for at, entry in _entries(path, tree, "images", id=int, file_name=str):
        number, name = entry["id"], entry["file_name"]
        if not _is_inside(name):
            raise DataError(f"{at}.file_name {name!r} leads out of its folder")
        if number in photos:
            raise DataError(f"{at}.id {number} is there twice")
        try:
            truth = None if entry.get("truth") is None else Scene.from_json(entry["truth"])
        except ValueError as error:
            raise DataError(f"{at}.truth {error}") from error
        photos[number] = Photo(number, name, truth)
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
    useless = {"orphans": orphans, "empty": len(empty), "odd": tuple(empty[:ODD])}
    info = tree["info"] if isinstance(tree.get("info"), dict) else {}
    return sorted(photos.values(), key=lambda photo: photo.id), info, useless


def _is_inside(name: str) -> bool:
    """Whether a relative path, wherever it came from, stays in its folder on any system."""
    path = PureWindowsPath(name)  # knows both kinds of slash
    return bool(path.parts) and not path.anchor and ".." not in path.parts and "\0" not in name


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
