"""TensorFlow DeepLab's dense prediction cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from mmseg_deeplab_ext.config_values import check_choice
from mmseg_deeplab_ext.decode_heads.image_pooling import PyramidPooling, Windows
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.separable_conv import SeparableConvModule
from mmseg_deeplab_ext.specs.dense_prediction_cell import (
    CellBranch,
    DensePredictionCell,
    cell_branches,
)

_RATES_FOR = 16
"""The output stride that a cell's rates are for (``extract_features`` in ``model.py``)."""


class CellModule(BaseModule):
    """A cell: branches that take the feature map or one another's output, concatenated, projected.

    Args:
        spec: channels and branches.
        output_stride: of the feature map; 16 // output_stride multiplies the rates.
        windows: what ``pyramid_pooling`` with a grid of 1 x 1 pools.
        dropout_ratio: elementwise dropout before the projection.
        norm_cfg: MMCV norm config.
    """

    def __init__(
        self,
        spec: DensePredictionCell,
        *,
        output_stride: int,
        windows: Windows,
        dropout_ratio: float,
        norm_cfg: dict,
    ) -> None:
        super().__init__()
        self.inputs = [branch.input for branch in spec.branches]
        self.branches = ModuleList(
            _branch(
                branch,
                spec.input_channels(branch),
                spec.channels,
                rate=_RATES_FOR // output_stride,
                windows=windows,
                norm_cfg=norm_cfg,
            )
            for branch in spec.branches
        )
        self.dropout = nn.Dropout(dropout_ratio)
        self.projection = ConvModule(spec.concatenated, spec.channels, 1, norm_cfg=norm_cfg)

    def forward(self, x: Tensor, *, image_scale: float = 1.0) -> Tensor:
        """Map [N, in_channels, H, W] to [N, channels, H, W].

        Args:
            x: the feature map.
            image_scale: see :meth:`Windows.pooled`.
        """
        outputs: list[Tensor] = []
        for branch, number in zip(self.branches, self.inputs):
            scale = {"image_scale": image_scale} if isinstance(branch, PyramidPooling) else {}
            outputs.append(branch(x if number < 0 else outputs[number], **scale))
        return self.projection(self.dropout(torch.cat(outputs, dim=1)))


def _branch(
    branch: CellBranch, inputs: int, channels: int, *, rate: int, windows: Windows, norm_cfg: dict
) -> nn.Module:
    if branch.op == "pyramid_pooling":
        windows = replace(windows, grid_size=branch.grid_size)
        return PyramidPooling(inputs, channels, windows=windows, norm_cfg=norm_cfg)
    if branch.kernel == 1:
        return ConvModule(inputs, channels, 1, norm_cfg=norm_cfg)
    rates = tuple(rate * each for each in branch.rate)
    return SeparableConvModule(
        inputs, channels, branch.kernel, padding=rates, dilation=rates, norm_cfg=norm_cfg
    )


def checked_cell(
    value: Any, *, output_stride: int, windows: Windows | None, other_rates: bool
) -> tuple[CellBranch, ...] | None:
    """The branches of a head's ``dense_prediction_cell``; None where it has none.

    Args:
        value: what the config says.
        output_stride: what it says of the feature map.
        windows: of its ``image_pooling``.
        other_rates: whether it has ``dilations`` that are not the default.

    Raises:
        ConfigError: the cell is impossible, or what is said besides it.
    """
    if value is None:
        if output_stride != _RATES_FOR:
            raise ConfigError(
                f"output_stride={output_stride} of a head tells a dense_prediction_cell its rates; "
                "without one, dilations has the rates: leave it out"
            )
        return None
    branches = cell_branches(value)
    check_choice("output_stride of a head with a dense_prediction_cell", output_stride, (4, 8, 16))
    if other_rates:
        raise ConfigError(
            "dense_prediction_cell has rates of its own, for output stride 16: leave dilations "
            "out, and give the head output_stride=8 where the backbone's is 8"
        )
    if windows and windows.stride != (1, 1):
        raise ConfigError(
            f"image_pooling.stride={windows.stride} must be (1, 1) with a dense_prediction_cell"
        )
    grids = [branch.grid_size for branch in branches if branch.grid_size != (1, 1)]
    if grids and not (windows and windows.crop_size):
        raise ConfigError(
            f"pyramid_pooling with grid_size={list(grids[0])} pools parts of the crop: name it in "
            "image_pooling=dict(crop_size=(h, w), output_stride=16)"
        )
    return branches
