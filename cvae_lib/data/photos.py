"""A photo's file to its central square, upright and in RGB, whatever the file is like."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps
from PIL.Image import Transpose

MODES = {"1": "grey", "L": "grey", "LA": "grey", "I": "grey", "I;16": "grey", "I;16B": "grey"}
MODES |= {"CMYK": "cmyk", "P": "palette", "PA": "palette"}
KINDS = ("broken", "grey", "cmyk", "palette", "alpha", "rotated")
ORIENTATION = 0x0112  # an EXIF tag, whose values from 2 to 8 say how to get the picture upright
UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def square(content: bytes, size: int) -> tuple[np.ndarray | None, list[str]]:
    """Decode a JPEG or PNG file → its central square, uint8 (3, size, size), and what it was.

    The words are those of `CocoReport`; a "broken" image has no pixels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            kinds = [MODES[image.mode]] if image.mode in MODES else []
            turn = _orientation(image)
            image.draft(None, (2 * size, 2 * size))  # a JPEG at 1/2, 1/4, 1/8 that is large enough
            if image.mode.startswith("I"):  # 16 bits
                whole = Image.fromarray((np.asarray(image, np.float32) / 257).round().astype("u1"))
            elif image.has_transparency_data:
                kinds.append("alpha")
                white = Image.new("RGBA", image.size, "white")
                whole = Image.alpha_composite(white, image.convert("RGBA"))
            else:
                whole = image
            if turn is not None:
                kinds.append("rotated")
                whole = whole.transpose(turn)
            whole = whole.convert("RGB")
    except MemoryError:
        raise
    except Exception:  # a decoder may raise anything when it is fed with damage
        return None, ["broken"]
    pixels = ImageOps.fit(whole, (size, size), Image.Resampling.LANCZOS)
    return np.asarray(pixels).transpose(2, 0, 1), kinds


def _orientation(image: Image.Image) -> Transpose | None:
    """How to turn a picture upright; not at all if its EXIF data cannot be read."""
    try:
        return UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except MemoryError:
        raise
    except Exception:  # as from a decoder; the pixels may well be sound
        return None
