"""TensorFlow DeepLab's head as parts: context, decoder, logits (``deeplab/model.py``).

Every part prints itself, lists its names and recognises itself in the variables of a file. What a
config says stays flat: :meth:`HeadSpec.of` turns it into parts, :meth:`HeadSpec.options` back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Iterator

from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.specs.backbone import (
    FUSED_BATCH_NORM_EPS,
    SCOPE,
    BackboneSpec,
    BatchNorm,
    Shapes,
)
from mmseg_deeplab_ext.specs.rule import (
    Rule,
    conv_module_rules,
    conv_rules,
    separable_module_rules,
)

HEAD_BATCH_NORM = BatchNorm(decay=0.9997, eps=FUSED_BATCH_NORM_EPS)
"""Of ASPP and decoder."""


def official_rates(output_stride: int, count: int) -> tuple[int, ...]:
    """The first atrous rates of the ASPP: 6, 12, 18 at output stride 16.

    From ``g3doc/faq.md``; the TensorFlow code takes them as a flag and derives nothing.
    """
    return tuple(6 * 16 // output_stride * number for number in range(1, count + 1))


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
            "c1_in_channels": _single(self.tap_channels),
            "c1_channels": _single(self.projected),
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


@dataclass(frozen=True)
class HeadSpec:
    """The trained part of ``DeepLabV3PlusHead``.

    Attributes:
        context: what sees the surroundings of a pixel.
        decoder: the decoder; None for DeepLabv3.
        logits: the last layer; None where it is left out on request.
    """

    context: Aspp
    decoder: Decoder | None = None
    logits: Logits | None = None

    prefix: ClassVar[str] = "decode_head."
    key: ClassVar[str] = "decode_head"
    module: ClassVar[str] = "DeepLabV3PlusHead"

    @classmethod
    def of(
        cls,
        *,
        in_channels: int,
        channels: int,
        num_classes: int | None,
        num_rates: int,
        aspp_channels: int | None = None,
        aspp_separable: bool = True,
        image_pooling: bool = True,
        c1_in_channels: tuple[int, ...] = (),
        c1_channels: tuple[int, ...] = (),
        decoder_separable: bool = True,
    ) -> HeadSpec:
        """Turn the keys of a ``DeepLabV3PlusHead`` into parts.

        ``num_rates`` stands for ``dilations``; what is listed per decoder stage is a tuple here,
        empty for no decoder. ``num_classes=None`` leaves the last layer out.
        """
        context = Aspp(
            in_channels,
            aspp_channels or channels,
            num_rates,
            separable=aspp_separable or not num_rates,
            image_pooling=image_pooling,
        )
        decoder = None
        if c1_in_channels:
            decoder = Decoder(
                context.channels, channels, c1_in_channels, c1_channels, decoder_separable
            )
        return cls(context, decoder, num_classes and Logits(channels, num_classes) or None)

    @classmethod
    def found_in(cls, shapes: Shapes) -> HeadSpec | None:
        """The head that the variables are; None if there is none."""
        starts = (Logits.scope.partition("/")[0] + "/", *Aspp.scopes)
        if not any(name.startswith(starts) for name in shapes):
            return None
        context, logits = Aspp.found_in(shapes), Logits.found_in(shapes)
        decoder = Decoder.found_in(
            shapes, in_channels=context.channels, channels=logits.in_channels
        )
        return cls(context, decoder, logits)

    def __str__(self) -> str:
        return ", ".join(str(part) for part in (self.context, self.decoder) if part)

    @property
    def title(self) -> str:
        """The name of the network in the papers."""
        return "DeepLabv3+" if self.decoder else "DeepLabv3"

    @property
    def num_classes(self) -> int | None:
        """Number of classes; None where the last layer is left out."""
        return self.logits.num_classes if self.logits else None

    @property
    def tap_channels(self) -> tuple[int, ...]:
        """Channels of the backbone's features that the decoder takes, coarse to fine."""
        return self.decoder.tap_channels if self.decoder else ()

    def dilations(self, output_stride: int = 16) -> tuple[int, ...]:
        """The official rates: 6, 12, 18 at output stride 16, twice that at 8, half that at 32."""
        return (1, *official_rates(output_stride, self.context.num_rates))

    def rules(self) -> Iterator[Rule]:
        """All its variables, the last layer's if it is not left out."""
        for part in (self.context, self.decoder, self.logits):
            if part is not None:
                yield from part.rules(self.prefix)

    def options(self) -> dict[str, Any]:
        """The config keys that its weights decide; of ``dilations`` only the length is."""
        decoder = self.decoder.options() if self.decoder else {"c1_in_channels": 0}
        return {
            "in_channels": self.context.in_channels,
            "channels": (self.decoder or self.context).channels,
            "num_classes": self.num_classes,
            **self.context.options(),
            **decoder,
            "dilations": self.dilations(),
        }

    def config(self, backbone: BackboneSpec | None = None) -> dict[str, Any]:
        """The part of a config that its weights decide; the backbone tells the taps' indices."""
        config = {"type": f"{SCOPE}.{self.module}", **self.options()}
        if self.decoder and backbone is not None:
            config["c1_in_index"] = _single(backbone.tap_indices(self.tap_channels))
        return config


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


def _single(values: tuple[int, ...]) -> Any:
    return values[0] if len(values) == 1 else list(values)
