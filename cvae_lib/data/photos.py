"""A photo's file to its central square, upright and in RGB, whatever the file is like."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from PIL import Image, ImageOps
from PIL.Image import Transpose as T

MODES = {**dict.fromkeys(("1", "L", "LA", "I", "I;16", "I;16B"), "grey"), "CMYK": "cmyk"}
MODES |= {"P": "palette", "PA": "palette"}
KINDS = ("broken", "grey", "cmyk", "palette", "alpha", "rotated")
ORIENTATION = 0x0112  # an EXIF tag, whose values from 2 to 8 say how to get the picture upright
TURNS = (T.FLIP_LEFT_RIGHT, T.ROTATE_180, T.FLIP_TOP_BOTTOM, T.TRANSPOSE)
UPRIGHT = dict(enumerate((*TURNS, T.ROTATE_270, T.TRANSVERSE, T.ROTATE_90), 2))


def square(content: bytes, size: int) -> tuple[np.ndarray | None, list[str]]:
    """Decode a JPEG or PNG file → its central square, uint8 (3, size, size), and what it was.

    The words are those of `CocoImages`; a "broken" image has no pixels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            kinds = [MODES[image.mode]] if image.mode in MODES else []
            turn = None
            with contextlib.suppress(Exception):  # unreadable EXIF; the pixels may well be sound
                turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
            image.draft(None, (2 * size, 2 * size))  # a JPEG at 1/2, 1/4, 1/8 that is large enough
            whole: Image.Image = image
            if image.mode.startswith("I"):  # 16 bits
                whole = Image.fromarray((np.asarray(image, np.float32) / 257).round().astype("u1"))
            elif image.has_transparency_data:
                kinds.append("alpha")
                white = Image.new("RGBA", image.size, "white")
                whole = Image.alpha_composite(white, image.convert("RGBA"))
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
