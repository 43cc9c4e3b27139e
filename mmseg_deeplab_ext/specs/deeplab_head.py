"""TensorFlow DeepLab's head, composed of parts.

What a config says stays flat: :meth:`HeadSpec.of` turns it into parts, :meth:`HeadSpec.options`
back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Iterator

from mmseg_deeplab_ext.specs.backbone import (
    FUSED_BATCH_NORM_EPS,
    SCOPE,
    BackboneSpec,
    BatchNorm,
    Shapes,
)
from mmseg_deeplab_ext.specs.head_parts import Aspp, Decoder, Logits, single
from mmseg_deeplab_ext.specs.rule import Rule

HEAD_BATCH_NORM = BatchNorm(decay=0.9997, eps=FUSED_BATCH_NORM_EPS)
"""Of ASPP and decoder."""


def official_rates(output_stride: int, count: int) -> tuple[int, ...]:
    """The first atrous rates of the ASPP: 6, 12, 18 at output stride 16.

    From ``g3doc/faq.md``; the TensorFlow code takes them as a flag and derives nothing.
    """
    return tuple(6 * 16 // output_stride * number for number in range(1, count + 1))


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
            config["c1_in_index"] = single(backbone.tap_indices(self.tap_channels))
        return config
