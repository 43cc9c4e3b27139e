"""The scenes of the demo data set: textured shapes in front of each other, with exact labels.

A scene is a function of the seed and its number alone, so a data set can be completed after an
interruption and made longer without changing what is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mmseg_deeplab_ext.datasets.demo_textures import (
    Size,
    random_colour,
    random_surface,
    shape_colour,
    smooth_noise,
)
from mmseg_deeplab_ext.datasets.label_png import IGNORE_LABEL

DEMO_CLASSES = ("background", "disc", "rectangle", "triangle", "star", "ring", "cross")
"""Class names; the position is the label value."""

DEMO_PALETTE = (
    (38, 44, 58),
    (239, 83, 80),
    (66, 165, 245),
    (255, 202, 40),
    (171, 71, 188),
    (38, 198, 148),
    (255, 138, 52),
)
"""Display colours (red, green, blue) of the classes, in their order."""

_SIZES = ((97, 97), (97, 113), (97, 129), (113, 97), (129, 97))
_SUPERSAMPLING = 4
_MIN_VISIBLE = 0.6
"""A shape loses at most 40 % of its area to shapes in front: the rest must tell its class."""
_PLACEMENT_TRIES = 20


@dataclass(frozen=True)
class Scene:
    """One image with its labels.

    Attributes:
        image: (height, width, 3), uint8, red, green, blue.
        label: (height, width), uint8, values of `DEMO_CLASSES` or `IGNORE_LABEL`.
    """

    image: np.ndarray
    label: np.ndarray


def _spokes(angles: np.ndarray, radii: np.ndarray | float) -> np.ndarray:
    return np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)


def _disc(rng: np.random.Generator) -> list[np.ndarray]:
    squash = rng.uniform(0.8, 1.0)
    return [_spokes(np.linspace(0, 2 * np.pi, 64, endpoint=False), 1.0) * [1.0, squash]]


def _rectangle(rng: np.random.Generator) -> list[np.ndarray]:
    half_diagonal_angle = rng.uniform(np.pi / 7, np.pi / 4)
    corner = np.array([np.cos(half_diagonal_angle), np.sin(half_diagonal_angle)])
    return [corner * [[1, 1], [-1, 1], [-1, -1], [1, -1]]]


def _triangle(rng: np.random.Generator) -> list[np.ndarray]:
    angles = 2 * np.pi * (np.arange(3) + rng.uniform(-0.12, 0.12, 3)) / 3
    return [_spokes(angles, 1.0)]


def _star(rng: np.random.Generator) -> list[np.ndarray]:
    inner = rng.uniform(0.4, 0.5)
    return [_spokes(np.arange(10) * np.pi / 5, np.tile([1.0, inner], 5))]


def _ring(rng: np.random.Generator) -> list[np.ndarray]:
    circle = _spokes(np.linspace(0, 2 * np.pi, 64, endpoint=False), 1.0)
    return [circle, circle * rng.uniform(0.48, 0.6)]


def _cross(rng: np.random.Generator) -> list[np.ndarray]:
    arm = rng.uniform(0.28, 0.38)
    corners = np.array([[1, arm], [arm, arm], [arm, 1]])
    turn = np.array([[0, 1], [-1, 0]])
    quarters = [corners @ np.linalg.matrix_power(turn, quarter) for quarter in range(4)]
    return [np.concatenate(quarters) / np.hypot(1, arm)]


_OUTLINES = (_disc, _rectangle, _triangle, _star, _ring, _cross)
"""Outlines of the classes 1, 2, ... within the unit circle: the outer polygon, then its hole."""


def _coverage(
    polygons: list[np.ndarray], size: Size, *, centre: np.ndarray, radius: float, angle: float
) -> np.ndarray:
    """Share of each pixel inside the shape, (height, width), float32 within [0, 1]."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    mask = Image.new("L", (size[1] * _SUPERSAMPLING, size[0] * _SUPERSAMPLING))
    draw = ImageDraw.Draw(mask)
    for fill, polygon in zip((255, 0), polygons):
        points = (polygon @ turn * radius + centre) * _SUPERSAMPLING
        draw.polygon([tuple(point) for point in points.tolist()], fill=fill)
    return np.asarray(mask.reduce(_SUPERSAMPLING), dtype=np.float32) / 255


def _place_shapes(size: Size, rng: np.random.Generator) -> list[tuple[int, np.ndarray]]:
    """Choose 2 to 4 shapes, back to front, none hidden too much: (class, coverage) pairs."""
    short_side = min(size)
    placed: list[tuple[int, np.ndarray]] = []
    wanted = rng.integers(2, 5)
    for _ in range(_PLACEMENT_TRIES):
        if len(placed) == wanted:
            break
        label = int(rng.integers(1, len(DEMO_CLASSES)))
        radius = rng.uniform(0.17, 0.31) * short_side
        margin = 0.8 * radius
        centre = rng.uniform([margin, margin], [size[1] - margin, size[0] - margin])
        outline, angle = _OUTLINES[label - 1](rng), rng.uniform(0, 2 * np.pi)
        coverage = _coverage(outline, size, centre=centre, radius=radius, angle=angle)
        candidate = placed + [(label, coverage)]
        if all(
            np.sum(mask * np.prod([1 - front for _, front in candidate[depth + 1 :]], axis=0))
            >= _MIN_VISIBLE * mask.sum()
            for depth, (_, mask) in enumerate(candidate[:-1])
        ):
            placed = candidate
    return placed


def _clutter(image: np.ndarray, rng: np.random.Generator, *, lines: int) -> np.ndarray:
    """Draw thin lines and arcs, which belong to no class."""
    canvas = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    for _ in range(lines):
        colour = tuple(int(channel) for channel in random_colour(rng))
        points = rng.uniform(0, [canvas.width, canvas.height], (2, 2))
        if rng.random() < 0.5:
            draw.line([tuple(point) for point in points.tolist()], fill=colour, width=1)
        else:
            box = [*points.min(axis=0).tolist(), *(points.max(axis=0) + 1).tolist()]
            start = float(rng.uniform(0, 360))
            draw.arc(box, start, start + float(rng.uniform(60, 140)), fill=colour, width=1)
    return np.asarray(canvas, dtype=np.float32)


def _shadow(coverage: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What the shape darkens behind itself, (height, width), float32 within [0, 1]."""
    reach = 3
    picture = Image.fromarray(np.pad((coverage * 255).astype(np.uint8), reach))
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(reach)), dtype=np.float32) / 255
    top, left = rng.integers(0, 2 * reach + 1, 2)
    return blurred[top : top + coverage.shape[0], left : left + coverage.shape[1]]


def _outlines_ignored(label: np.ndarray) -> np.ndarray:
    """Set the pixels on both sides of every label boundary to `IGNORE_LABEL`."""
    boundary = np.zeros(label.shape, dtype=bool)
    for mask, values in ((boundary, label), (boundary.T, label.T)):
        change = values[1:] != values[:-1]
        mask[1:] |= change
        mask[:-1] |= change
    return np.where(boundary, IGNORE_LABEL, label).astype(np.uint8)


def _photograph(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Uneven lighting, a slightly soft lens and sensor noise."""
    light = 0.72 + 0.42 * smooth_noise(image.shape[:2], rng, cell=90)
    lit = Image.fromarray(np.clip(image * light[..., None], 0, 255).astype(np.uint8))
    soft = np.asarray(lit.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.5))), np.float32)
    noise = rng.normal(0, rng.uniform(1.5, 5), image.shape)
    return np.clip(soft + noise, 0, 255).astype(np.uint8)


def render_scene(number: int, *, seed: int = 0) -> Scene:
    """Render one scene, of 97 to 129 pixels per side; those of two seeds have nothing in common."""
    rng = np.random.default_rng([seed, number])
    size = _SIZES[rng.integers(len(_SIZES))]
    image = random_surface(size, rng, colour=random_colour(rng), contrast=0.3)
    image = _clutter(image, rng, lines=int(rng.integers(3, 9)))
    label = np.zeros(size, dtype=np.uint8)
    for class_label, coverage in _place_shapes(size, rng):
        typical_hue = (class_label - 1) / len(_OUTLINES)
        colour = shape_colour(rng, typical_hue=typical_hue)
        surface = random_surface(size, rng, colour=colour, contrast=0.45)
        image = image * (1 - 0.45 * _shadow(coverage, rng)[..., None])
        image = image + coverage[..., None] * (surface - image)
        label[coverage >= 0.5] = class_label
    image = _clutter(image, rng, lines=int(rng.integers(0, 3)))
    return Scene(image=_photograph(image, rng), label=_outlines_ignored(label))
