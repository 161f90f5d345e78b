"""Pictures with captions for a chapter: photographs where they can be had, else drawn scenes."""

from __future__ import annotations

import os
from typing import NamedTuple

from cvae_lib.checks import whole_number
from cvae_lib.data import CaptionedSet, DataError, coco_captions, download_coco
from cvae_lib.data.scenes import scenes
from cvae_lib.data.sets import TextEncoder
from cvae_lib.encoders import WEIGHTS_VARIABLE, ClipTextEncoder, HashingTextEncoder
from cvae_lib.scale import Scale

SPLIT = "val2017"


class Corpus(NamedTuple):
    """Captioned pictures to train on, others to measure on, and what read their captions."""

    train: CaptionedSet
    test: CaptionedSet
    encoder: TextEncoder
    about: str  # which pictures they are, and why no others: for the reader

    @property
    def photos(self) -> bool:
        """Whether they are photographs."""
        return self.train.truths is None


def load_corpus(
    scale: Scale, size: int, train_scenes: int, test_scenes: int, encoder: TextEncoder | None = None
) -> Corpus:
    """COCO val2017 with CLIP's vectors at scale gpu, downloaded if need be; else Scenes.

    Pictures have ``size`` x ``size`` pixels. A folder named in ``$CVAE_COCO_ROOT`` together with
    weights in ``$CVAE_CLIP_WEIGHTS`` are taken at every scale. A tenth of the photos is the test
    set. Where photos or weights cannot be had, `Corpus.about` gives the reason, and so many scenes
    stand in, their captions read by ``encoder`` (a `HashingTextEncoder` if None).
    """
    counts = {
        "train": whole_number("train_scenes", train_scenes, at_least=1),
        "test": whole_number("test_scenes", test_scenes, at_least=1),
    }
    reason = f"scale {scale.name}"
    if scale.name == "gpu" or os.environ.keys() >= {"CVAE_COCO_ROOT", WEIGHTS_VARIABLE}:
        try:
            return _photographs(scale, size)
        except (DataError, OSError, ImportError) as error:  # ImportError: no openai-clip
            reason = str(error)
    encoder = encoder or HashingTextEncoder()
    train, test = (scenes(split, count, size, encoder=encoder) for split, count in counts.items())
    many = f"{len(train):,} drawn scenes, {len(test):,} to measure on"
    return Corpus(train, test, encoder, f"{many}, texts hashed ({reason})")


def _photographs(scale: Scale, size: int) -> Corpus:
    clip = ClipTextEncoder(device=scale.device)  # first: without it, no photo is of use
    if "CVAE_COCO_ROOT" not in os.environ:
        download_coco(SPLIT)
    photos = coco_captions(SPLIT, size, encoder=clip)
    train, test = photos.subset(slice(len(photos) // 10, None)), photos.first(len(photos) // 10)
    many = f"{len(train):,} photographs of COCO {SPLIT}, {len(test):,} to measure on"
    return Corpus(train, test, clip, f"{many}, texts by CLIP")
