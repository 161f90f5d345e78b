"""The parts of the shipped models as ONNX graphs that a browser runs.

Weights stay the float16 numbers they are shipped as, and are float32 once loaded: nothing is lost.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Prior(nn.Module):
    """noise (N, D), component (N,) of classes · components → z (N, D)."""

    mean: Tensor
    scale: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.register_buffer("mean", model.prior.mean.flatten(0, 1))
        self.register_buffer("scale", model.prior.scale.flatten(0, 1))

    def forward(self, noise: Tensor, component: Tensor) -> Tensor:
        return self.mean[component] + (self.scale[component] @ noise[:, :, None])[:, :, 0]


class Decode(nn.Module):
    """z (N, D), shares (N, classes) of a blend → images (N, 1, 28, 28)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor, shares: Tensor) -> Tensor:
        label = shares @ self.model.condition.to_features.weight
        maps = self.model.decoder_input(torch.cat([z, label], 1)).view(-1, 128, 4, 4)
        return torch.sigmoid(self.model.decoder(maps))


class Embed(nn.Module):
    """Rows (N, L) of the table → word vectors (N, L, D); row 0 is no word."""

    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table)

    def forward(self, rows: Tensor) -> Tensor:
        return self.table[rows]


class Read(nn.Module):
    """Word vectors (N, L, D) → the words as the layout walks along them, and where it starts."""

    def __init__(self, layout: Any) -> None:
        super().__init__()
        self.layout = layout

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        reading = self.layout.read(words)
        return reading.words, self.layout.start(reading.pooled)


class Step(nn.Module):
    """A step of the layout: word, what was chosen, memory → logits of the choices, memory."""

    def __init__(self, layout: Any) -> None:
        super().__init__()
        self.layout = layout

    def forward(self, word: Tensor, taken: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        step = torch.cat([word, self.layout.taken(taken)], 1)[:, None]
        out, state = self.layout.walk(step, state[None])
        return self.layout.out(out[:, 0]), state[0]


class Draw(nn.Module):
    """Word vectors (N, L, D), noise (N, latent) → images (N, 3, 64, 64)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, words: Tensor, noise: Tensor) -> Tensor:
        reading = self.model.condition.reader(F.layer_norm(words, words.shape[2:]))
        mean, logvar = self.model.prior.moments(reading)
        logits = self.model.decode_logits(mean + torch.exp(0.5 * logvar) * noise, reading)
        return torch.sigmoid(logits)


def graph(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str]) -> bytes:
    """A module as ONNX. Of each input the first axis is free, and the second of words and rows."""
    free = {name: {0: "n", 1: "l"} if name in ("words", "rows") else {0: "n"} for name in inputs}
    if isinstance(module, Step):
        free = {name: {0: "n"} for name in inputs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own workings
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program: Any = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            dynamo=True,
            verbose=False,
            optimize=False,  # folded into its neighbour, a BatchNorm's weights were no float16
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=tuple(free.values()),
        )
    return halved(program.model_proto).SerializeToString(deterministic=True)


def halved(model: Any) -> Any:
    """The ONNX model with its float32 constants as float16, where nothing is lost by it."""
    import onnx

    casts = []
    for constant in model.graph.initializer:
        if constant.data_type != onnx.TensorProto.FLOAT or np.prod(constant.dims) < 64:
            continue
        values = onnx.numpy_helper.to_array(constant)
        half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            name = constant.name
            constant.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=1))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer):
        del part.metadata_props[:]  # where in the library each comes from
    return model
