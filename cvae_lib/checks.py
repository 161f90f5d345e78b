"""Input contracts: a check returns what it was given, or says what came and what would be right.

Types and shapes are always checked. Values are on the CPU only: elsewhere a look at them would stop
the device, and inside `torch.compile` break the graph. Wrong types are TypeErrors, all else
ValueErrors.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ROUNDING = 1e-4  # how far outside [0, 1] a pixel may lie: filters in float32 err by less


def check_images(
    x: Tensor | np.ndarray, shape: Sequence[int | None] | None = None, name: str = "images"
) -> Tensor:
    """Images, float (B, C, H, W) in [0, 1]; ``shape`` is (C, H, W), with None where any will do."""
    x = _as_tensor(x, f"{name} must be a tensor or an array", np.ndarray)
    wanted = shape or (None, None, None)
    fits = x.ndim == 4 and all(w in (None, n) for w, n in zip(wanted, x.shape[1:], strict=True))
    if not fits or not x.is_floating_point():
        sides = ", ".join(str(w or side) for w, side in zip(wanted, "CHW", strict=True))
        raise ValueError(f"{name} must be float (B, {sides}) in [0, 1], got {_describe(x)}")
    return check_unit(x, name)


def check_unit(x: Tensor, name: str) -> Tensor:
    """Pixels of any shape: float, finite and within `ROUNDING` of [0, 1]."""
    if not x.is_floating_point():
        raise ValueError(f"{name} must be float in [0, 1], got {_describe(x)}")
    if _may_look(x) and x.numel():
        low, high = x.detach().aminmax()  # NaN if any value is
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):
            check_finite(x)
            raise ValueError(f"{name} must lie in [0, 1], got {_describe(x)}")
    return x


def check_finite(x: Tensor, part: str = "pixel") -> None:
    """Finite values in examples (B, …); the error names the first bad one."""
    if _may_look(x) and (bad := ~x.isfinite().flatten(1).all(1)).any():
        row = int(bad.nonzero()[0])
        value = float(x[row][~x[row].isfinite()][0])
        raise ValueError(f"example {row} has the value {value}: every {part} must be finite")


def check_labels(
    labels: Tensor | np.ndarray | Sequence[int], classes: int | None, count: int | None = None
) -> Tensor:
    """``count`` labels 0 … ``classes`` − 1 (None: any) of any integer type, as int64 (N,)."""
    kinds = "labels must be a tensor, an array or a list of whole numbers"
    labels = _as_tensor(labels, kinds, np.ndarray, list, tuple, range)
    inexact = labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool
    if labels.ndim != 1 or count not in (None, len(labels)) or (inexact and len(labels)):
        wanted, came = "N" if count is None else count, f"{labels.dtype} {tuple(labels.shape)}"
        raise ValueError(f"labels must be whole numbers of shape ({wanted},), got {came}")
    labels = labels.to(torch.int64)
    if classes is not None and _may_look(labels):
        wrong = labels[(labels < 0) | (labels >= classes)]
        if len(wrong):
            raise ValueError(f"label {int(wrong[0])} is out of range: known are 0 … {classes - 1}")
    return labels


def same_shape(x: Tensor, y: Tensor, names: tuple[str, str]) -> None:
    """Two tensors that are compared value by value: neither may broadcast."""
    if x.shape != y.shape:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"{names[0]} and {names[1]} must have one shape, got {shapes}")


def whole_number(
    name: str, value: Any, at_least: int | None = None, at_most: int | None = None
) -> int:
    """An integer of Python, NumPy or a tensor, as int; neither a bool nor 2.0."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or "bool" in str(getattr(value, "dtype", type(value))):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    _check_bounds(name, number, at_least, at_most)
    return number


def real_number(
    name: str,
    value: Any,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float = -math.inf,
) -> float:
    """A finite number of Python or NumPy, as float; no bool. ``above`` is a bound left out."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not above < value < math.inf:
        more = f" and above {above}" if above > -math.inf else ""
        raise ValueError(f"{name} must be finite{more}, got {value}")
    number = float(value)
    _check_bounds(name, number, at_least, at_most)
    return number


@contextmanager
def evaluating(model: object) -> Iterator[None]:
    """Hold a network in evaluation mode; afterwards each of its layers is as it was."""
    layers = list(model.modules()) if isinstance(model, nn.Module) else []
    modes = [layer.training for layer in layers]
    try:
        for layer in layers:
            layer.training = False
        yield
    finally:
        for layer, mode in zip(layers, modes, strict=True):
            layer.training = mode


def _check_bounds(name: str, value: float, at_least: float | None, at_most: float | None) -> None:
    if at_least is not None and value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {value}")
    if at_most is not None and value > at_most:
        raise ValueError(f"{name} must be at most {at_most}, got {value}")


def _as_tensor(value: Any, wanted: str, *kinds: type) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, kinds):
        raise TypeError(f"{wanted}, got {type(value).__name__}")
    try:
        return torch.from_numpy(np.array(value, order="C"))  # copied: whatever strides it has
    except (TypeError, ValueError) as error:
        raise TypeError(f"{wanted}, got a {type(value).__name__} ({error})") from error


def _may_look(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _describe(x: Tensor) -> str:
    """Type and shape; where values lie outside [0, 1] also their range and the remedy."""
    came = f"{x.dtype} {tuple(x.shape)}"
    if x.is_meta or x.is_complex() or not x.numel():
        return came
    low, high = (float(value) for value in x.detach().double().aminmax())
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        return came
    remedy = "undo what scaled them, or clamp(0, 1)"
    if low >= 0 and 2 < high <= 255:
        remedy = "divide by 255" if x.is_floating_point() else "use to_unit(images)"
    elif -1.01 < low < -0.5 and high < 1.01:
        remedy = "(x + 1) / 2 brings [-1, 1] to [0, 1]"
    return f"{came}, {low:.4g} … {high:.4g}: {remedy}"
