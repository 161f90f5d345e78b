"""CLIP's package under any setuptools, its text half without pickle, long sentences in pieces."""

import importlib
import io
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import packaging.version
import torch

TOKENS = 77  # that CLIP has room for, two of them marks


def token_pieces(sentence: str, tokenize: Callable[[str], list[int]], room: int) -> list[list[int]]:
    """The tokens of a sentence, cut between words into as few pieces as fit, of similar length.

    A single word of more than ``room`` tokens is cut anywhere.
    """
    tokens = tokenize(sentence)
    words = [tokens] if len(tokens) <= room else map(tokenize, sentence.split(" "))
    units = [word[start : start + room] for word in words for start in range(0, len(word), room)]

    def filled(limit: int) -> list[list[int]]:
        pieces: list[list[int]] = []
        for unit in units:
            if pieces and len(pieces[-1]) + len(unit) <= limit:
                pieces[-1].extend(unit)
            else:
                pieces.append(list(unit))
        return pieces

    fewest = len(filled(room))
    return next(pieces for limit in range(room + 1) if len(pieces := filled(limit)) <= fewest)


def import_clip() -> Any:
    """The package openai-clip; ImportError if ``clip`` is missing, incomplete or another package.

    While it is imported it wants a name of ``pkg_resources``, which setuptools 81 dropped.
    """
    former = sys.modules.get("pkg_resources")
    sys.modules["pkg_resources"] = types.SimpleNamespace(packaging=packaging)  # type: ignore
    try:
        clip = importlib.import_module("clip")
        _ = clip.clip._MODELS, clip.model.CLIP
        return clip
    except Exception as error:  # whatever another `clip` does
        remedy = "pip install openai-clip, and rename a clip.py of yours"
        raise ImportError(f"`clip` is not openai-clip ({error}): {remedy}") from error
    finally:
        del sys.modules["pkg_resources"]
        if former:
            sys.modules["pkg_resources"] = former


def text_tower(content: bytes) -> Any:
    """CLIP's text half, of a TorchScript archive (OpenAI's is one) or a state dict: no pickle."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # deprecated, but OpenAI's format
            weights = torch.jit.load(io.BytesIO(content), map_location="cpu").state_dict()
    except RuntimeError:
        weights = dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    width, dim = weights["text_projection"].shape
    layers = len({name.split(".")[2] for name in weights if name.startswith("transformer.")})
    image = 32, 0, 64, 32  # an image half of no layers
    with torch.device("meta"):  # without numbers; where weights are missing, `to` will say so
        tower = import_clip().model.CLIP(dim, *image, TOKENS, 49_408, width, width // 64, layers)
    del tower.visual, tower.logit_scale
    tower.load_state_dict(weights, strict=False, assign=True)
    return tower.float().eval().requires_grad_(False)
