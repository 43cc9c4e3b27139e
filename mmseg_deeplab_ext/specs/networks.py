"""The networks whose weights are understood: backbone families and the head, as plain values.

One description serves every direction. ``detect.py`` makes it from the variables of a file, a
built module carries it as ``tf_weights``, and from it follow the name map, the config that builds
the network, and the sentence that names it in a message.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Callable, Iterable, Iterator

from mmseg_deeplab_ext.arch import (
    MOBILENET_V2,
    MOBILENET_V2_TAP_BLOCKS,
    RESNET_V1,
    mobilenet_v2_expanded_width,
    mobilenet_v2_width,
    official_rates,
)
from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.specs.deeplab_head_map import deeplab_head_rules
from mmseg_deeplab_ext.specs.mobilenet_v2_map import mobilenet_v2_rules
from mmseg_deeplab_ext.specs.resnet_v1_map import resnet_v1_rules
from mmseg_deeplab_ext.specs.rule import Rule

BACKBONE_PREFIX = "backbone."
HEAD_PREFIX = "decode_head."


@dataclass(frozen=True)
class Family:
    """One class of backbones.

    Attributes:
        title: its name in messages, with a place for the size.
        size_key: the config key of the size: ``depth`` or ``widen_factor``.
        rules: the name map of one size, below a prefix.
        classifier: what the names of its ImageNet classifier's variables start with, after the
            scope.
        scope: TensorFlow's scope, with a place for the size.
        tap_widths: channels of the feature maps 0, 1 and 2 of one size.
    """

    title: str
    size_key: str
    rules: Callable[[Any, str], Iterable[Rule]]
    classifier: tuple[str, ...]
    scope: str
    tap_widths: Callable[[Any], tuple[int, ...]]


def _resnet_taps(depth: int) -> tuple[int, ...]:
    arch = RESNET_V1[depth]
    return tuple(block.width * arch.expansion for block in arch.blocks[:-1])


def _mobilenet_v2_taps(widen_factor: float) -> tuple[int, ...]:
    blocks = [MOBILENET_V2[index] for index in MOBILENET_V2_TAP_BLOCKS]
    return tuple(
        mobilenet_v2_expanded_width(mobilenet_v2_width(block.width, widen_factor), block.expansion)
        for block in blocks
    )


FAMILIES = {
    "ResNetV1Beta": Family(
        title="ResNet-{}-beta",
        size_key="depth",
        rules=lambda depth, prefix: resnet_v1_rules(depth, beta=True, prefix=prefix),
        classifier=("logits/",),
        scope="resnet_v1_{}",
        tap_widths=_resnet_taps,
    ),
    "ResNetV1": Family(
        title="ResNet-{} (plain stem)",
        size_key="depth",
        rules=lambda depth, prefix: resnet_v1_rules(depth, beta=False, prefix=prefix),
        classifier=("logits/",),
        scope="resnet_v1_{}",
        tap_widths=_resnet_taps,
    ),
    # DeepLab's network ends before Conv_1 (slim/nets/mobilenet/mobilenet_v2.py).
    "MobileNetV2": Family(
        title="MobileNetV2 with depth multiplier {}",
        size_key="widen_factor",
        rules=lambda factor, prefix: mobilenet_v2_rules(factor, prefix=prefix),
        classifier=("Conv_1/", "Logits/"),
        scope="MobilenetV2",
        tap_widths=_mobilenet_v2_taps,
    ),
}
"""Our class name -> what its weights need."""


@dataclass(frozen=True)
class Backbone:
    """The trained part of a backbone: what decides the names and shapes of its variables.

    Attributes:
        family: a key of ``FAMILIES``, which is the name of our class.
        size: depth, or depth multiplier.
    """

    family: str
    size: float

    prefix = BACKBONE_PREFIX

    def __str__(self) -> str:
        return FAMILIES[self.family].title.format(f"{self.size:g}")

    @property
    def scope(self) -> str:
        """The TensorFlow scope of its variables."""
        return FAMILIES[self.family].scope.format(f"{self.size:g}")

    def config(self) -> dict[str, Any]:
        """The keys of the backbone's config that its weights decide."""
        return {
            "type": f"mmseg_deeplab_ext.{self.family}",
            FAMILIES[self.family].size_key: self.size,
        }

    def rules(self) -> Iterator[Rule]:
        """Its name map, with ``backbone.`` in front."""
        yield from FAMILIES[self.family].rules(self.size, self.prefix)

    def classifier_of(self, tf_name: str) -> bool:
        """Whether a variable belongs to its ImageNet classifier, which segmentation has not."""
        starts = tuple(f"{self.scope}/{part}" for part in FAMILIES[self.family].classifier)
        return tf_name.startswith(starts)


@dataclass(frozen=True)
class Head:
    """The trained part of ``DeepLabV3PlusHead``; the attributes are its config keys.

    Attributes:
        in_channels: channels of the final backbone feature.
        channels: channels that the logits are computed from.
        num_classes: number of classes; None where the logits are left out on request.
        num_rates: number of atrous branches.
        aspp_channels: width of the ASPP.
        aspp_separable: depthwise separable atrous branches; True where there are none.
        image_pooling: whether there is an image pooling branch.
        c1_in_channels: channels of the tap of every decoder stage.
        c1_channels: channels it is projected to.
        decoder_separable: depthwise separable decoder; True where there is none.
    """

    in_channels: int
    channels: int
    num_classes: int | None
    num_rates: int
    aspp_channels: int
    aspp_separable: bool
    image_pooling: bool
    c1_in_channels: tuple[int, ...]
    c1_channels: tuple[int, ...]
    decoder_separable: bool

    prefix = HEAD_PREFIX

    def __str__(self) -> str:
        dense = "" if self.aspp_separable else "dense "
        parts = [f"ASPP with {self.num_rates} {dense}atrous branches"]
        if not self.num_rates:
            parts = ["1x1 branch"]
        parts.append(f"{'' if self.image_pooling else 'no '}image pooling")
        stages = len(self.c1_in_channels)
        dense = "" if self.decoder_separable else "dense "
        parts.append(f"{dense}decoder of {stages} stage{'s' * (stages > 1)}" * bool(stages))
        return ", ".join(filter(None, parts))

    def dilations(self, output_stride: int = 16) -> tuple[int, ...]:
        """The official rates: 6, 12, 18 at output stride 16, twice that at 8, half that at 32."""
        return (1, *official_rates(output_stride, self.num_rates))

    def config(self) -> dict[str, Any]:
        """The keys of the head's config that its weights decide, but ``dilations``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        del values["num_rates"]
        for key in ("c1_in_channels", "c1_channels"):
            values[key] = _single(values[key])
        if not self.c1_in_channels:
            values.update(c1_in_channels=0)
            del values["c1_channels"], values["decoder_separable"]
        return {"type": "mmseg_deeplab_ext.DeepLabV3PlusHead", **values}

    def rules(self) -> Iterator[Rule]:
        """Its name map, with ``decode_head.`` in front; without the logits if they are left out."""
        return deeplab_head_rules(self, prefix=self.prefix)


@dataclass(frozen=True)
class Network:
    """A backbone, with a head where there is one.

    Attributes:
        backbone: the backbone.
        head: the segmentation head; None for an ImageNet classifier or a bare backbone.
        imagenet_classes: classes of the ImageNet classifier, where there is one.
    """

    backbone: Backbone
    head: Head | None = None
    imagenet_classes: int | None = None

    def __str__(self) -> str:
        if self.head is None:
            classifier = f"an ImageNet classifier ({self.imagenet_classes} classes) on "
            return f"{classifier * bool(self.imagenet_classes)}{self.backbone}"
        name = "DeepLabv3+" if self.head.c1_in_channels else "DeepLabv3"
        classes = f"{self.head.num_classes} classes" if self.head.num_classes else "no logits"
        return f"{name} on {self.backbone}, {classes} ({self.head})"

    def configs(self) -> dict[str, dict[str, Any]]:
        """Config of each part, by its key in a segmentor's config.

        Raises:
            CheckpointMismatchError: if the decoder taps a feature that the backbone has not.
        """
        configs = {"backbone": self.backbone.config()}
        if self.head is not None:
            configs["decode_head"] = {**self.head.config(), "dilations": self.head.dilations()}
            if self.head.c1_in_channels:
                configs["decode_head"]["c1_in_index"] = _single(self._tap_indices())
        return configs

    def _tap_indices(self) -> tuple[int, ...]:
        widths = FAMILIES[self.backbone.family].tap_widths(self.backbone.size)
        taps = self.head.c1_in_channels if self.head else ()
        if not set(taps) <= set(widths):
            raise CheckpointMismatchError(
                f"the decoder taps features of {list(taps)} channels, but those of {self.backbone} "
                f"that it can tap have {list(widths)}"
            )
        return tuple(widths.index(width) for width in taps)

    def rules(self) -> list[Rule]:
        """The name map of everything that a segmentor takes."""
        return [rule for part in (self.backbone, self.head) if part for rule in part.rules()]


def network_of_model(model: Any) -> Network:
    """Describe a built model.

    Args:
        model: a segmentor (``backbone``, ``decode_head``) or a backbone.

    Raises:
        CheckpointMismatchError: if its backbone or its head is not of this package.
    """
    backbone = getattr(model, "backbone", model)
    head = getattr(model, "decode_head", None)
    parts = {"backbone": backbone, **({} if head is None else {"decode_head": head})}
    for key, module in parts.items():
        if not isinstance(getattr(module, "tf_weights", None), (Backbone, Head)):
            ours = "DeepLabV3PlusHead" if key == "decode_head" else ", ".join(FAMILIES)
            raise CheckpointMismatchError(
                f"model.{key} is a {type(module).__name__}, which has no counterpart in "
                f"TensorFlow's DeepLab. Those of this package have: {ours} (with "
                "'mmseg_deeplab_ext.' in front)"
            )
    return Network(backbone.tf_weights, None if head is None else head.tf_weights)


def rules_of_model(model: Any) -> list[Rule]:
    """Name map of a built model; its names start as in the model's state dict.

    Args:
        model: a segmentor, or a backbone (its names then start with ``backbone.`` too).

    Raises:
        CheckpointMismatchError: if its backbone or its head is not of this package.
    """
    return network_of_model(model).rules()


def _single(values: tuple[int, ...]) -> Any:
    return values[0] if len(values) == 1 else list(values)
