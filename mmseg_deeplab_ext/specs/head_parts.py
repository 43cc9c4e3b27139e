"""The parts of DeepLab's head around the decoder: context and logits (``deeplab/model.py``).

Every part prints itself, lists its names and recognises itself in the variables of a file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Iterator

from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.specs.backbone import Shapes
from mmseg_deeplab_ext.specs.rule import (
    Rule,
    conv_module_rules,
    conv_rules,
    separable_module_rules,
)

GATES = ("sigmoid", "qsigmoid")
"""Functions of a squeeze-and-excite; the second is ``q_sigmoid``, of straight lines."""


@dataclass(frozen=True)
class Aspp:
    """Atrous spatial pyramid pooling, the context of every DeepLabv3.

    Attributes:
        in_channels: channels of the final backbone feature.
        channels: output channels.
        num_rates: number of atrous branches.
        separable: depthwise separable atrous branches; True where there are none.
        image_pooling: whether there is an image pooling branch.
        squeeze_excite: one of ``GATES``: the image pooling multiplies what the others give; None:
            it is one branch of the concatenation.
        projection: whether the concatenation is projected.
    """

    in_channels: int
    channels: int
    num_rates: int
    separable: bool = True
    image_pooling: bool = True
    squeeze_excite: str | None = None
    projection: bool = True

    module: ClassVar[str] = "aspp"
    """Its place in the head."""
    scopes: ClassVar[tuple[str, ...]] = ("aspp", "concat_projection/")
    """What names start with that only this context has."""

    def __str__(self) -> str:
        dense = "" if self.separable else "dense "
        branches = f"ASPP with {self.num_rates} {dense}atrous branches"
        pooling = f"{'' if self.image_pooling else 'no '}image pooling"
        gate = f" as squeeze-and-excite ({self.squeeze_excite})" * bool(self.squeeze_excite)
        bare = ", no projection" * (not self.projection)
        return f"{branches if self.num_rates else '1x1 branch'}, {pooling}{gate}{bare}"

    @property
    def concatenated(self) -> int:
        """Channels of all concatenated branches together."""
        pooled = self.image_pooling and self.squeeze_excite is None
        return self.channels * (1 + self.num_rates + pooled)

    @property
    def out_channels(self) -> int:
        """Channels of its output."""
        return self.channels if self.projection else self.concatenated

    @property
    def is_mobilenet_v3s(self) -> bool:
        """Whether it is what the published MobileNetV3 models have."""
        return not (self.squeeze_excite is None or self.projection or self.num_rates)

    def rules(self, prefix: str) -> Iterator[Rule]:
        """Its variables; the tensors' names start with ``prefix``."""
        aspp, pointwise = f"{prefix}{self.module}", (1, 1, self.in_channels, self.channels)
        if self.squeeze_excite is not None:
            pooling = f"{aspp}.image_pooling.conv.conv"
            yield from conv_rules("image_pooling", pooling, shape=pointwise, bias=True)
        elif self.image_pooling:
            yield from conv_module_rules(
                "image_pooling", f"{aspp}.image_pooling.conv", shape=pointwise
            )
        yield from conv_module_rules("aspp0", f"{aspp}.branches.0", shape=pointwise)
        branch_rules = separable_module_rules if self.separable else conv_module_rules
        for i in range(1, self.num_rates + 1):
            shape = (3, 3, self.in_channels, self.channels)
            yield from branch_rules(f"aspp{i}", f"{aspp}.branches.{i}", shape=shape)
        if self.projection:
            shape = (1, 1, self.concatenated, self.channels)
            yield from conv_module_rules("concat_projection", f"{aspp}.projection", shape=shape)

    @classmethod
    def found_in(cls, shapes: Shapes) -> Aspp:
        """The context that the variables are.

        They don't tell which function gates: it is taken for that of the published models, if it is
        what those have.
        """
        separable = "aspp1_depthwise/depthwise_weights" in shapes
        branch = "aspp{}_depthwise/depthwise_weights" if separable else "aspp{}/weights"
        num_rates = 0
        while branch.format(num_rates + 1) in shapes:
            num_rates += 1
        projection = any(name.startswith("concat_projection/") for name in shapes)
        found = cls(
            in_channels=kernel_shape(shapes, "aspp0/weights")[2],
            channels=kernel_shape(
                shapes, "concat_projection/weights" if projection else "aspp0/weights"
            )[3],
            num_rates=num_rates,
            separable=separable or not num_rates,
            image_pooling="image_pooling/weights" in shapes,
            squeeze_excite="sigmoid" if "image_pooling/biases" in shapes else None,
            projection=projection,
        )
        return replace(found, squeeze_excite="qsigmoid") if found.is_mobilenet_v3s else found

    @property
    def assumption(self) -> str | None:
        """What :meth:`found_in` had to assume, if anything."""
        if self.squeeze_excite is None:
            return None
        return f"aspp_squeeze_excite={self.squeeze_excite!r} (no variable tells its function)"

    def options(self) -> dict[str, Any]:
        """Config keys, in their order."""
        return {
            "aspp_channels": self.channels,
            "aspp_separable": self.separable,
            "image_pooling": self.image_pooling,
            **({"aspp_squeeze_excite": self.squeeze_excite} if self.squeeze_excite else {}),
            **({} if self.projection else {"aspp_projection": False}),
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
