"""The shipped models as ONNX graphs that a page draws with, and the numbers their priors need.

What a browser loads is a classic script for each model, `playground.assets.NAME = {part: text}`,
each part gzip in base64: pages opened from the disk may load scripts, and nothing else. Graphs
(graphs.py) are z = `prior`(noise, component) and images = `decode`(z, shares) of garments; `embed`,
`read`, `step` and `draw` of scenes, whose texts are rows of a table. `about` is JSON.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import rules_tables
import torch
from graphs import Decode, Draw, Embed, Prior, Read, Step, graph
from PIL import Image
from torch import Tensor

from cvae_lib import pretrained
from cvae_lib.data import FASHION_CLASSES, scenes, shapes
from cvae_lib.encoders import SemanticTextEncoder
from cvae_lib.files import cache_root, write_atomically
from cvae_lib.models.attributes import directions, regress
from cvae_lib.text import text_to_images

GARMENTS, SCENES = "fashion-concat-sigma", "scenes-attend"
ATTRIBUTES = ("brightness", "width", "shading")  # along which sliders lead; adjectives ask for two
ASKED = slice(2)
LEVELS = [level / 20 for level in range(1, 20)]  # quantiles of the attributes
FREQUENT = 3000  # of the tokenizer's whole words, which it numbers by how common they are
LIKE = 0.5  # the cosine with a word of Scenes from which a rarer word is kept
DIGITS = 7  # of a float32


def numbers(values: Tensor | np.ndarray) -> Any:
    """A tensor as nested lists of floats, with the digits that a float32 has."""
    rounded = [float(f"{value:.{DIGITS}g}") for value in np.asarray(values).reshape(-1)]
    return np.array(rounded).reshape(tuple(values.shape)).tolist()


def conditioning(model: Any, label: int) -> dict[str, Any]:
    """What `Prior.given` reckons with, for one class: y = weight · z + offset + noise."""
    fit = regress(model, label, ATTRIBUTES)
    ways = directions(model, label, fit)
    weight, noise = fit.weight[ASKED], fit.noise[ASKED, ASKED]
    mean, scale = (part[label].double() for part in (model.prior.mean, model.prior.scale))
    cross = scale @ (scale.mT @ weight.T)  # (components, D, P): covariance · weightᵀ
    levels = torch.tensor(LEVELS).double()
    return {
        "components": numbers(model.prior.weight[label]),
        "weight": numbers(weight),
        "offset": numbers(fit.offset[ASKED]),
        "noise": numbers(noise),
        "quantiles": {
            name: numbers(fit.measured[name].quantile(levels)) for name in ATTRIBUTES[ASKED]
        },
        "cross": numbers(cross.mT),
        "expected": numbers(mean @ weight.T),
        "own": numbers(weight @ cross),
        "directions": dict(zip(ATTRIBUTES, map(numbers, ways), strict=True)),
    }


def garments() -> dict[str, bytes]:
    """The parts of the asset "garments"."""
    model = pretrained.load_pretrained(GARMENTS)
    dim, classes = model.latent_dim, len(FASHION_CLASSES)
    noise = torch.zeros(2, dim)
    about = {
        "latent": dim,
        "classes": list(FASHION_CLASSES),
        "levels": LEVELS,
        "attributes": ATTRIBUTES[ASKED],
        "directions": ATTRIBUTES,
        "rules": rules_tables.tables(),
        "priors": [conditioning(model, label) for label in range(classes)],
    }
    component = torch.arange(2)
    return {
        "prior": graph(Prior(model), {"noise": noise, "component": component}, ["z"]),
        "decode": graph(Decode(model), {"z": noise, "shares": torch.zeros(2, classes)}, ["images"]),
        "about": packed(about),
    }


def vocabulary(encoder: SemanticTextEncoder) -> dict[str, list[int]]:
    """By word and punctuation mark its rows in the encoder's table: Scenes' own, the most frequent
    ones, and those that mean something like a word of Scenes."""
    own = sorted(
        scenes.scene_words() | {"medium-sized", "middle-sized", "three-sided", "five-pointed"}
    )
    whole = {
        token.removeprefix("▁"): row
        for token, row in sorted(encoder.rows.items(), key=lambda item: item[1])
        if re.fullmatch("▁[a-z]+", token)
    }
    table = encoder.table.astype(np.float32)
    table /= np.linalg.norm(table, axis=1, keepdims=True) + 1e-9
    ours = table[[whole[word] for word in own if word in whole]]
    like = {word for word, row in whole.items() if (ours @ table[row]).max() >= LIKE}
    kept = sorted({*own, *list(whole)[:FREQUENT], *like})
    marks = {mark: rows_of(encoder, f"a{mark}")[1:] for mark in ".,;:!?"}
    return {word: rows_of(encoder, word) for word in kept} | marks


def rows_of(encoder: SemanticTextEncoder, text: str) -> list[int]:
    return [int(row) for row in encoder.ragged([text]).tokens]


def scenes_asset() -> dict[str, bytes]:
    """The parts of the asset "scenes"."""
    model, encoder = pretrained.load_pretrained(SCENES), SemanticTextEncoder()
    layout, words = model.prior.layout, vocabulary(encoder)
    phrases = [rows_of(encoder, phrase) for phrase in scenes.PHRASES]
    used = sorted({row for rows in [*words.values(), *phrases] for row in rows})
    place = {row: number for number, row in enumerate(used, 1)}
    table = np.concatenate([np.zeros((1, encoder.dim), np.float16), encoder.table[used]])
    about = {
        "latent": model.latent_dim,
        "size": model.image_size,
        "words": {word: [place[row] for row in rows] for word, rows in words.items()},
        "trained": sorted(scenes.scene_words()),
        "phrases": scenes.PHRASES,
        "phraseRows": [[place[row] for row in rows] for rows in phrases],
        "shapes": list(shapes.SHAPES),
    }
    batch, width = torch.zeros(2, 7, encoder.dim), layout.reader.width
    batch[:, :4] = torch.randn(2, 4, encoder.dim)
    step = {
        "word": torch.zeros(2, width),
        "taken": torch.zeros(2, len(phrases)),
        "state": torch.zeros(2, width),
    }
    draw = {"words": batch, "noise": torch.zeros(2, model.latent_dim)}
    rows = {"rows": torch.ones(2, 7, dtype=torch.long)}
    return {
        "embed": graph(Embed(torch.from_numpy(table).float()), rows, ["words"]),
        "read": graph(Read(layout), {"words": batch}, ["read", "start"]),
        "step": graph(Step(layout), step, ["logits", "next"]),
        "draw": graph(Draw(model), draw, ["images"]),
        "about": packed(about),
    }


def packed(value: Any) -> bytes:
    """JSON in as few bytes as it takes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def script(name: str, parts: dict[str, bytes]) -> bytes:
    """The classic script that brings the parts of an asset."""
    texts = {
        part: base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
        for part, content in parts.items()
    }
    start = f"((globalThis.playground ??= {{}}).assets ??= {{}}).{name} = "
    return f"{start}{json.dumps(texts)};\n".encode()


MAKERS: dict[str, Callable[[], dict[str, bytes]]] = {"garments": garments, "scenes": scenes_asset}


def fingerprint(name: str) -> str:
    """What an asset depends on, as a name for it: weights, tables, the code that makes it, PyTorch.

    From one seed PyTorch draws other components in another version.
    """
    library = Path(pretrained.__file__).parent
    read = ["garments.json", "grammar.py", "text.py", "encoders.py", "data/scenes.json"]
    read += ["data/scenes.py", "data/shapes.py"]
    tools = [Path(str(module.__file__)) for module in (graphs, rules_tables)]
    files = [Path(__file__), *tools, *sorted(library.glob("models/*.py"))]
    files += [library / name for name in read]
    model = {"garments": GARMENTS, "scenes": SCENES}[name]
    found = hashlib.sha256(pretrained.record(model)["weights_sha256"].encode())
    found.update(torch.__version__.encode())
    for path in files:
        found.update(path.read_bytes())
    return found.hexdigest()[:32]


def asset(name: str) -> bytes:
    """The script of "garments" or "scenes", from the user's cache if it was made before."""
    cached = cache_root() / "playground" / f"{name}-{fingerprint(name)}.js"
    if not cached.is_file():
        write_atomically(cached, script(name, MAKERS[name]()))
    return cached.read_bytes()


def beforehand(kind: str, text: str) -> list[tuple[str, list[str]]]:
    """What PyTorch draws of a text: captions with pictures in base64, cached like assets."""
    key = hashlib.sha256(f"{fingerprint(kind)} {text}".encode()).hexdigest()[:32]
    cached = cache_root() / "playground" / f"{kind}-{key}.json"
    if not cached.is_file():
        rows = {"garments": garment_rows, "scenes": scene_rows}[kind](text)
        drawn = [(caption, [png(image) for image in images]) for caption, images in rows]
        write_atomically(cached, json.dumps(drawn).encode())
    return [(caption, pictures) for caption, pictures in json.loads(cached.read_text("utf-8"))]


def garment_rows(text: str) -> list[tuple[str, Tensor]]:
    model = pretrained.load_pretrained(GARMENTS)
    rows, found = text_to_images(model, text, 6, torch.Generator().manual_seed(0))
    return [(f"{len(row)} × {garment}", row) for row, garment in zip(rows, found, strict=True)]


def scene_rows(text: str) -> list[tuple[str, Tensor]]:
    model, words = pretrained.load_pretrained(SCENES), SemanticTextEncoder().words([text] * 4)
    return [(text, image[None]) for image in model.sample(words, torch.Generator().manual_seed(0))]


def png(image: Tensor) -> str:
    """A picture (C, H, W) in [0, 1] as a PNG in base64."""
    pixels = (255 * image).round().to(torch.uint8).permute(1, 2, 0).squeeze(2).numpy()
    Image.fromarray(pixels).save(buffer := io.BytesIO(), "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
