"""Input contracts: what is accepted comes back in one form, what is not is named with a remedy."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cvae_lib.checks import (
    ROUNDING,
    check_finite,
    check_images,
    check_labels,
    evaluating,
    one_of,
    real_number,
    same_shape,
    whole_number,
)

UNIT = torch.linspace(0, 1, 2 * 3 * 4 * 4).view(2, 3, 4, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_images_of_any_float_type_come_back_as_they_are(dtype: torch.dtype) -> None:
    x = UNIT.clone().to(dtype).requires_grad_()
    assert check_images(x, (3, None, 4)) is x
    assert check_images(x[:0]).shape == (0, 3, 4, 4)


def test_an_array_becomes_a_tensor_whatever_its_strides() -> None:
    array = UNIT.numpy()[::-1]
    array.flags.writeable = False
    assert torch.equal(check_images(array), UNIT.flip(0))


@pytest.mark.parametrize(
    ("x", "said"),
    [
        ((255 * UNIT).byte(), r"torch.uint8 \(2, 3, 4, 4\), 0 … 255: use to_unit\(images\)"),
        ((255 * UNIT).numpy().astype(np.uint16), r"torch.uint16 .* 0 … 255: use to_unit"),
        (255 * UNIT, r"C, H, W\) in \[0, 1\], got torch.float32 .* 0 … 255: divide by 255"),
        (2 * UNIT - 1, r"-1 … 1: \(x \+ 1\) / 2 brings"),
        (4 * UNIT - 2, r"-2 … 2: undo what scaled them, or clamp\(0, 1\)"),
        (UNIT + 1.5 * ROUNDING, r"0.00015 … 1: undo what scaled them"),
        (UNIT > 0.5, r"must be float .* got torch.bool"),
        (UNIT.to(torch.complex64), "got torch.complex64"),
        (UNIT[0], r"must be float \(B, C, H, W\) in \[0, 1\], got torch.float32 \(3, 4, 4\)$"),
        (3, r"got torch.int64 \(\)"),
    ],
)
def test_other_images_are_named_with_a_remedy(x: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_images(x)


def test_images_of_another_shape_than_asked() -> None:
    with pytest.raises(ValueError, match=r"x must be float \(B, 1, H, 4\) .* \(2, 3, 4, 4\)$"):
        check_images(UNIT, (1, None, 4), "x")
    flat = UNIT.flatten(1)
    assert check_images(flat, ()) is flat  # pixels of any shape
    with pytest.raises(ValueError, match=r"x must be float \(B, …\) in .* 0 … 2: undo"):
        check_images(2 * flat, (), "x")


def test_rounding_is_forgiven() -> None:
    x = UNIT * (1 + ROUNDING) - ROUNDING / 2
    assert check_images(x) is x


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_first_bad_example_is_named(value: float) -> None:
    x = torch.zeros(4, 1, 2, 2)
    x[2, 0, 1, 1] = value
    with pytest.raises(ValueError, match=f"example 2 has the value {value}: every pixel must be"):
        check_images(x)
    with pytest.raises(ValueError, match=f"example 2 has the value {value}: every number must be"):
        check_finite(x, "number")


def test_values_are_left_unread_where_a_look_would_stop_the_device() -> None:
    assert check_images(UNIT.to("meta")).is_meta
    assert check_labels(torch.tensor([99], device="meta"), 10).is_meta
    compiled = torch.compile(lambda x: check_images(x) + 1, backend="eager", fullgraph=True)
    assert torch.equal(compiled(2 * UNIT), 2 * UNIT + 1)


def test_labels_of_any_integer_type_come_back_as_int64() -> None:
    backwards = np.array([3, 9, 0], np.int32)[::-1]
    plain = [0, 9, 3]
    for labels in (plain, tuple(plain), np.array(plain, np.uint16), backwards, torch.tensor(plain)):
        found = check_labels(labels, 10, 3)
        assert found.dtype == torch.int64 and found.tolist() == plain


def test_labels_may_be_none_or_any_and_the_first_out_of_range_is_named() -> None:
    assert check_labels([], 10).dtype == torch.int64
    assert check_labels(range(-1, 2), None).tolist() == [-1, 0, 1]
    for wrong in (10, -1):
        with pytest.raises(ValueError, match=f"label {wrong} is out of range: known are 0 … 9"):
            check_labels([0, wrong, 99], 10)


@pytest.mark.parametrize(
    ("labels", "came"),
    [
        ([[1], [2], [3]], r"torch.int64 \(3, 1\)"),
        ([1, 2], r"torch.int64 \(2,\)"),
        (3, r"torch.int64 \(\)"),
        ([1.0, 2.0, 3.0], r"torch.float64 \(3,\)"),
        ([True, False, True], r"torch.bool \(3,\)"),
    ],
)
def test_labels_of_another_shape_or_type(labels, came: str) -> None:
    with pytest.raises(ValueError, match=r"whole numbers of shape \(3,\), got " + came):
        check_labels(labels, 10, 3)


@pytest.mark.parametrize("value", ["bag", None, ["bag", "coat"], [0, [1]], {0: 1}])
def test_what_is_no_tensor_is_named_by_type_and_value(value: Any) -> None:
    with pytest.raises(TypeError, match=f"list of whole numbers, got {type(value).__name__} "):
        check_labels(value, 10)
    with pytest.raises(TypeError, match=f"a tensor or an array, got {type(value).__name__} "):
        check_images(value)


def test_names_are_known() -> None:
    assert one_of("split", "valid", ("train", "valid")) == "valid"
    with pytest.raises(ValueError, match="unknown split 'tset': choose one of train, valid"):
        one_of("split", "tset", {"train": 0, "valid": 1})


def test_pairs_have_one_shape() -> None:
    same_shape(UNIT, UNIT, ("x", "mean"))
    with pytest.raises(ValueError, match=r"x and mean must have one shape, got \(3, 1\) and \(3,"):
        same_shape(torch.zeros(3, 1), torch.zeros(3), ("x", "mean"))


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_numbers_become_those_of_python(value: Any) -> None:
    found = whole_number("epochs", value, at_least=3, at_most=3)
    assert type(found) is int and found == 3
    for number in (value, value * 1.0):
        real = real_number("lr", number, at_least=3)
        assert type(real) is float and real == 3.0


@pytest.mark.parametrize("value", [True, np.True_, torch.tensor(True), "3", None, 2j, [3]])
def test_other_things_are_no_numbers(value: Any) -> None:
    with pytest.raises(TypeError, match="epochs must be a whole number, got "):
        whole_number("epochs", value)
    with pytest.raises(TypeError, match="lr must be a number, got "):
        real_number("lr", value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), 0])
def test_numbers_are_finite_and_within_bounds(value: float) -> None:
    with pytest.raises(ValueError, match=f"lr must be finite and above 0, got {value}"):
        real_number("lr", value, above=0)
    with pytest.raises(ValueError, match=f"beta must be finite and at least 1, got {value}"):
        real_number("beta", value, at_least=1)


def test_whole_numbers_are_whole_by_their_type_and_have_bounds() -> None:
    for value in (2.0, 2.5, np.float32(2), torch.tensor(2.0)):
        with pytest.raises(TypeError, match="epochs must be a whole number, got "):
            whole_number("epochs", value)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        whole_number("steps", 0, at_least=1)
    with pytest.raises(ValueError, match="unit must be at most 3, got 4"):
        whole_number("unit", 4, at_least=0, at_most=3)


def test_a_model_is_evaluated_and_left_as_each_of_its_layers_was() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Linear(2, 2)).train()
    model[1].eval()  # a layer that somebody froze
    with evaluating(model):
        assert not any(layer.training for layer in model.modules())
    assert [layer.training for layer in model.modules()] == [True, True, False, True]
    with pytest.raises(KeyError), evaluating(model):
        raise KeyError
    assert model.training and not model[1].training
