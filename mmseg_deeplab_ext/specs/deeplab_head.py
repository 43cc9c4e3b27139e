"""TensorFlow DeepLab's head, composed of parts.

What a config says stays flat: :meth:`HeadSpec.of` turns it into parts, :meth:`HeadSpec.options`
back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Iterator

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.specs.backbone import (
    FUSED_BATCH_NORM_EPS,
    SCOPE,
    BackboneSpec,
    BatchNorm,
    Shapes,
)
from mmseg_deeplab_ext.specs.decoder import Decoder
from mmseg_deeplab_ext.specs.dense_prediction_cell import CellBranch, DensePredictionCell
from mmseg_deeplab_ext.specs.head_parts import GATES, Aspp, Logits, single
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
        logits: the last layer, which has no variables of its own where the decoder's output is the
            logits; None where it is left out on request, such a decoder included.
    """

    context: Aspp | DensePredictionCell
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
        aspp_squeeze_excite: str | None = None,
        aspp_projection: bool = True,
        image_pooling: bool = True,
        dense_prediction_cell: tuple[CellBranch, ...] | None = None,
        c1_in_channels: tuple[int, ...] = (),
        c1_channels: tuple[int, ...] = (),
        decoder_separable: bool = True,
        decoder_sum_merge: bool = False,
        decoder_logits: bool = False,
    ) -> HeadSpec:
        """Turn the keys of a ``DeepLabV3PlusHead`` into parts.

        ``num_rates`` stands for ``dilations``; what is listed per decoder stage is a tuple here,
        empty for no decoder. ``num_classes=None`` leaves the last layer out.

        Raises:
            ConfigError: a combination that is impossible in TensorFlow too, or has no meaning.
        """
        aspp = Aspp(
            in_channels,
            aspp_channels or channels,
            num_rates,
            separable=aspp_separable or not num_rates,
            image_pooling=image_pooling,
            squeeze_excite=aspp_squeeze_excite,
            projection=aspp_projection,
        )
        context = aspp if dense_prediction_cell is None else _instead(aspp, dense_prediction_cell)
        decoder = None
        if c1_in_channels:
            decoder = Decoder(
                context.out_channels,
                channels,
                c1_in_channels,
                c1_channels,
                separable=decoder_separable and not decoder_logits,
                sum_merge=decoder_sum_merge,
                is_logits=decoder_logits,
            )
        elif decoder_sum_merge or decoder_logits:
            raise ConfigError(
                f"decoder_sum_merge={decoder_sum_merge}, decoder_logits={decoder_logits}: there is "
                "no decoder; name the channels of its tap in c1_in_channels"
            )
        logits = Logits(channels, num_classes) if num_classes else None
        spec = cls(context, decoder, logits)
        for problem in _contradictions(spec):
            raise ConfigError(problem)
        return spec

    @classmethod
    def found_in(cls, shapes: Shapes) -> HeadSpec | None:
        """The head that the variables are; None if there is none."""
        cell = DensePredictionCell.scope
        starts = (Logits.scope.partition("/")[0] + "/", Decoder.scope, cell, *Aspp.scopes)
        if not any(name.startswith(starts) for name in shapes):
            return None
        kind = DensePredictionCell if any(name.startswith(cell) for name in shapes) else Aspp
        context, classes = kind.found_in(shapes), Decoder.num_classes_in(shapes)
        logits = Logits.found_in(shapes) if classes is None else Logits(classes, classes)
        decoder = Decoder.found_in(
            shapes, in_channels=context.out_channels, channels=logits.in_channels
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
        """The official rates: 6, 12, 18 at output stride 16, twice that at 8, half that at 32.

        Empty for a dense prediction cell, which has its own.
        """
        if isinstance(self.context, DensePredictionCell):
            return ()
        return (1, *official_rates(output_stride, self.context.num_rates))

    @property
    def decoder_is_logits(self) -> bool:
        """Whether the decoder's output is the logits; then the whole decoder is the last layer."""
        return self.decoder is not None and self.decoder.is_logits

    def owns_last_layer(self, name: str) -> bool:
        """Whether a tensor or a variable, by its name in a head or in a file, is the last layer's.

        Names of a whole segmentor are cut to the head's first.
        """
        last = Decoder if self.decoder_is_logits else Logits
        return name.startswith((f"{last.module}.", last.scope))

    def rules(self) -> Iterator[Rule]:
        """All its variables, the last layer's if it is not left out."""
        yield from self.context.rules(self.prefix)
        if self.decoder and (self.logits or not self.decoder_is_logits):
            yield from self.decoder.rules(self.prefix)
        if self.logits and not self.decoder_is_logits:
            yield from self.logits.rules(self.prefix)

    def options(self) -> dict[str, Any]:
        """The config keys that its weights decide; of ``dilations`` only the length is."""
        decoder = self.decoder.options() if self.decoder else {"c1_in_channels": 0}
        channels = self.decoder.channels if self.decoder else self.context.out_channels
        return {
            "in_channels": self.context.in_channels,
            "channels": self.num_classes if self.decoder_is_logits else channels,
            "num_classes": self.num_classes,
            **self.context.options(),
            **decoder,
            **({"dilations": self.dilations()} if self.dilations() else {}),
        }

    def config(self, backbone: BackboneSpec | None = None) -> dict[str, Any]:
        """The part of a config that its weights decide; the backbone tells the taps' indices."""
        config = {"type": f"{SCOPE}.{self.module}", **self.options()}
        if self.decoder and backbone is not None:
            config["c1_in_index"] = single(backbone.tap_indices(self.tap_channels))
        return config


def _instead(aspp: Aspp, branches: tuple[CellBranch, ...]) -> DensePredictionCell:
    """A cell in the place of an ASPP that has no key of its own."""
    if aspp != Aspp(aspp.in_channels, aspp.channels, aspp.num_rates):
        raise ConfigError(
            "dense_prediction_cell takes the place of the ASPP: leave out aspp_separable, "
            "aspp_squeeze_excite, aspp_projection and image_pooling=False"
        )
    return DensePredictionCell(aspp.in_channels, aspp.channels, branches)


def _contradictions(head: HeadSpec) -> Iterator[str]:
    """What is wrong with the keys of a config, in sentences."""
    if isinstance(head.context, Aspp):
        yield from _contradictions_of_aspp(head.context)
    decoder, width = head.decoder, head.context.out_channels
    if not decoder and head.logits and head.logits.in_channels != width:
        yield (
            f"aspp_channels={head.context.channels} and channels={head.logits.in_channels} must be "
            "equal in a head without decoder (c1_in_channels=0); without aspp_projection, "
            f"channels must be those of all branches: {width}"
        )
    if decoder and decoder.sum_merge and {*decoder.projected} != {decoder.channels}:
        yield (
            f"c1_channels={single(decoder.projected)} must be channels={decoder.channels} where "
            "both are added (decoder_sum_merge=True): leave c1_channels out"
        )
    if decoder and decoder.is_logits and head.num_classes not in (None, decoder.channels):
        yield (
            f"channels={decoder.channels} must be the number of classes, {head.num_classes}, where "
            "the decoder's output is the logits (decoder_logits=True)"
        )


def _contradictions_of_aspp(context: Aspp) -> Iterator[str]:
    if context.squeeze_excite not in (None, *GATES):
        yield f"aspp_squeeze_excite={context.squeeze_excite!r} must be None, {' or '.join(GATES)}"
    if context.squeeze_excite and not context.image_pooling:
        yield "aspp_squeeze_excite is made from the image pooling, which image_pooling=False omits"
    if context.squeeze_excite and context.num_rates and not context.projection:
        yield (
            f"aspp_squeeze_excite has {context.channels} channels, {context.num_rates + 1} "
            f"branches without aspp_projection {context.out_channels}: use dilations=(1,), or the "
            "projection"
        )
