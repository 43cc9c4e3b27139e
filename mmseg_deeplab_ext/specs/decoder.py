"""The decoder of DeepLabv3+ (``refine_by_decoder`` in ``deeplab/model.py``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Iterator

from mmseg_deeplab_ext.specs.backbone import Shapes
from mmseg_deeplab_ext.specs.head_parts import kernel_shape, single
from mmseg_deeplab_ext.specs.rule import (
    Rule,
    conv_module_rules,
    conv_rules,
    separable_module_rules,
)

_BIAS = "decoder/feature_projection0/biases"
_SUM_SEPARABLE = "decoder/decoder_split_sep_conv0_depthwise/depthwise_weights"
_SUM_DENSE = "decoder/decoder_conv0/weights"
_CONCAT_SEPARABLE = "decoder/decoder_conv0_depthwise/depthwise_weights"
_CONCAT_DENSE = "decoder/decoder_conv0/decoder_conv0_1/weights"
"""What tells the kinds of decoders apart."""


@dataclass(frozen=True)
class Decoder:
    """Stages that refine a feature with taps of the backbone.

    Attributes:
        in_channels: channels of the context's output.
        channels: output channels of every stage.
        tap_channels: channels of the tap of every stage, coarse to fine.
        projected: channels that each is projected to.
        separable: depthwise separable convolutions; False where the output is the logits.
        sum_merge: one convolution, to whose output the projected tap is added; else two behind the
            concatenation.
        is_logits: the last stage's output is the logits: convolutions have a bias, and neither
            batch norm nor activation.
    """

    in_channels: int
    channels: int
    tap_channels: tuple[int, ...]
    projected: tuple[int, ...]
    separable: bool = True
    sum_merge: bool = False
    is_logits: bool = False

    scope: ClassVar[str] = "decoder/"
    module: ClassVar[str] = "decoder"
    """Its place in the head."""

    def __str__(self) -> str:
        count = len(self.tap_channels)
        words = (
            "dense " * (not self.separable and not self.is_logits),
            "sum-merge " * self.sum_merge,
            f"decoder of {count} stage{'s' * (count > 1)}",
            " whose output is the logits" * self.is_logits,
        )
        return "".join(words)

    @property
    def stages(self) -> tuple[tuple[int, int, int], ...]:
        """Input channels, tap channels and projected channels of every stage."""
        inputs = (self.in_channels, *[self.channels] * (len(self.tap_channels) - 1))
        return tuple(zip(inputs, self.tap_channels, self.projected))

    @property
    def kernel(self) -> int:
        """Height and width of the stages' kernels."""
        return 1 if self.sum_merge and self.is_logits else 3

    def widths(self, inputs: int, projected: int) -> tuple[int, ...]:
        """Input channels of every convolution of a stage."""
        return (inputs,) if self.sum_merge else (inputs + projected, self.channels)

    def rules(self, prefix: str) -> Iterator[Rule]:
        """Its variables; the tensors' names start with ``prefix``."""
        for number, (inputs, tap, projected) in enumerate(self.stages):
            suffix, stage = f"_{number}" if number else "", f"{prefix}{self.module}.{number}"
            shape = (1, 1, tap, projected)
            tf_scope = f"decoder/feature_projection0{suffix}"
            yield from self._conv_rules(tf_scope, f"{stage}.projection", shape=shape)
            for i, width in enumerate(self.widths(inputs, projected)):
                shape = (self.kernel, self.kernel, width, self.channels)
                rules = separable_module_rules if self.separable else self._conv_rules
                tf_scope = f"decoder/{self._name(i, suffix)}"
                yield from rules(tf_scope, f"{stage}.convs.{i}", shape=shape)

    def _conv_rules(
        self, tf_scope: str, torch_name: str, *, shape: tuple[int, int, int, int]
    ) -> Iterator[Rule]:
        if self.is_logits:
            return conv_rules(tf_scope, torch_name, shape=shape, bias=True)
        return conv_module_rules(tf_scope, torch_name, shape=shape)

    def _name(self, i: int, suffix: str) -> str:
        """TensorFlow's name of a stage's convolution."""
        if self.sum_merge:
            return f"decoder_{'split_sep_' * self.separable}conv0{suffix}"
        if self.separable:
            return f"decoder_conv{i}{suffix}"
        return f"decoder_conv0{suffix}/decoder_conv0{suffix}_{i + 1}"

    @classmethod
    def num_classes_in(cls, shapes: Shapes) -> int | None:
        """Number of classes of a decoder whose output is the logits; None if there is none such."""
        if _BIAS not in shapes:
            return None
        return kernel_shape(shapes, _SUM_DENSE if _SUM_DENSE in shapes else _CONCAT_DENSE)[3]

    @classmethod
    def found_in(cls, shapes: Shapes, *, in_channels: int, channels: int) -> Decoder | None:
        """The decoder that the variables are; None if there is none."""
        names: list[str] = []
        while (
            name := f"decoder/feature_projection0{f'_{len(names)}' if names else ''}/weights"
        ) in shapes:
            names.append(name)
        if not names:
            return None
        return cls(
            in_channels=in_channels,
            channels=channels,
            tap_channels=tuple(kernel_shape(shapes, name)[2] for name in names),
            projected=tuple(kernel_shape(shapes, name)[3] for name in names),
            separable=not {_SUM_SEPARABLE, _CONCAT_SEPARABLE}.isdisjoint(shapes),
            sum_merge=not {_SUM_SEPARABLE, _SUM_DENSE}.isdisjoint(shapes),
            is_logits=_BIAS in shapes,
        )

    def options(self) -> dict[str, Any]:
        """Config keys, in their order."""
        return {
            "c1_in_channels": single(self.tap_channels),
            **({} if self.sum_merge else {"c1_channels": single(self.projected)}),
            **({} if self.is_logits else {"decoder_separable": self.separable}),
            **({"decoder_sum_merge": True} if self.sum_merge else {}),
            **({"decoder_logits": True} if self.is_logits else {}),
        }
