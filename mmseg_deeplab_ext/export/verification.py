"""The written file against the network that it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch

from mmseg_deeplab_ext.errors import ExportError
from mmseg_deeplab_ext.export.graph import InferenceGraph

TOLERANCE = 1e-4
"""Largest difference of logits, as a share of the largest one.

Two correct float32 programs differ by some 1e-6; the mistakes that a graph can have (a size that
stayed fixed, another padding or resizing) change the logits by 1e-2 and more.
"""


@dataclass(frozen=True)
class Verified:
    """How one image came out.

    Attributes:
        size: height and width of the image.
        clear: share of the pixels whose two largest logits differ by more than the tolerance.
            At each of these the labels agree. The logits themselves do so everywhere.
        differing: number of the other pixels whose labels differ.
        probability_error: largest difference of a probability; None where the file has none.
    """

    size: tuple[int, int]
    clear: float
    differing: int
    probability_error: float | None


def verify(
    path: Path, graph: InferenceGraph, sizes: Sequence[tuple[int, int]], *, onnxruntime: Any
) -> list[Verified]:
    """Run the file and PyTorch on random images and compare.

    The file has the graph's logits as its last output: images show few of the classes, and a
    mistake in the others changes no label. The graph's batch norms are not folded.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are about initializers it optimises away
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        return [_verify_image(session, graph, random_image(*size)) for size in sizes]
    except _exceptions_of(onnxruntime) as error:
        raise ExportError(f"onnxruntime can't run what was written: {error}") from error


def _exceptions_of(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """Its exceptions: one per status code, without a class in common but ``Exception``."""
    codes = vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
    return tuple(code for code in codes if isinstance(code, type) and issubclass(code, Exception))


def random_image(height: int, width: int) -> np.ndarray:
    """uint8 RGB image [1, height, width, 3]: patches of random colours with noise."""
    random = np.random.default_rng(0)
    patches = random.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3))
    image = patches.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
    noise = random.integers(-20, 21, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)[None]


def _verify_image(session: Any, graph: InferenceGraph, image: np.ndarray) -> Verified:
    size = tuple(image.shape[1:3])
    expected, clear = _expected(graph, torch.from_numpy(image))
    found = session.run(None, {session.get_inputs()[0].name: image})
    for ours, theirs in zip(expected, found):
        if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
            raise ExportError(
                f"for an image of {size} the file returns {theirs.dtype} {theirs.shape}, PyTorch "
                f"{ours.dtype} {ours.shape}"
            )
    differing = expected[0] != found[0]
    if (differing & clear).any():
        raise ExportError(
            f"for an image of {size} the file labels {(differing & clear).mean():.2%} of the "
            "pixels differently from PyTorch, although their class is clear"
        )
    largest = float(np.abs(expected[-1]).max())
    _compare("logits", expected[-1], found[-1], tolerance=TOLERANCE * largest, size=size)
    error = None
    if graph.probabilities:
        tolerance = TOLERANCE * max(1.0, largest)
        error = _compare("probabilities", expected[1], found[1], tolerance=tolerance, size=size)
    return Verified(size, float(clear.mean()), int(differing.sum()), error)


def _compare(
    name: str, expected: np.ndarray, found: np.ndarray, *, tolerance: float, size: tuple[int, ...]
) -> float:
    """The largest difference, which is within the tolerance."""
    error = float(np.abs(expected - found).max())
    if not error <= tolerance:  # a NaN fails as well
        raise ExportError(
            f"for an image of {size} the file's {name} differ from PyTorch's by up to {error:.1e}"
        )
    return error


def _expected(graph: InferenceGraph, image: torch.Tensor) -> tuple[list[np.ndarray], np.ndarray]:
    """The outputs of PyTorch, and where the class is clear."""
    with torch.no_grad():
        *outputs, logits = graph(image)
        largest = float(logits.abs().max())
        if not np.isfinite(largest):
            raise ExportError(
                "the network's logits are not finite: the checkpoint's weights are broken"
            )
        top = logits.topk(2, dim=1).values
        clear = graph.to_original(top[:, 0] - top[:, 1] > TOLERANCE * largest, image)
        return [each.numpy() for each in (*outputs, logits)], clear.numpy()
