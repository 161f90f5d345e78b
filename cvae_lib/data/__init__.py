"""Data: sets, Fashion-MNIST, Scenes, and COCO."""

from cvae_lib.data.coco import CocoImages, coco_captions, coco_images, download_coco, shipped_photos
from cvae_lib.data.fashion import FASHION_CLASSES, fashion_mnist
from cvae_lib.data.scenes import draw_scene, write_scenes
from cvae_lib.data.sets import CaptionedSet, ImageSet, TextEncoder, to_unit
from cvae_lib.data.shapes import Scene, Thing, render
from cvae_lib.files import DataError

__all__ = [
    "FASHION_CLASSES", "CaptionedSet", "CocoImages", "DataError", "ImageSet", "Scene",
    "TextEncoder", "Thing", "coco_captions", "coco_images", "download_coco", "draw_scene",
    "fashion_mnist", "render", "shipped_photos", "to_unit", "write_scenes",
]  # fmt: skip
