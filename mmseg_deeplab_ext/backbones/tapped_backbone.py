"""What DeepLab's backbones have in common: decoder taps, frozen stages, frozen batch norm."""

from __future__ import annotations

from typing import Iterable, Sequence

from mmengine.model import BaseModule
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import Tensor, nn

from mmseg_deeplab_ext.config_values import check_choice, whole_numbers
from mmseg_deeplab_ext.errors import ConfigError

_NUM_OUTPUTS = 4
_FINAL = _NUM_OUTPUTS - 1


class TappedBackbone(BaseModule):
    """A stem and layers of units, three of which are tapped.

    A subclass sets ``stem`` and calls :meth:`_add_layers`. Every unit returns its output and what
    a decoder would tap there.

    Args:
        num_layers: how many layers there will be.
        out_indices: which of the four feature maps to return, ascending.
        frozen_stages: freeze the stem (0), and the first layers (1 and up); -1 freezes nothing.
        norm_eval: keep all batch norms in evaluation mode (moving statistics fixed).
        init_cfg: initialisation.

    Raises:
        ConfigError: on an argument outside these values.
    """

    def __init__(
        self,
        num_layers: int,
        *,
        out_indices: Sequence[int],
        frozen_stages: int,
        norm_eval: bool,
        init_cfg: dict | list[dict],
    ) -> None:
        super().__init__(init_cfg)
        check_choice("frozen_stages", frozen_stages, tuple(range(-1, num_layers + 1)))
        self.out_indices = _checked_out_indices(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.layer_names = [f"layer{number}" for number in range(1, num_layers + 1)]

    def _add_layers(
        self, layers: Iterable[nn.ModuleList], *, tap_units: Iterable[tuple[int, int]]
    ) -> None:
        """Take over the layers and freeze what has to be frozen.

        Args:
            layers: the units, layer by layer.
            tap_units: layer and unit (from 0) of the feature maps 0, 1 and 2.
        """
        for name, layer in zip(self.layer_names, layers):
            self.add_module(name, layer)
        taps = enumerate(tap_units)
        self._tapped = [place for index, place in taps if index in self.out_indices]
        self._freeze_stages()

    def _forward_stem(self, x: Tensor) -> Tensor:
        """Everything before the first layer."""
        return self.stem(x)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract the features.

        Args:
            x: images [N, 3, H, W], normalised.

        Returns:
            The feature maps of ``out_indices``, each [N, C, ceil(H / stride), ceil(W / stride)].
        """
        x = self._forward_stem(x)
        outs = []
        for index, name in enumerate(self.layer_names):
            for number, unit in enumerate(getattr(self, name)):
                x, tap = unit(x)
                if (index, number) in self._tapped:
                    outs.append(tap)
        if _FINAL in self.out_indices:
            outs.append(x)
        return tuple(outs)

    def train(self, mode: bool = True) -> TappedBackbone:
        """Switch the mode; frozen stages, with ``norm_eval`` all batch norms, stay in eval."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze_stages(self) -> None:
        for name in ["stem", *self.layer_names][: self.frozen_stages + 1]:
            module = getattr(self, name)
            module.eval()
            module.requires_grad_(False)


def _checked_out_indices(out_indices: Sequence[int]) -> tuple[int, ...]:
    chosen = whole_numbers("out_indices", out_indices, minimum=0)
    if list(chosen) != sorted(set(chosen) & set(range(_NUM_OUTPUTS))):
        raise ConfigError(
            f"out_indices={chosen} must be ascending and different numbers from 0 to {_FINAL} "
            "(0, 1, 2: decoder taps; 3: final feature map)"
        )
    return chosen
