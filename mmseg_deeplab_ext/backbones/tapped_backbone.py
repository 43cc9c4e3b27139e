"""What DeepLab's backbones have in common: decoder taps, frozen stages, frozen batch norm."""

from __future__ import annotations

from typing import Any, Callable, Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_deeplab_ext.config_values import ascending_numbers, check_choice
from mmseg_deeplab_ext.layers import UnitGeometry, walk_output_stride
from mmseg_deeplab_ext.layers.batch_norm import keep_statistics
from mmseg_deeplab_ext.layers.specified_module import SpecifiedModule, prepared_init_cfg
from mmseg_deeplab_ext.specs.backbone import FINAL_OUTPUT, BackboneSpec, StemConv


class TappedBackbone(SpecifiedModule, BaseModule):
    """A stem and layers of units, some of which are tapped.

    A subclass sets ``stem`` and calls :meth:`_add_layers`. Every unit maps a state to the next one
    and to what a decoder would tap there. The state is the feature map, or whatever else a
    subclass hands from unit to unit.

    Args:
        spec: the network; it says the number of layers, the taps and the output strides.
        output_stride: ratio of image size to final feature size.
        out_indices: which of the feature maps to return, ascending.
        frozen_stages: freeze the stem (0), and the first layers (1 and up); -1 freezes nothing.
        norm_eval: keep all batch norms in evaluation mode (moving statistics fixed).
        init_cfg: initialisation.
        stem_map: return the stem's output, too, behind the others.

    Raises:
        ConfigError: on an argument outside these values.
    """

    def __init__(
        self,
        spec: BackboneSpec,
        *,
        output_stride: int,
        out_indices: Sequence[int],
        frozen_stages: int,
        norm_eval: bool,
        init_cfg: dict | list[dict],
        stem_map: bool = False,
    ) -> None:
        check_choice("output_stride", output_stride, spec.output_strides)
        super().__init__(prepared_init_cfg(init_cfg, spec.prefix))
        check_choice("frozen_stages", frozen_stages, tuple(range(-1, len(spec.blocks) + 1)))
        self.spec = spec
        self.output_stride = output_stride
        self.out_indices = _checked_out_indices(out_indices, spec)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.stem_map = stem_map
        self.layer_names = [f"layer{number}" for number in range(1, len(spec.blocks) + 1)]
        taps = enumerate(spec.taps)
        self._tapped = {(tap.block, tap.unit) for i, tap in taps if i in self.out_indices}

    def _add_layers(
        self, make_unit: Callable[[Any, UnitGeometry], nn.Module], *, grids: Any = None
    ) -> None:
        """Make the units, layer by layer, and freeze what has to be frozen.

        Args:
            make_unit: makes one from its spec, and from its stride and dilations.
            grids: multi-grid, as in :func:`walk_output_stride`.
        """
        walked = walk_output_stride(
            [[unit.stride for unit in block] for block in self.spec.blocks],
            entry_stride=self.spec.entry_stride,
            output_stride=self.output_stride,
            grids=grids,
        )
        for name, units, geometry in zip(self.layer_names, self.spec.blocks, walked):
            self.add_module(name, nn.ModuleList(map(make_unit, units, geometry)))
        self._freeze_stages()

    def _first_state(self, stem_map: Tensor) -> Any:
        """What the first layer takes, from the stem's output."""
        return stem_map

    def _feature(self, state: Any) -> Tensor:
        """The final feature map, from the last state."""
        return state

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract the features.

        Args:
            x: images [N, 3, H, W], normalised.

        Returns:
            The feature maps of ``out_indices``, each [N, C, ceil(H / stride), ceil(W / stride)];
            with ``stem_map`` the stem's output at the end.
        """
        stem_map = self.stem(x)
        state = self._first_state(stem_map)
        outs = []
        for index, name in enumerate(self.layer_names):
            for number, unit in enumerate(getattr(self, name)):
                state, tap = unit(state)
                if (index, number) in self._tapped:
                    outs.append(tap)
        if FINAL_OUTPUT in self.out_indices:
            outs.append(self._feature(state))
        if self.stem_map:
            outs.append(stem_map)
        return tuple(outs)

    def train(self, mode: bool = True) -> TappedBackbone:
        """Switch the mode; frozen stages, with ``norm_eval`` all batch norms, stay in eval."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            keep_statistics(self)
        return self

    def _freeze_stages(self) -> None:
        for name in ["stem", *self.layer_names][: self.frozen_stages + 1]:
            module = getattr(self, name)
            module.eval()
            module.requires_grad_(False)


def _checked_out_indices(out_indices: Sequence[int], spec: BackboneSpec) -> tuple[int, ...]:
    taps = range(len(spec.taps))
    decoder = f"{', '.join(map(str, taps))}: decoder taps; " if taps else ""
    return ascending_numbers(
        "out_indices",
        out_indices,
        allowed={*taps, FINAL_OUTPUT},
        meaning=f"{decoder}{FINAL_OUTPUT}: final feature map",
    )


def conv_stem(stem: Sequence[StemConv], *, norm_cfg: dict) -> nn.Sequential:
    """A stem's convolutions with slim's fixed symmetric padding, batch norm and ReLU."""
    channels = [3, *(conv.channels for conv in stem)]
    return nn.Sequential(
        *(
            ConvModule(
                inputs,
                conv.channels,
                conv.kernel,
                stride=conv.stride,
                padding=conv.kernel // 2,
                norm_cfg=norm_cfg,
            )
            for inputs, conv in zip(channels, stem)
        )
    )


def truncated_normal_init_cfg(std: float) -> list[dict]:
    """TensorFlow's truncated normal for every convolution, as MMEngine's ``init_cfg``."""
    # TensorFlow cuts at two standard deviations, PyTorch at the values given.
    kernels = {"type": "TruncNormal", "layer": "Conv2d", "std": std, "a": -2 * std, "b": 2 * std}
    return [kernels, {"type": "Constant", "val": 1, "layer": ["_BatchNorm", "GroupNorm"]}]
