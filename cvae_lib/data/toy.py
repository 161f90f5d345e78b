"""Procedural garments: uint8 28x28 stand-ins for Fashion-MNIST, drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from cvae_lib.data.sets import check_labels

SIZE = 28  # pixels a side, as in Fashion-MNIST
CLASSES = 10
_FINE = 2 * SIZE  # garments are drawn at twice the size, then averaged
_CHUNK = 500  # images drawn at once; part of what a seed means
_DICE = 28  # random numbers an image may use

# Pixel centres in [-1, 1]: x grows to the right, y downwards.
_GRID = (torch.arange(_FINE) + 0.5) / SIZE - 1
_X, _Y = _GRID.view(1, 1, -1), _GRID.view(1, -1, 1)
_AX = _X.abs()  # a garment seen from the front is drawn on one side and mirrored


class _Dice:
    """Each call uses up one column of uniform numbers and returns it as (n, 1, 1)."""

    def __init__(self, uniform: Tensor) -> None:
        self.columns = iter(uniform.unbind(1))

    def __call__(self, low: float, high: float) -> Tensor:
        return low + (high - low) * next(self.columns).view(-1, 1, 1)

    def chance(self, p: float) -> Tensor:
        return (next(self.columns).view(-1, 1, 1) < p).float()


Number = Tensor | float


def _cover(inside: Tensor) -> Tensor:
    """Coverage in [0, 1] of a pixel whose signed distance to the outline is `inside`."""
    return (inside * SIZE + 0.5).clamp(0, 1)


def _least(*inside: Tensor) -> Tensor:
    """The intersection of shapes, given by their signed distances."""
    low = inside[0]
    for other in inside[1:]:
        low = torch.minimum(low, other)
    return low


def _curve(t: Tensor, *knots: tuple[Number, Number], smooth: bool = False) -> Tensor:
    """The (smoothed) piecewise linear function of t through the (position, value) knots."""
    value = torch.as_tensor(knots[0][1]) + torch.zeros_like(t)
    for (t0, v0), (t1, v1) in pairwise(knots):
        step = ((t - t0) / (t1 - t0)).clamp(0, 1)
        if smooth:
            step = step * step * (3 - 2 * step)
        value = value + (v1 - v0) * step
    return value


def _limb(start: tuple[Number, Number], end: tuple[Number, Number], r0: Number, r1: Number,
          x: Tensor = _AX) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A tapered tube, round at its start and cut straight at its end.

    Returns its signed distance and the position along it, 0 at the start and 1 at the end.
    """
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = torch.as_tensor(dx * dx + dy * dy).sqrt()
    px, py = x - start[0], _Y - start[1]
    t = (px * dx + py * dy) / length.square()
    near = t.clamp(min=0)
    off = ((px - near * dx).square() + (py - near * dy).square()).sqrt()
    return torch.minimum(r0 + (r1 - r0) * near.clamp(max=1) - off, (1 - t) * length), t


def _ring(x0: Number, y0: Number, rx: Number, ry: Number, x: Tensor = _AX) -> Tensor:
    """Approximate signed distance to an ellipse, positive inside."""
    k = (((x - x0) / rx).square() + ((_Y - y0) / ry).square()).sqrt()
    return (1 - k) * torch.minimum(torch.as_tensor(rx), torch.as_tensor(ry))


def _paint(grey: Tensor, cover: Tensor, tone: Number) -> Tensor:
    """`tone` laid over `grey` where `cover` is 1."""
    return grey + cover * (tone - grey)


def _cloth(dice: _Dice, plain: float) -> Tensor:
    """Brightness of a fabric: one grey, lit from a side; stripes or checks unless plain."""
    tone, light = dice(0.5, 0.95), dice(-0.12, 0.12)
    rows, columns, depth = dice.chance(0.6), dice.chance(0.5), dice(0.15, 0.4)
    striped = 1 - dice.chance(plain)
    pitch = dice(14, 26)
    waves = rows * torch.sin(_Y * pitch) + columns * torch.sin(_X * pitch)
    return tone * (1 + light * _X) * (1 - striped * depth * waves.clamp(0, 1))


def _upper(dice: _Dice, cloth: Tensor, top: Number, hem: Number, shoulder: Number, chest: Number,
           flare: Number, reach: Tensor, radius: Number, cuff: Number) -> Tensor:  # fmt: skip
    """Torso and sleeves; `reach` is the sleeve's length, from 0.2 (short) to 1 (at the hem)."""
    drop = dice(0.1, 0.2)
    out = dice(-0.03, 0.05)
    x1 = shoulder + (0.12 + 0.28 * (reach / 0.35).clamp(max=1) - 0.1 * (reach - 0.35).clamp(min=0))
    y1 = top + drop + 0.12 + (hem - top - 0.3) * reach
    start = (shoulder - radius * 0.75, top + drop + radius * 0.8)
    elbow = (x1 - 0.06 + out * 0.5, start[1] + (y1 - start[1]) * 0.5)
    upper, _ = _limb(start, elbow, radius, radius * 0.9)
    lower, _ = _limb(elbow, (x1 + out, y1), radius * 0.9, cuff)
    sleeve = torch.maximum(upper, lower)
    width = _curve(_Y, (top, shoulder), (top + 0.6, chest), (hem, chest + flare))
    roof = _Y - _curve(_AX, (0.15, top), (shoulder, top + drop))
    torso = _least(width - _AX, roof, hem - _Y)
    grey = _paint(torch.zeros(()), _cover(sleeve), cloth * 0.93)
    grey = _paint(grey, _cover(torso + 0.05) * _cover(sleeve), cloth * 0.45)  # the shadow between
    shade = 1 - 0.16 * (_AX / width).clamp(max=1).pow(4)
    return _paint(grey, _cover(torso), cloth * shade)


def _neck(grey: Tensor, y0: Number, rx: Number, ry: Number, back: Number, rim: Number) -> Tensor:
    """Cut a round neckline; `back` is the brightness of the far side, `rim` that of the edge."""
    hole = _ring(0.0, y0, rx, ry)
    grey = _paint(grey, _cover(hole + 0.075) * (grey > 0), rim)
    grey = _paint(grey, _cover(hole), back)
    return grey * (1 - _cover(y0 + 0.02 - _Y) * _cover(rx - _AX))


def _t_shirt(dice: _Dice) -> Tensor:
    cloth = _cloth(dice, plain=0.7)
    top, hem = dice(-0.93, -0.82), dice(0.78, 0.95)
    shoulder, chest = dice(0.46, 0.54), dice(0.44, 0.54)
    reach = dice(0.16, 0.3)
    grey = _upper(dice, cloth, top, hem, shoulder, chest, dice(-0.03, 0.08), reach, dice(0.2, 0.25),
                  dice(0.19, 0.24))  # fmt: skip
    printed, size = dice.chance(0.3), dice(0.16, 0.3)
    logo = _cover(_least(size - _AX, size * 0.8 - (_Y + 0.2).abs()))
    grey = _paint(grey, printed * logo, dice(0.1, 1.0))
    tone = cloth.amax((1, 2), keepdim=True)
    return _neck(grey, top - 0.02, dice(0.2, 0.28), dice(0.14, 0.3), tone * 0.0, tone * 0.75)


def _trouser(dice: _Dice) -> Tensor:
    cloth = _cloth(dice, plain=0.92)
    top, hem = dice(-0.96, -0.9), dice(0.88, 0.97)
    waist, hip = dice(0.26, 0.34), dice(0.34, 0.44)
    crotch, ankle, gap = dice(-0.5, -0.3), dice(0.14, 0.28), dice(0.06, 0.2)
    outer = _curve(_Y, (top, waist), (crotch, hip), (hem, gap + ankle))
    inner = _curve(_Y, (crotch, -0.04), (crotch + 0.08, 0.02), (hem, gap))
    middle = (outer + inner.clamp(min=0)) / 2
    body = _least(outer - _AX, _AX - inner, _Y - top, hem - _Y)
    fold = 1 - 0.3 * ((_AX - middle).abs() / 0.22).clamp(0, 1).square()
    grey = _paint(torch.zeros(()), _cover(body), cloth * fold)
    grey = _paint(grey, _cover(body) * _cover(top + 0.1 - _Y), cloth * 0.7)
    fly = _cover(_least(0.02 - _AX, crotch - _Y, _Y - top - 0.1))
    return _paint(grey, fly, cloth * 0.5)


def _pullover(dice: _Dice) -> Tensor:
    cloth = _cloth(dice, plain=0.75)
    top, hem = dice(-0.9, -0.8), dice(0.72, 0.9)
    shoulder, chest = dice(0.46, 0.54), dice(0.46, 0.54)
    grey = _upper(dice, cloth, top, hem, shoulder, chest, dice(-0.04, 0.03), dice(0.86, 1.02),
                  dice(0.18, 0.22), dice(0.12, 0.15))  # fmt: skip
    rib = 0.75 + 0.12 * torch.sin(_X * 60)
    grey = grey * _curve(_Y, (hem - 0.16, 1.0), (hem - 0.13, 0.0)) + grey * rib * _curve(
        _Y, (hem - 0.16, 0.0), (hem - 0.13, 1.0)
    )
    tone = cloth.amax((1, 2), keepdim=True)
    rx, collar = dice(0.19, 0.25), dice.chance(0.35)
    roll = _cover(_least(rx - 0.02 - _AX, _Y - top + 0.1, top + 0.14 - _Y))
    crew = _neck(grey, top - 0.02, rx, dice(0.12, 0.2), tone * 0.35, tone * 0.65)
    turtle = _paint(grey, roll, tone * (0.8 + 0.1 * torch.sin(_X * 60)))
    return collar * turtle + (1 - collar) * crew


def _dress(dice: _Dice) -> Tensor:
    cloth = _cloth(dice, plain=0.75)
    top, hem, waist_y = dice(-0.95, -0.88), dice(0.85, 0.97), dice(-0.3, -0.1)
    bust, waist, skirt = dice(0.24, 0.32), dice(0.17, 0.24), dice(0.32, 0.62)
    yoke = top + dice(0.12, 0.3)
    width = _curve(_Y, (yoke, bust * 0.85), (yoke + 0.18, bust), (waist_y, waist),
                   (hem, skirt))  # fmt: skip
    neck = _Y - yoke + _curve(_AX, (0.0, -0.06), (bust, 0.08))
    body = _least(width - _AX, neck, hem - _Y)
    strap, _ = _limb((bust * 0.62, top), (bust * 0.75, yoke + 0.14), 0.045, 0.06)
    sleeved = dice.chance(0.35)
    sleeve, _ = _limb((bust * 0.7, yoke + 0.06), (bust + 0.14, yoke + dice(0.22, 0.5)), 0.12, 0.09)
    flat = cloth * (1 - 0.15 * (_AX / width).clamp(max=1).square())
    pleats = 1 - dice(0.0, 0.25) * (waist_y < _Y) * torch.sin(_AX / width * dice(8, 16)).square()
    grey = _paint(torch.zeros(()), _cover(strap) * _cover(_Y - top), cloth)
    grey = _paint(grey, sleeved * _cover(sleeve), cloth * 0.8)
    grey = _paint(grey, _cover(body), flat * pleats)
    belt = _cover(_least(0.04 - (_Y - waist_y).abs(), width - _AX))
    return _paint(grey, dice.chance(0.5) * belt, cloth * 0.4)


def _coat(dice: _Dice) -> Tensor:
    cloth = _cloth(dice, plain=0.92)
    top, hem = dice(-0.95, -0.88), dice(0.9, 0.98)
    shoulder, chest = dice(0.46, 0.52), dice(0.44, 0.5)
    grey = _upper(dice, cloth, top, hem, shoulder, chest, dice(0.02, 0.12), dice(0.72, 0.84),
                  dice(0.17, 0.2), dice(0.13, 0.16))  # fmt: skip
    deep = top + dice(0.45, 0.85)  # where the lapels meet
    lap = _curve(_Y, (top, 0.2), (deep, 0.0))
    inside = _cover(_least(lap - _AX, deep - _Y, _Y - top - 0.04))
    lapel = _cover(_least(lap + 0.17 - _AX, _AX - lap, deep - _Y, _Y - top + 0.02))
    edge = _cover(0.025 - (_AX - lap - 0.17).abs()) * _cover(deep + 0.05 - _Y) * (grey > 0)
    grey = _paint(grey, edge, cloth * 0.4)
    grey = _paint(_paint(grey, lapel, cloth * 1.08), inside, dice(0.0, 0.25))
    gap = _curve(_Y, (deep, 0.02), (hem, dice(0.02, 0.09)))  # the front hangs open
    grey = _paint(grey, _cover(_least(gap - _AX, _Y - deep)), 0.04)
    double = dice(0.11, 0.2)
    row = ((_Y - deep - 0.1) / 0.24).remainder(1.0) - 0.5
    button = 0.045 - ((_AX - double).square() + (row * 0.24).square()).sqrt()
    buttoned = dice.chance(0.7) * (deep < _Y) * (deep + 0.75 > _Y)
    grey = _paint(grey, buttoned * _cover(button), cloth * 0.25)
    pocket = _cover(_least(0.11 - (_AX - 0.29).abs(), 0.025 - (_Y - dice(0.3, 0.42)).abs()))
    return _paint(grey, pocket, cloth * 0.4)


def _sandal(dice: _Dice) -> Tensor:
    tone, toe, floor = dice(0.55, 1.0), dice(-0.97, -0.9), dice(0.5, 0.64)
    heel, thick, wide = dice(0.0, 0.55), dice(0.1, 0.16), dice(0.045, 0.065)
    under = floor - _curve(_X, (-0.4, 0.0), (0.5, heel), smooth=True)
    sole = _least(under - _Y, _Y - under + thick, _X - toe - 0.5 * (floor - _Y - 0.1), 0.9 - _X)
    post = _least(_X - 0.62 - 0.3 * (_Y - floor + heel), 0.88 - _X, _Y - under, floor - _Y)
    wedge = _least(_Y - under, floor - _Y, _X + 0.4, 0.9 - _X) - (1 - dice.chance(0.3))
    grey = _paint(torch.zeros(()), _cover(torch.maximum(wedge, post)), tone * 0.6)
    # Bands over the toes: a dome on the sole, cut into straps.
    middle, height = dice(-0.5, -0.4), dice(0.36, 0.48)
    dome = _least(_ring(middle, floor - thick, 0.42, height, x=_X), under - _Y)
    slit = (_X - middle + dice(0.2, 0.5) * (_Y - floor)).abs()
    bands = _least(dome, torch.maximum(slit - 0.05, dice(-0.3, 0.3) + 0 * slit), 0.3 - slit)
    # A loop around the ankle, seen a little from above, and the strap that holds it.
    loop_y = floor - heel - thick - dice(0.4, 0.5) + 0.25 * heel
    loop = _ring(0.5, loop_y, dice(0.32, 0.38), dice(0.13, 0.17), x=_X)
    loop = torch.minimum(loop, 2 * wide - loop)
    back, _ = _limb((0.82, floor - heel - thick), (0.83, loop_y), wide * 1.6, wide, x=_X)
    bar, _ = _limb((middle, floor - thick - height * 0.9), (0.2, loop_y + 0.05), wide, wide, x=_X)
    bar = bar - (1 - dice.chance(0.6))
    strap = torch.maximum(torch.maximum(bands, bar), torch.maximum(loop, back))
    grey = _paint(grey, _cover(strap), tone)
    return _paint(grey, _cover(sole), tone * dice(0.6, 0.9))


def _shirt(dice: _Dice) -> Tensor:
    cloth = _cloth(dice, plain=0.45)
    top, hem = dice(-0.86, -0.78), dice(0.8, 0.95)
    shoulder, chest = dice(0.42, 0.5), dice(0.38, 0.47)
    short = dice.chance(0.25)
    reach = short * dice(0.25, 0.34) + (1 - short) * dice(0.8, 0.95)
    grey = _upper(dice, cloth, top, hem, shoulder, chest, dice(0.0, 0.06), reach,
                  0.15 + 0.04 * short, 0.11 + 0.07 * short)  # fmt: skip
    grey = grey * (1 - _cover(_Y - hem + 0.55 * (_AX - 0.22).clamp(min=0)) * _cover(0.5 - _AX))
    bright = cloth.amax((1, 2), keepdim=True)
    placket = _cover(_least(0.065 - _AX, _Y - top, hem - 0.02 - _Y))
    seam = _cover(0.018 - (_AX - 0.085).abs()) * _cover(hem - _Y) * _cover(_Y - top)
    grey = _paint(_paint(grey, placket, bright * 1.04), seam, bright * 0.5)
    row = (_Y / 0.25).remainder(1.0) - 0.5
    button = 0.036 - (_X.square() + (row * 0.25).square()).sqrt()
    grey = _paint(grey, _cover(button) * placket, bright * 0.15)
    tip = top + dice(0.2, 0.3)
    throat = _curve(_Y, (top - 0.05, 0.17), (top + 0.13, 0.0))
    inside = _cover(_least(throat - _AX, _Y - top + 0.08))
    outer = _curve(_Y, (top - 0.08, 0.19), (top + 0.05, 0.26), (tip, 0.3))
    wing = _least(_AX - throat, outer - _AX, _Y - top + 0.08,
                  tip - 1.1 * (0.28 - _AX).clamp(min=0) - _Y)  # fmt: skip
    grey = _paint(_paint(grey, _cover(wing + 0.05) * _cover(_Y - top), bright * 0.4),
                  inside, bright * 0.15)  # fmt: skip
    grey = _paint(grey, _cover(wing), bright * 1.06)
    pocket = _cover(_least(0.1 - (_X - 0.25).abs(), 0.1 - (_Y + 0.2).abs()))
    return _paint(grey, dice.chance(0.4) * pocket, bright * 0.75)


def _sneaker(dice: _Dice) -> Tensor:
    tone, white = dice(0.4, 0.95), dice(0.6, 1.0)
    toe, floor = dice(-0.97, -0.9), dice(0.4, 0.5)
    mouth, rise = dice(-0.5, -0.36), dice(0.12, 0.2)
    thick = dice(0.12, 0.19)
    roof = _curve(_X, (toe, floor - 0.24), (toe + 0.12, floor - 0.38), (-0.5, floor - 0.46),
                  (0.12, mouth - 0.06), (0.2, mouth - 0.08), (0.32, mouth + 0.06),
                  (0.5, mouth + rise), (0.72, mouth + rise * 0.7), (0.86, mouth))  # fmt: skip
    end = _curve(_Y, (mouth, 0.9), (floor - 0.35, 0.86), (floor, 0.93))
    shoe = _least(floor - _Y, _Y - roof, end - _X, _X - toe)
    grey = _paint(torch.zeros(()), _cover(shoe), tone * (1 + 0.15 * (_Y - roof)))
    sole = _cover(_least(shoe, _Y - floor + thick + 0.04 * _X))
    line = _cover(_least(shoe, 0.025 - (_Y - floor + thick + 0.04 * _X).abs()))
    grey = _paint(_paint(grey, sole, white), line, tone * 0.3)
    lining = _cover(_least(shoe, roof + 0.09 - _Y, 0.3 - (_X - 0.55).abs()))
    grey = _paint(grey, lining, tone * 0.35)
    lace = (torch.sin((_X + 0.5 * _Y) * 24) > 0.2).float()
    tongue = _cover(_least(shoe, roof + 0.16 - _Y, 0.26 - (_X + 0.14).abs()))
    grey = _paint(grey, tongue * lace, 1.05 - white * 0.9)
    cap = _cover(_least(shoe, 0.03 - (_X - toe - 0.36 + 0.3 * _Y).abs(), floor - thick - _Y))
    grey = _paint(grey, cap, tone * 0.5)
    slant, logo = dice(0.2, 0.9), dice(0.1, 1.0)
    stripe = (_X - 0.3 + slant * (_Y - 0.1)).abs()
    swoosh = torch.maximum(0.05 - stripe, 0.05 - (stripe - 0.2).abs())
    return _paint(grey, _cover(_least(shoe, swoosh, floor - thick - _Y, _Y - roof - 0.12)), logo)


def _bag(dice: _Dice) -> Tensor:
    cloth = _cloth(dice, plain=0.85)
    top, floor = dice(-0.35, 0.0), dice(0.7, 0.9)
    upper, lower = dice(0.55, 0.88), dice(0.72, 0.92)
    width = _curve(_Y, (top, upper), (floor, lower))
    corner = 0.12 - ((_AX - width + 0.12).clamp(min=0).square()
                     + (_Y - floor + 0.12).clamp(min=0).square()).sqrt()  # fmt: skip
    body = _least(width - _AX, _Y - top, floor - _Y, corner)
    rx, ry = upper * dice(0.45, 0.8), dice(0.4, 0.6)
    handle = _ring(0.0, top, rx, (top + 0.94).clamp(max=1) * ry / 0.6)
    loop = _least(handle, dice(0.07, 0.1) - handle, top + 0.05 - _Y)
    grey = _paint(torch.zeros(()), _cover(loop), cloth * 0.85)
    grey = _paint(grey, _cover(body), cloth * (1 - 0.15 * (_AX / width).clamp(max=1).pow(4)))
    depth = dice(0.1, 0.4) * (floor - top)
    edge = top + depth * (1 - 0.35 * (_AX / width).square())
    flap = _cover(_least(body, 0.025 - (_Y - edge).abs()))
    grey = _paint(grey, flap, cloth * 0.4)
    clasp = _cover(_least(0.08 - _AX, 0.07 - (_Y - edge).abs()))
    return _paint(grey, dice.chance(0.6) * clasp, dice(0.1, 1.0))


def _boot(dice: _Dice) -> Tensor:
    tone = dice(0.35, 0.9)
    toe, floor, top = dice(-0.95, -0.85), dice(0.86, 0.95), dice(-0.95, -0.85)
    front, heel = dice(-0.08, 0.08), dice(0.06, 0.3)
    back = dice(0.74, 0.86)
    ground = floor - _curve(_X, (-0.2, 0.0), (0.35, heel), smooth=True)
    roof = floor - heel * 0.2 - _curve(_X, (toe, 0.2), (toe + 0.12, 0.36), (-0.45, 0.48),
                                       (front - 0.02, 0.85))  # fmt: skip
    vamp = _least(_Y - roof, ground - _Y, _X - toe, back + 0.04 - _X, _Y + 0.15)
    lean = front + _curve(_Y, (top, -0.06), (0.2, 0.0))
    shaft = _least(_X - lean, back + 0.04 * _Y - _X, _Y - top - 0.06 * (_X - front), ground - _Y)
    shape = torch.maximum(vamp, shaft)
    block = _least(_X - 0.42 + 0.1 * (floor - _Y), back + 0.03 - _X, floor - _Y, _Y - 0.3)
    shade = 1 - 0.3 * ((_X - 0.45) / 0.5).clamp(-1, 1).square() * (_Y < 0.3)
    grey = _paint(torch.zeros(()), _cover(shape), tone * shade)
    sole = torch.maximum(_least(ground - _Y, _Y - ground + 0.08, _X - toe, back + 0.04 - _X), block)
    grey = _paint(grey, _cover(sole), tone * 0.55)
    elastic = _cover(_least(0.1 - (_X - 0.45).abs() - 0.1 * _Y, 0.3 - _Y, _Y - top - 0.12))
    cuff = _cover(_least(shaft, top + 0.14 - _Y))
    grey = _paint(grey, dice.chance(0.5) * elastic, tone * 0.5)
    grey = _paint(grey, dice.chance(0.5) * cuff, tone * 1.1)
    strap = _cover(_least(shape, 0.05 - (_Y - 0.15 - 0.2 * _X).abs()))
    return _paint(grey, dice.chance(0.4) * strap, tone * 0.4)


_DRAW: tuple[Callable[[_Dice], Tensor], ...] = (
    _t_shirt, _trouser, _pullover, _dress, _coat, _sandal, _shirt, _sneaker, _bag, _boot,
)  # fmt: skip


def draw_garments(labels: Tensor, seed: int = 0) -> Tensor:
    """Draw one garment per label, as Fashion-MNIST looks: grey on black, centred.

    labels (N,) int64 in 0..9, in Fashion-MNIST's order -> images (N, 1, 28, 28) uint8. Image i
    depends on the seed, i and label i alone. Raises ValueError for labels that are not such.
    """
    if labels.ndim != 1 or labels.dtype != torch.int64:
        raise ValueError(
            f"labels are {labels.dtype} of shape {tuple(labels.shape)}; want torch.int64 (N,)"
        )
    check_labels(labels, CLASSES)
    generator = torch.Generator().manual_seed(seed)
    images = torch.empty(len(labels), 1, SIZE, SIZE, dtype=torch.uint8)
    for start in range(0, len(labels), _CHUNK):
        part = labels[start : start + _CHUNK].cpu()
        uniform = torch.rand(_CHUNK, _DICE, generator=generator)[: len(part)]
        grain = torch.rand(_CHUNK, SIZE, SIZE, generator=generator)[: len(part)]
        images[start : start + _CHUNK, 0] = _draw_chunk(part, uniform, grain)
    return images


def _draw_chunk(labels: Tensor, uniform: Tensor, grain: Tensor) -> Tensor:
    """labels (n,), uniform (n, _DICE), grain (n, 28, 28) in [0, 1] -> (n, 28, 28) uint8."""
    grey = torch.zeros(len(labels), _FINE, _FINE)
    for label in labels.unique().tolist():
        chosen = labels == label
        grey[chosen] = _DRAW[label](_Dice(uniform[chosen])).clamp(0, 1)
    grey = torch.nn.functional.avg_pool2d(grey, 2)
    return (255 * grey * (0.92 + 0.08 * grain)).round().to(torch.uint8)


def toy_garments(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A balanced, shuffled data set of procedural garments.

    Returns images (n, 1, 28, 28) uint8 and labels (n,) int64; class counts differ by at most 1.
    Raises ValueError for n < 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}; want at least 1 image")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    labels = (torch.arange(n) % CLASSES)[order]
    return draw_garments(labels, seed), labels
