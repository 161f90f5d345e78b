"""How many tokens have the captions of COCO? CLIP has room for 77, and hardly uses more than 20.

    python benchmarks/captions.py --root DIR    # else the folder of $CVAE_COCO_ROOT

Every caption of the folder is counted with CLIP's tokenizer, the marks of start and end included,
and with wordllama's, which has none. Record: cvae_lib/records/captions.
"""

from __future__ import annotations

from pathlib import Path

import arms
import numpy as np

from cvae_lib.clip import import_clip
from cvae_lib.data.coco import annotation_file, parse_captions
from cvae_lib.encoders import SemanticTextEncoder

LIMITS = (20, 77)

EXPERIMENTS = {
    "captions": arms.Experiment(
        "How long captions are",
        "The share of COCO's captions that have more tokens than a limit. Told in "
        "[Chapter 09](09_sentences_as_vectors.ipynb).",
        {
            "tokens": "limit",
            "more than these, CLIP's": "clip",
            "wordllama's": "wordllama",
        },
        flags="",
    ),
}


def main(root: Path | None, split: str) -> None:
    path = annotation_file(split, root)
    photos, *_ = parse_captions(path.read_bytes(), path)
    texts = [text for photo in photos for text in photo.captions]
    clip = import_clip().simple_tokenizer.SimpleTokenizer()
    counts = {
        "clip": np.array([len(clip.encode(text)) + 2 for text in texts]),
        "wordllama": np.diff(SemanticTextEncoder().ragged(texts).starts),
    }
    result = {
        "source": f"{len(texts)} captions of {len(photos)} photos of COCO {split}",
        "median": {name: int(np.median(lengths)) for name, lengths in counts.items()},
        "longest": {name: int(lengths.max()) for name, lengths in counts.items()},
        "rows": [
            {"limit": limit, **{name: float((n > limit).mean()) for name, n in counts.items()}}
            for limit in LIMITS
        ],
    }
    arms.write_run("captions", split, result | arms.origin())


if __name__ == "__main__":
    main(*arms.parse_coco(__doc__))
