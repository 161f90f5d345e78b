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


Parsed = tuple[list[Photo], dict[str, Any], dict[str, Any]]


def parse_captions(content: bytes, path: Path) -> Parsed:
    """Check what the file ``path`` holds → its images by id, its info, its useless captions.

    A caption without a letter or digit is of no use to anybody who reads words.

    Raises:
        DataError: naming the file and the entry that is not as it should be.
    """
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}): get it again") from error
    photos: dict[int, Photo] = {}
    for i, entry in enumerate(_entries(path, tree, "images", {"id": int, "file_name": str})):
        number, name, truth = entry["id"], entry["file_name"], entry.get("truth")
        if not is_inside(name):
            raise DataError(f"{path}: images[{i}].file_name {name!r} leads out of its folder")
        if number in photos:
            raise DataError(f"{path}: images[{i}].id {number} is there twice")
        try:
            photos[number] = Photo(number, name, None if truth is None else Scene.from_json(truth))
        except ValueError as error:
            raise DataError(f"{path}: images[{i}].truth {error}") from error
    orphans, empty = 0, []
    for entry in _entries(path, tree, "annotations", {"image_id": int, "caption": str}):
        caption = entry["caption"].strip().encode("utf-8", "replace").decode()  # no surrogates
        if not has_word(caption):
            empty.append(f"image {entry['image_id']}: {caption!r:.60}")
        elif entry["image_id"] in photos:
            photos[entry["image_id"]].captions.append(caption)
        else:
            orphans += 1
    info = tree["info"] if isinstance(tree.get("info"), dict) else {}
    useless = {"orphans": orphans, "empty": len(empty), "odd": tuple(empty[:ODD])}
    return sorted(photos.values(), key=lambda p: p.id), info, useless


def is_inside(name: str) -> bool:
    """Whether a relative path, wherever it came from, stays in its folder on any system."""
    path = PureWindowsPath(name)  # knows both kinds of slash
    return bool(path.parts) and not path.anchor and ".." not in path.parts and "\0" not in name


def _entries(path: Path, tree: Any, name: str, fields: dict[str, type]) -> Iterator[dict[str, Any]]:
    """The entries of ``tree[name]``, each of which has ``fields`` of these types."""
    entries = tree.get(name) if isinstance(tree, dict) else None
    if not isinstance(entries, list):
        raise DataError(f"{path} has no list {name!r}: not a file of COCO captions")
    for i, entry in enumerate(entries):
        for key, kind in fields.items():
            value = entry.get(key) if isinstance(entry, dict) else None
            if type(value) is not kind:
                raise DataError(f"{path}: {name}[{i}].{key} is {value!r:.60}, want {kind.__name__}")
        yield entry
