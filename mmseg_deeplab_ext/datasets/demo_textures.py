"""Random surfaces for the demo scenes: two colours, mixed by a pattern.

Patterns are the same for every class. Colours are typical of a class but do not tell it: most of
its shapes lie around one hue, some have any other, as things in photographs do. So a network
trained from random weights for a few minutes has something to start from, and outlines left to
learn.
"""

from __future__ import annotations

import colorsys
from typing import Sequence, Tuple

import numpy as np
from PIL import Image

Size = Tuple[int, int]
"""Height and width in pixels."""

_TYPICAL = 0.9
"""Share of a class's shapes whose colour is typical of it."""

_HUE_SPREAD = 0.035
"""Standard deviation of typical hues; neighbouring classes are 1/6 apart."""


def _coordinates(size: Size, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The pixel coordinates in a frame turned by a random angle and moved by a random offset."""
    angle, *offset = rng.uniform([0, 0, 0], [np.pi, 40, 40])
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    rows, columns = rows + offset[0], columns + offset[1]
    cos, sin = np.cos(angle), np.sin(angle)
    return columns * cos + rows * sin, rows * cos - columns * sin


def smooth_noise(size: Size, rng: np.random.Generator, *, cell: float) -> np.ndarray:
    """Noise that varies over about ``cell`` pixels: (height, width), float32, within [0, 1]."""
    grid = tuple(max(2, int(round(side / cell)) + 1) for side in size)
    coarse = Image.fromarray(rng.random(grid, dtype=np.float32))
    return np.clip(np.asarray(coarse.resize(size[::-1], Image.BICUBIC)), 0, 1)


def _plain(size: Size, rng: np.random.Generator) -> np.ndarray:
    along, _ = _coordinates(size, rng)
    return (along - along.min()) / np.ptp(along)


def _stripes(size: Size, rng: np.random.Generator) -> np.ndarray:
    along, across = _coordinates(size, rng)
    period, sharpness, bend = rng.uniform([7, 1, 0], [18, 6, 4])
    wave = np.sin(2 * np.pi * (along + bend * np.sin(across / 9)) / period)
    return 0.5 + 0.5 * np.tanh(sharpness * wave)


def _checks(size: Size, rng: np.random.Generator) -> np.ndarray:
    along, across = _coordinates(size, rng)
    cell = rng.uniform(6, 12)
    return ((along // cell + across // cell) % 2).astype(np.float32)


def _dots(size: Size, rng: np.random.Generator) -> np.ndarray:
    along, across = _coordinates(size, rng)
    cell, radius = rng.uniform([8, 0.24], [13, 0.36])
    distance = np.hypot(along % cell - cell / 2, across % cell - cell / 2)
    return np.clip(radius * cell - distance + 0.5, 0, 1)


def _clouds(size: Size, rng: np.random.Generator) -> np.ndarray:
    return 0.65 * smooth_noise(size, rng, cell=22) + 0.35 * smooth_noise(size, rng, cell=7)


def _grain(size: Size, rng: np.random.Generator) -> np.ndarray:
    return smooth_noise(size, rng, cell=2.2)


_PATTERNS = (_plain, _stripes, _checks, _dots, _clouds, _grain)


def random_colour(rng: np.random.Generator) -> np.ndarray:
    """Draw any muted colour: (3,), float32, red, green and blue within [0, 255]."""
    return _rgb(rng.uniform([0, 0, 0.25], [1, 0.4, 0.95]))


def shape_colour(rng: np.random.Generator, *, typical_hue: float) -> np.ndarray:
    """Draw a vivid colour, (3,), float32, RGB in [0, 255], mostly around a hue in [0, 1]."""
    hue, saturation, value = rng.uniform([0, 0.45, 0.45], [1, 0.9, 0.98])
    if rng.random() < _TYPICAL:
        hue = (typical_hue + rng.normal(0, _HUE_SPREAD)) % 1
    return _rgb((hue, saturation, value))


def _rgb(hsv: Sequence[float]) -> np.ndarray:
    return np.float32(colorsys.hsv_to_rgb(*hsv)) * 255


def random_surface(
    size: Size, rng: np.random.Generator, *, colour: np.ndarray, contrast: float
) -> np.ndarray:
    """Paint a surface around one colour: (height, width, 3), float32, RGB within [0, 255].

    ``contrast`` is how far the second colour lies from the first: 0 (the same) to 1 (any).
    """
    pattern = _PATTERNS[rng.integers(len(_PATTERNS))](size, rng)[..., None]
    second = colour + contrast * (random_colour(rng) - colour)
    return colour + pattern * (second - colour)
