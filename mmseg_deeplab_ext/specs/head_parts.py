"""The parts of DeepLab's head: context, decoder, logits (``deeplab/model.py``).

Every part prints itself, lists its names and recognises itself in the variables of a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Iterator

from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.specs.backbone import Shapes
from mmseg_deeplab_ext.specs.rule import (
    Rule,
    conv_module_rules,
    conv_rules,
    separable_module_rules,
)


@dataclass(frozen=True)
class Aspp:
    """Atrous spatial pyramid pooling, the context of every DeepLabv3.

    Attributes:
        in_channels: channels of the final backbone feature.
        channels: output channels.
        num_rates: number of atrous branches.
        separable: depthwise separable atrous branches; True where there are none.
        image_pooling: whether there is an image pooling branch.
    """

    in_channels: int
    channels: int
    num_rates: int
    separable: bool = True
    image_pooling: bool = True

    scopes: ClassVar[tuple[str, ...]] = ("aspp", "concat_projection/")
    """What names start with that only this context has."""

    def __str__(self) -> str:
        dense = "" if self.separable else "dense "
        branches = f"ASPP with {self.num_rates} {dense}atrous branches"
        pooling = f"{'' if self.image_pooling else 'no '}image pooling"
        return f"{branches if self.num_rates else '1x1 branch'}, {pooling}"

    @property
    def concatenated(self) -> int:
        """Channels of all branches together."""
        return self.channels * (1 + self.num_rates + self.image_pooling)

    def rules(self, prefix: str) -> Iterator[Rule]:
        """Its variables; the tensors' names start with ``prefix``."""
        aspp, pointwise = f"{prefix}aspp", (1, 1, self.in_channels, self.channels)
        if self.image_pooling:
            yield from conv_module_rules(
                "image_pooling", f"{aspp}.image_pooling.conv", shape=pointwise
            )
        yield from conv_module_rules("aspp0", f"{aspp}.branches.0", shape=pointwise)
        branch_rules = separable_module_rules if self.separable else conv_module_rules
        for i in range(1, self.num_rates + 1):
            shape = (3, 3, self.in_channels, self.channels)
            yield from branch_rules(f"aspp{i}", f"{aspp}.branches.{i}", shape=shape)
        shape = (1, 1, self.concatenated, self.channels)
        yield from conv_module_rules("concat_projection", f"{aspp}.projection", shape=shape)

    @classmethod
    def found_in(cls, shapes: Shapes) -> Aspp:
        """The context that the variables are."""
        separable = "aspp1_depthwise/depthwise_weights" in shapes
        branch = "aspp{}_depthwise/depthwise_weights" if separable else "aspp{}/weights"
        num_rates = 0
        while branch.format(num_rates + 1) in shapes:
            num_rates += 1
        return cls(
            in_channels=kernel_shape(shapes, "aspp0/weights")[2],
            channels=kernel_shape(shapes, "concat_projection/weights")[3],
            num_rates=num_rates,
            separable=separable or not num_rates,
            image_pooling="image_pooling/weights" in shapes,
        )

    def options(self) -> dict[str, Any]:
        """Config keys, in their order."""
        return {
            "aspp_channels": self.channels,
            "aspp_separable": self.separable,
            "image_pooling": self.image_pooling,
        }


@dataclass(frozen=True)
class Decoder:
    """The decoder of DeepLabv3+: stages that refine a feature with taps of the backbone.

    Attributes:
        in_channels: channels of the context's output.
        channels: output channels of every stage.
        tap_channels: channels of the tap of every stage, coarse to fine.
        projected: channels that each is projected to.
        separable: depthwise separable 3x3 convolutions.
    """

    in_channels: int
    channels: int
    tap_channels: tuple[int, ...]
    projected: tuple[int, ...]
    separable: bool = True

    def __str__(self) -> str:
        count = len(self.tap_channels)
        return f"{'' if self.separable else 'dense '}decoder of {count} stage{'s' * (count > 1)}"

    @property
    def stages(self) -> tuple[tuple[int, int, int], ...]:
        """Input channels, tap channels and projected channels of every stage."""
        inputs = (self.in_channels, *[self.channels] * (len(self.tap_channels) - 1))
        return tuple(zip(inputs, self.tap_channels, self.projected))

    def rules(self, prefix: str) -> Iterator[Rule]:
        """Its variables; the tensors' names start with ``prefix``."""
        for number, (inputs, tap, projected) in enumerate(self.stages):
            suffix, stage = f"_{number}" if number else "", f"{prefix}decoder.{number}"
            yield from conv_module_rules(
                f"decoder/feature_projection0{suffix}",
                f"{stage}.projection",
                shape=(1, 1, tap, projected),
            )
            dense = f"decoder/decoder_conv0{suffix}/decoder_conv0{suffix}"
            for i, width in enumerate((inputs + projected, self.channels)):
                shape = (3, 3, width, self.channels)
                if self.separable:
                    tf_scope = f"decoder/decoder_conv{i}{suffix}"
                    yield from separable_module_rules(tf_scope, f"{stage}.convs.{i}", shape=shape)
                else:
                    yield from conv_module_rules(
                        f"{dense}_{i + 1}", f"{stage}.convs.{i}", shape=shape
                    )

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
            separable="decoder/decoder_conv0_depthwise/depthwise_weights" in shapes,
        )

    def options(self) -> dict[str, Any]:
        """Config keys, in their order."""
        return {
            "c1_in_channels": single(self.tap_channels),
            "c1_channels": single(self.projected),
            "decoder_separable": self.separable,
        }


@dataclass(frozen=True)
class Logits:
    """The last layer: a 1x1 convolution with bias.

    Attributes:
        in_channels: input channels.
        num_classes: output channels.
    """

    in_channels: int
    num_classes: int

    scope: ClassVar[str] = "logits/semantic/"
    module: ClassVar[str] = "conv_seg"
    """Its place in the head, as in every head of MMSegmentation."""

    @classmethod
    def owns(cls, name: str) -> bool:
        """Whether a tensor or a variable, by its name in a head or in a file, is the last layer's.

        Names of a whole segmentor are cut to the head's first.
        """
        return name.startswith((f"{cls.module}.", cls.scope))

    def rules(self, prefix: str) -> Iterator[Rule]:
        """Its variables; the tensors' names start with ``prefix``."""
        yield from conv_rules(
            self.scope.rstrip("/"),
            f"{prefix}{self.module}",
            shape=(1, 1, self.in_channels, self.num_classes),
            bias=True,
        )

    @classmethod
    def found_in(cls, shapes: Shapes) -> Logits:
        """The last layer that the variables are."""
        return cls(*kernel_shape(shapes, f"{cls.scope}weights")[2:])


def kernel_shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    """Height, width, input and output channels of a kernel of the head.

    Raises:
        CheckpointMismatchError: there is none of this name.
    """
    found = shapes.get(name)
    if found is None or len(found) != 4:
        raise CheckpointMismatchError(
            f"the file holds a segmentation head without the kernel {name} [h, w, in, out] "
            f"(found: {found}); heads without ASPP and partial heads can't be read"
        )
    return found


def single(values: tuple[int, ...]) -> Any:
    """One value as itself, several as a list: how a config says them."""
    return values[0] if len(values) == 1 else list(values)
