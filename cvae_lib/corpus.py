"""Pictures for a chapter: garments; with captions photographs or drawn scenes."""

import os
from typing import NamedTuple

from cvae_lib import data
from cvae_lib.data.scenes import scenes
from cvae_lib.data.sets import TextEncoder
from cvae_lib.encoders import WEIGHTS_VARIABLE, ClipTextEncoder, HashingTextEncoder
from cvae_lib.scale import Scale

SPLIT = "val2017"
HASHED = "texts hashed"


def load_garments(scale: Scale) -> tuple[data.ImageSet, data.ImageSet, data.ImageSet]:
    """Fashion-MNIST to train, validate and test on: as many, and where, as ``scale`` says."""
    counts = {"train": scale.train_images, "valid": scale.valid_images, "test": scale.test_images}
    read = (data.fashion_mnist(name).first(n).to(scale.device) for name, n in counts.items())
    train, valid, test = read
    return train, valid, test


class Corpus(NamedTuple):
    """Captioned pictures to train on, others to measure on, and what read their captions."""

    train: data.CaptionedSet
    test: data.CaptionedSet
    encoder: TextEncoder
    photos: bool  # whether they are photographs
    about: str  # which pictures they are, and why no others: for the reader


def load_corpus(scale: Scale, size: int, train_scenes: int, test_scenes: int) -> Corpus:
    """COCO val2017 with CLIP's vectors at scale gpu, downloaded if need be; else so many scenes.

    Pictures have ``size`` x ``size`` pixels. A folder named in ``$CVAE_COCO_ROOT`` together with
    weights in ``$CVAE_CLIP_WEIGHTS`` are taken at every scale. A tenth of the photos is the test
    set. Scenes are read by a `HashingTextEncoder`.
    """
    reason = f"scale {scale.name}"
    if scale.name == "gpu" or os.environ.keys() >= {"CVAE_COCO_ROOT", WEIGHTS_VARIABLE}:
        try:
            clip = ClipTextEncoder(device=scale.device)  # first: without it, no photo is of use
            if "CVAE_COCO_ROOT" not in os.environ:
                data.download_coco(SPLIT)
            photos = data.coco_captions(SPLIT, size, encoder=clip)
        except (data.DataError, OSError, ImportError) as error:  # ImportError: no openai-clip
            reason = str(error)
        else:
            return _photographs(photos, len(photos) // 10, clip, "texts by CLIP")
    encoder = HashingTextEncoder()
    train = scenes("train", train_scenes, size, encoder=encoder)
    test = scenes("test", test_scenes, size, encoder=encoder)
    many = f"{len(train):,} drawn scenes, {len(test):,} to measure on"
    return Corpus(train, test, encoder, False, f"{many}, {HASHED} ({reason})")


def load_photographs(size: int) -> Corpus:
    """The photographs that ship, ``size`` × ``size`` pixels: 46 to train and 11 to measure on."""
    encoder = HashingTextEncoder()
    photos = data.coco_captions(SPLIT, size, data.shipped_photos(), encoder=encoder)
    return _photographs(photos, len(photos) // 5, encoder, HASHED)


def _photographs(photos: data.CaptionedSet, held: int, encoder: TextEncoder, how: str) -> Corpus:
    """All but the first ``held`` photos to train on, those to measure on."""
    train, test = photos.subset(slice(held, None)), photos.first(held)
    many = f"{len(train):,} photographs of COCO {SPLIT}, {len(test):,} to measure on"
    return Corpus(train, test, encoder, True, f"{many}, {how}")
