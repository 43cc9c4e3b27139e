"""Quotients of whole numbers that come out the same in every runtime."""

from __future__ import annotations

from torch import Tensor

_PIECES = (2.0**8, 2.0**16, 2.0**24, 2.0**32)
"""Steps per unit in which a quotient is cut: each piece has 8 bits, so that its product with a
divisor of 16 bits is exact in float32, and so is that of what is left after the last."""


def quotient(dividend: Tensor, divisor: Tensor) -> Tensor:
    """Divide whole numbers of at most 65536 in float32, rounded once: ``dividend / divisor``.

    PyTorch and onnxruntime do that by themselves, and the correction is lost in rounding. OpenVINO
    multiplies by the reciprocal, which rounds twice: the size of an image would be a pixel off, or
    the neighbour of a label another one.

    Args:
        dividend: float32 [n]. Vectors, since OpenVINO takes the inverse of some scalar quotients.
        divisor: float32 [n].
    """
    result = left = dividend / divisor
    missing = dividend
    for steps in _PIECES:
        piece = (left * steps).floor() / steps
        missing = missing - piece * divisor
        left = left - piece
    return result + (missing - left * divisor) / divisor
