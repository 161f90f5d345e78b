"""Input contracts: a check returns what it was given, or says what came and what would be right.

What is no number, tensor or array is a TypeError; all else, a tensor's dtype too, a ValueError.
Values are read on the CPU only: elsewhere a look at them would stop the device, and inside
`torch.compile` break the graph.
"""

import reprlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ROUNDING = 1e-4  # how far outside [0, 1] a pixel may lie: filters in float32 err by less


def check_images(
    x: Tensor | np.ndarray, shape: Sequence[int | None] = (None, None, None), name: str = "images"
) -> Tensor:
    """Images, float (B, C, H, W) within `ROUNDING` of [0, 1].

    ``shape`` is (C, H, W), with None where any will do; () takes pixels of any shape.
    """
    x = as_tensor(x, f"{name} must be a tensor or an array")
    fits = x.is_floating_point() and not (shape and x.ndim != 4)
    fits = fits and all(w in (None, n) for w, n in zip(shape, x.shape[1:], strict=False))
    if fits and x.numel() and _may_look(x):
        low, high = x.detach().aminmax()  # NaN if any value is
        fits = bool(low >= -ROUNDING and high <= 1 + ROUNDING)
    if not fits:
        check_finite(x)
        sides = ", ".join(str(w or side) for w, side in zip(shape, "CHW", strict=False)) or "…"
        raise ValueError(f"{name} must be float (B, {sides}) in [0, 1], got {_describe(x)}")
    return x


def check_finite(x: Tensor, part: str = "pixel") -> None:
    """Finite values in examples (B, …); the error names the first bad one."""
    if x.ndim and _may_look(x) and len(bad := (~x.isfinite()).nonzero()):
        row, value = int(bad[0, 0]), float(x[tuple(bad[0])])
        raise ValueError(f"example {row} has the value {value}: every {part} must be finite")


def check_labels(
    labels: Tensor | np.ndarray | Sequence[int], classes: int | None, count: int | None = None
) -> Tensor:
    """``count`` labels 0 … ``classes`` − 1 (None: any) of any integer type, as int64 (N,)."""
    x = as_tensor(labels, "labels must be a tensor, an array or a list of whole numbers")
    whole = "int" in str(x.dtype) or not x.numel()  # an empty list is taken for floats
    if x.ndim != 1 or count not in (None, len(x)) or not whole:
        wanted, came = "N" if count is None else count, f"{x.dtype} {tuple(x.shape)}"
        raise ValueError(f"labels must be whole numbers of shape ({wanted},), got {came}")
    x = x.to(torch.int64)
    if classes is not None and _may_look(x) and len(wrong := x[(x < 0) | (x >= classes)]):
        raise ValueError(f"label {int(wrong[0])} is out of range: known are 0 … {classes - 1}")
    return x


def check_texts(value: Any, dim: int, words: bool, batch: int | None = None) -> Tensor:
    """Vectors of texts (B, dim), or of their ``words`` (B, L, dim).

    TypeError for what is no tensor or array, ValueError for other shapes, dtypes and numbers.
    """
    text = as_tensor(value, "text vectors must be a tensor or an array")
    fits = text.is_floating_point() and text.shape[1 + words :] == (dim,)
    if not fits or batch not in (None, len(text)):
        want = f"({batch or 'B'}, {'L, ' * words}{dim})"
        came = f"{text.dtype} {tuple(text.shape)}: use the text encoder of the model's training"
        raise ValueError(f"text vectors must be float {want}, got {came}")
    check_finite(text, "number of a text vector")
    return text


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """``value`` if it is one of the ``known`` names, else a ValueError that lists them."""
    if value not in (names := list(known)):
        raise ValueError(f"unknown {name} {value!r}: choose one of {', '.join(names)}")
    return value


def same_shape(x: Tensor, y: Tensor, names: tuple[str, str]) -> None:
    """ValueError unless two tensors have one shape: compared by value, neither may broadcast."""
    if x.shape != y.shape:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"{' and '.join(names)} must have one shape, got {shapes}")


def whole_number(name: str, value: Any, at_least: float = -inf, at_most: float = inf) -> int:
    """A whole number of Python, NumPy or a tensor, as int.

    TypeError for anything else, a bool and 2.0 too; ValueError outside the bounds.
    """
    number = value.item() if getattr(value, "shape", None) == () else value
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if not at_least <= number <= at_most:
        bound = f"at least {at_least}" if number < at_least else f"at most {at_most}"
        raise ValueError(f"{name} must be {bound}, got {number}")
    return number


def real_number(name: str, value: Any, at_least: float = -inf, above: float = -inf) -> float:
    """A number of Python, NumPy or a tensor, as float.

    TypeError for anything else, a bool too; ValueError if it is not finite or outside the bounds.
    """
    number = value.item() if getattr(value, "shape", None) == () else value
    if not isinstance(number, int | float) or isinstance(number, bool):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not (above < number < inf and at_least <= number):
        bound = f"at least {at_least}" if at_least > above else f"above {above}"
        raise ValueError(f"{name} must be finite and {bound}, got {number}")
    return float(number)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Hold a network in evaluation mode; afterwards each of its layers is as it was."""
    training = [layer for layer in model.modules() if layer.training]
    model.eval()
    try:
        yield
    finally:
        for layer in training:
            layer.training = True


def as_tensor(value: Any, wanted: str) -> Tensor:
    """A tensor of an array or of nested lists of numbers, in their shape.

    TypeError, which ``wanted`` opens, for anything else.
    """
    try:  # copied, whatever strides it has
        return value if isinstance(value, Tensor) else torch.from_numpy(np.array(value, order="C"))
    except (TypeError, ValueError):
        came = f"{type(value).__name__} {reprlib.repr(value)}"
        raise TypeError(f"{wanted}, got {came}") from None


def _may_look(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _describe(x: Tensor) -> str:
    """Type and shape; where values lie outside [0, 1] also their range and the remedy."""
    came = f"{x.dtype} {tuple(x.shape)}"
    if x.is_meta or x.is_complex() or not x.numel():
        return came
    low, high = map(float, x.detach().double().aminmax())
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        return came
    remedy = "undo what scaled them, or clamp(0, 1)"
    if low >= 0 and 2 < high <= 255:
        remedy = "divide by 255" if x.is_floating_point() else "use to_unit(images)"
    elif -1.01 < low < -0.5 and high < 1.01:
        remedy = "(x + 1) / 2 brings [-1, 1] to [0, 1]"
    return f"{came}, {low:.4g} … {high:.4g}: {remedy}"
