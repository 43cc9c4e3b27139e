"""torchvision's networks: the names of their files, weights by name, and what they compute."""

from __future__ import annotations

import functools
import json
import os
import re
import zlib
from pathlib import Path

import numpy as np
import torch

from tests.support.deterministic import make_image

DATA = Path(__file__).parents[1] / "data" / "torchvision_goldens.npz"
FULL = Path(
    os.environ.get("TORCHVISION_GOLDENS", Path(__file__).parents[3] / "shared" / "torchvision")
)


@functools.lru_cache(maxsize=None)
def _fixture() -> dict[str, np.ndarray]:
    with np.load(DATA) as arrays:
        return dict(arrays)


def names_and_shapes() -> dict[str, dict[str, list[int]]]:
    """Network -> name and shape of every tensor in its published file."""
    return json.loads(_fixture()["names"].tobytes())


def outputs_of(network: str) -> list[str]:
    """The keys of a network's reference outputs, ``HEIGHTxWIDTH/NAME``."""
    keys = [key.split(":") for key in _fixture()]
    return [key[1] for key in keys if key[0] == network and key[-1] == "max"]


def reference(network: str, output: str) -> tuple[np.ndarray, float, np.ndarray | None]:
    """Sampled values and the largest magnitude of an output, and all of it where it is at hand."""
    path = FULL / f"{network}.npz"
    full = None
    if path.exists():
        with np.load(path) as arrays:
            full = arrays[output]
    key = f"{network}:{output}"
    return _fixture()[key], float(_fixture()[f"{key}:max"]), full


@functools.lru_cache(maxsize=None)
def value(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The tensor that the references were computed with. Do not write into it."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith("running_var"):
        drawn = random.uniform(0.5, 1.5, shape)
    elif name.endswith(("running_mean", ".bias")):
        drawn = random.uniform(-0.2, 0.2, shape)
    elif len(shape) == 1:
        drawn = random.uniform(0.5, 1.5, shape) * (0.3 if name.endswith("bn3.weight") else 1)
    else:
        drawn = random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(drawn).astype(np.float32))


def weights(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """The tensors of these names and shapes that the references were computed with."""
    return {name: value(name, tuple(shape)) for name, shape in shapes.items()}


def state_dict(network: str) -> dict[str, torch.Tensor]:
    """What a file of torchvision would hold, with the references' weights."""
    return weights(names_and_shapes()[network])


def empty_state_dict(network: str) -> dict[str, torch.Tensor]:
    """The same tensors without values."""
    return {
        name: torch.empty(shape, device="meta", dtype=torch.int64 if not shape else torch.float32)
        for name, shape in names_and_shapes()[network].items()
    }


def normalised_image(height: int, width: int) -> torch.Tensor:
    """[1, 3, height, width], RGB, normalised in float64 as the references' image."""
    image = make_image(height, width).astype(np.float64) / 255
    image = (image - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    return torch.from_numpy(image.transpose(2, 0, 1)[None].copy())


def calm_state_dict(network: str) -> dict[str, torch.Tensor]:
    """The same, with small residual branches in MobileNets too: what float32 rounds stays small."""
    tensors = state_dict(network)
    norms = (re.match(r"(backbone\.\d+\.block\.)\d+\.1\.weight", name) for name in tensors)
    closing = {match.group(1): match.group() for match in norms if match}  # the last of a block
    return {**tensors, **{name: 0.3 * tensors[name] for name in closing.values()}}
