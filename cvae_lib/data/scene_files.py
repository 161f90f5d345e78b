"""Scenes on the disk: a COCO folder whose annotations tell the truth of every picture."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from cvae_lib.data.scenes import Caption, draw_one, in_parallel
from cvae_lib.data.shapes import UNSEEN_PAIRS, UNSEEN_RELATIONS, Scene
from cvae_lib.files import user_path, write_atomically


def write_scenes(
    folder: str | Path,
    split: str = "train",
    count: int = 1000,
    size: int = 64,
    seed: int = 0,
    workers: int | None = None,
    on_scene: Callable[[], Any] | None = None,
) -> Path:
    """Write scenes as a COCO folder: ``SPLIT/*.png`` and ``annotations/captions_SPLIT.json``.

    The truth of a picture stands in its entry of "images", what a caption says of it in its entry
    of "annotations". While scenes are drawn, those of an earlier call stay as they are.

    Args:
        workers: processes that draw; all cores if None.
        on_scene: called after each picture.

    Returns:
        The annotation file, which is written last: where it is, all pictures are.
    """
    folder = user_path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "annotations" / f"captions_{split}.json"
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix=".scenes-", dir=folder) as fresh:
        drawn = in_parallel(partial(_draw, split, seed, size), count, workers or os.cpu_count())
        for number, (png, scene, said) in enumerate(drawn, 1):
            name = f"{number:012d}.png"
            Path(fresh, name).write_bytes(png)
            about = {"id": number, "file_name": name, "width": size, "height": size}
            images.append({**about, "truth": scene.to_json()})
            for caption in said:
                about = {"id": len(annotations) + 1, "image_id": number, "caption": caption.text}
                annotations.append({**about, "says": list(caption.says)})
            if on_scene:
                on_scene()
        path.unlink(missing_ok=True)  # from here on there are no scenes, until all are there
        (folder / split).mkdir(exist_ok=True)
        for image in images:
            os.replace(Path(fresh, image["file_name"]), folder / split / image["file_name"])
    info = {
        "description": f"Scenes, {split}, seed {seed}",
        "procedural": True,
        "unseen_pairs": sorted(UNSEEN_PAIRS),
        "unseen_relations": sorted(UNSEEN_RELATIONS),
    }
    content = {"info": info, "licenses": [], "images": images, "annotations": annotations}
    write_atomically(path, json.dumps(content).encode())
    return path


def _draw(split: str, seed: int, size: int, index: int) -> tuple[bytes, Scene, list[Caption]]:
    """A scene as a PNG, with its truth and its captions."""
    image, scene, captions = draw_one(split, seed, size, index)
    content = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(content, format="PNG", compress_level=1)
    return content.getvalue(), scene, captions
