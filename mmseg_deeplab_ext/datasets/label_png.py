"""Label maps as palette PNG files, the form in which Pascal VOC has its labels."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

IGNORE_LABEL = 255
"""Pascal VOC's label of outlines and difficult regions: not counted in training nor in scores."""


def voc_colormap() -> np.ndarray:
    """Pascal VOC's display colours, (256, 3), uint8; row = label value.

    The bits of a label are dealt out to red, green and blue in turn: the rule of the VOC
    development kit's ``VOClabelcolormap.m``.
    """
    labels = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.uint8)
    for step in range(8):
        for channel in range(3):
            bit = labels >> (3 * step + channel) & 1
            colours[:, channel] |= (bit << (7 - step)).astype(np.uint8)
    return colours


def encode_label_png(label: np.ndarray, colours: np.ndarray) -> bytes:
    """Encode a label map: a viewer shows the colours, a reader of the pixels gets the labels.

    Args:
        label: (height, width), uint8.
        colours: (256, 3), uint8; row = label value.
    """
    picture = Image.fromarray(label)
    picture.putpalette(colours.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
