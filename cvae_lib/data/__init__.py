"""Data: containers, Fashion-MNIST, Scenes, and COCO."""

from cvae_lib.data.coco import CocoImages, CocoReport, coco_captions, coco_images
from cvae_lib.data.containers import (
    CaptionedSet,
    ImageSet,
    TextEncoder,
    check_labels,
    to_bytes,
    to_unit,
)
from cvae_lib.data.download import download_coco
from cvae_lib.data.fashion import FASHION_CLASSES, DataError, fashion_mnist
from cvae_lib.data.scenes import draw_scene, render, write_scenes

__all__ = [
    "FASHION_CLASSES",
    "CaptionedSet",
    "CocoImages",
    "CocoReport",
    "DataError",
    "ImageSet",
    "TextEncoder",
    "check_labels",
    "coco_captions",
    "coco_images",
    "download_coco",
    "draw_scene",
    "fashion_mnist",
    "render",
    "to_bytes",
    "to_unit",
    "write_scenes",
]
