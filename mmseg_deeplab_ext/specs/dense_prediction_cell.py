"""The dense prediction cell (``core/dense_prediction_cell.py``), a context found by search.

What a cell is, Google says in JSON: a list of branches, each with its operation and the branch
whose output it takes. All outputs are concatenated and projected.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Iterator, Mapping

from mmseg_deeplab_ext.config_values import is_whole, whole_numbers
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.specs.backbone import Shapes
from mmseg_deeplab_ext.specs.head_parts import kernel_shape
from mmseg_deeplab_ext.specs.rule import Rule, conv_module_rules, separable_module_rules

_KEY = "dense_prediction_cell"
_KERNELS = (1, 3)
_FEATURE = -1  # as `input`: the backbone's feature
_KEYS = {
    "conv": ("kernel", "rate"),
    # TensorFlow computes the last two itself, and keeps them in the same place.
    "pyramid_pooling": ("grid_size", "kernel", "target_size"),
}
"""Operation -> keys that a branch of it may have besides ``op`` and ``input``."""


@dataclass(frozen=True)
class CellBranch:
    """One branch of a cell.

    Attributes:
        op: "conv", with batch norm and ReLU, depthwise separable where it is 3x3; or
            "pyramid_pooling": means of windows, a 1x1 convolution, and a resize back.
        input: the branch whose output it takes; -1 for the backbone's feature.
        kernel: height and width of a convolution's kernel.
        rate: dilation of a 3x3 convolution at output stride 16, (h, w).
        grid_size: how often a pooled window fits into the pooled crop, (h, w).
    """

    op: str
    input: int = _FEATURE
    kernel: int = 1
    rate: tuple[int, int] = (1, 1)
    grid_size: tuple[int, int] = (1, 1)

    def as_json(self) -> dict[str, Any]:
        """The branch in the official form."""
        if self.op == "pyramid_pooling":
            return {"op": self.op, "grid_size": list(self.grid_size), "input": self.input}
        rate = {"rate": list(self.rate)} if self.kernel > 1 else {}
        return {"op": self.op, "kernel": self.kernel, **rate, "input": self.input}


PUBLISHED = {
    "branch5_top1_cityscapes": tuple(
        CellBranch("conv", source, 3, rate)
        for source, rate in ((-1, (1, 6)), (0, (18, 15)), (1, (6, 3)), (0, (1, 1)), (0, (6, 21)))
    )
}
"""Name -> cell, of ``core/dense_prediction_cell_NAME.json``. The zoo's Xception-71 has it."""


@dataclass(frozen=True)
class DensePredictionCell:
    """A cell as a context, in the place of an ASPP.

    Attributes:
        in_channels: channels of the final backbone feature.
        channels: output channels, of every branch too.
        branches: the branches in their order.
        known: False if they come from variables, which tell neither rates nor inputs, and are not
            those of a published cell.
    """

    in_channels: int
    channels: int
    branches: tuple[CellBranch, ...]
    known: bool = True

    module: ClassVar[str] = "cell"
    """Its place in the head."""
    scope: ClassVar[str] = "meta_architecture/"
    """What names start with that only this context has."""

    def __str__(self) -> str:
        return f"dense prediction cell of {len(self.branches)} branches"

    @property
    def concatenated(self) -> int:
        """Channels of all branches together."""
        return self.channels * len(self.branches)

    @property
    def out_channels(self) -> int:
        """Channels of its output."""
        return self.channels

    def input_channels(self, branch: CellBranch) -> int:
        """Channels of what a branch takes."""
        return self.in_channels if branch.input == _FEATURE else self.channels

    def rules(self, prefix: str) -> Iterator[Rule]:
        """Its variables; the tensors' names start with ``prefix``."""
        cell = f"{prefix}{self.module}"
        for i, branch in enumerate(self.branches):
            shape = (branch.kernel, branch.kernel, self.input_channels(branch), self.channels)
            rules = separable_module_rules if branch.kernel > 1 else conv_module_rules
            yield from rules(f"{self.scope}branch{i}", f"{cell}.branches.{i}", shape=shape)
        shape = (1, 1, self.concatenated, self.channels)
        yield from conv_module_rules(
            f"{self.scope}concat_projection", f"{cell}.projection", shape=shape
        )

    @classmethod
    def found_in(cls, shapes: Shapes) -> DensePredictionCell:
        """The cell that the variables are: a published one if they are such a cell's."""
        kernels = _kernels(shapes)
        first = f"{cls.scope}branch0"
        separable = f"{first}_depthwise/depthwise_weights"
        inputs = kernel_shape(shapes, separable if separable in shapes else f"{first}/weights")[2]
        channels = kernel_shape(shapes, f"{cls.scope}concat_projection/weights")[3]
        for branches in PUBLISHED.values():
            published = cls(inputs, channels, branches)
            if kernels == _kernels({rule.tf_name: rule.shape for rule in published.rules("")}):
                return published
        return cls(inputs, channels, _branches_in(kernels, inputs), known=False)

    @property
    def assumption(self) -> str | None:
        """What :meth:`found_in` had to assume, if anything."""
        name = _name_of(self.branches) if self.known else None
        return name and f"rates and inputs of the published cell {name!r} (no variable tells them)"

    def options(self) -> dict[str, Any]:
        """Config keys, in their order."""
        cell: Any = "the JSON file of its cell"
        if self.known:
            cell = _name_of(self.branches) or [branch.as_json() for branch in self.branches]
        return {"aspp_channels": self.channels, _KEY: cell}


def _name_of(branches: tuple[CellBranch, ...]) -> str | None:
    return next((name for name, cell in PUBLISHED.items() if cell == branches), None)


def _kernels(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Those of the branches, which tell all that variables tell of a cell."""
    start = f"{DensePredictionCell.scope}branch"
    return {
        name: tuple(shape)
        for name, shape in shapes.items()
        if name.startswith(start) and name.endswith("weights")
    }


def _branches_in(kernels: Shapes, in_channels: int) -> tuple[CellBranch, ...]:
    """Branches with these kernels; their rates, and which branch they take, are not known."""
    branches: list[CellBranch] = []
    while True:
        scope = f"{DensePredictionCell.scope}branch{len(branches)}"
        separable = kernels.get(f"{scope}_depthwise/depthwise_weights")
        shape = separable or kernels.get(f"{scope}/weights")
        if shape is None or len(shape) != 4:
            return tuple(branches)
        source = _FEATURE if shape[2] == in_channels else 0
        branches.append(CellBranch("conv", source, shape[0] if separable else 1))


def cell_branches(value: Any) -> tuple[CellBranch, ...]:
    """Read a cell: a published one's name, the path of a JSON file, or the list that it holds.

    Raises:
        ConfigError: it is none of these, or asks for what TensorFlow has not.
    """
    if isinstance(value, str) and value in PUBLISHED:
        return PUBLISHED[value]
    branches = _content(value) if isinstance(value, (str, Path)) else value
    if not isinstance(branches, (list, tuple)) or not branches:
        raise ConfigError(
            f"{_KEY}={value!r} must be a list of branches, each a dict with op and input, the path "
            f"of a JSON file (*.json) with such a list, or {' or '.join(map(repr, PUBLISHED))}"
        )
    return tuple(_branch(number, branch) for number, branch in enumerate(branches))


def _content(path: str | Path) -> Any:
    if Path(path).suffix != ".json":
        return None
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{_KEY}={str(path)!r} is no readable JSON file: {error}") from error


def _branch(number: int, branch: Any) -> CellBranch:
    where = f"{_KEY}, branch {number}"
    if not isinstance(branch, Mapping):
        raise ConfigError(f"{where}: {branch!r} must be a dict with op and input")
    op = branch.get("op")
    if op not in tuple(_KEYS):
        raise ConfigError(f"{where}: op={op!r} must be {' or '.join(_KEYS)}")
    unknown = sorted(set(map(str, branch)) - {"op", "input", *_KEYS[op]})
    if unknown:
        raise ConfigError(
            f"{where}: unknown {', '.join(unknown)}; {op} has input, {', '.join(_KEYS[op])}"
        )
    source: Any = branch.get("input")
    if not is_whole(source, minimum=_FEATURE) or source >= number:
        before = f" or the number of a branch before it, 0 to {number - 1}" * (number > 0)
        raise ConfigError(f"{where}: input={source!r} must be -1 (the feature map){before}")
    if op == "pyramid_pooling":
        return CellBranch(op, source, grid_size=_pair(where, "grid_size", branch))
    kernel = branch.get("kernel")
    side = kernel if is_whole(kernel, minimum=1) else _pair(where, "kernel", branch)[0]
    if side not in _KERNELS or kernel not in (side, [side] * 2, (side,) * 2):
        raise ConfigError(f"{where}: kernel={kernel!r} must be 1 or 3")
    rate = _pair(where, "rate", branch) if side > 1 else (1, 1)
    return CellBranch(op, source, side, rate)


def _pair(where: str, key: str, branch: Mapping[str, Any]) -> tuple[int, int]:
    return whole_numbers(f"{where}: {key}", branch.get(key), minimum=1, count=2)
