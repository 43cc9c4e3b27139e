"""TensorFlow DeepLab's MobileNetV3, large and small.

Source of every number: ``research/slim/nets/mobilenet/mobilenet_v3.py`` (``V3_LARGE`` and
``V3_SMALL``) and the changes for segmentation in ``research/deeplab/core/feature_extractor.py``
(the last stage and the last convolution have half the outputs, and other expansions),
cross-checked against the variable inventories of the official graphs.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.specs.backbone import Shapes
from mmseg_deeplab_ext.specs.mobilenet import HARD_SWISH, RELU, Design, MobileNetSpec, Row

# factor, channels, stride, kernel, squeeze-excite, activation
_LARGE = (
    (Row(1, 16, 1, 3, False, RELU),),
    (Row(4, 24, 2, 3, False, RELU), Row(3, 24, 1, 3, False, RELU)),
    (Row(3, 40, 2, 5, True, RELU), *[Row(3, 40, 1, 5, True, RELU)] * 2),
    (
        Row(6, 80, 2, 3, False, HARD_SWISH),
        Row(2.5, 80, 1, 3, False, HARD_SWISH),
        *[Row(184 / 80, 80, 1, 3, False, HARD_SWISH)] * 2,
    ),
    (Row(6, 112, 1, 3, True, HARD_SWISH),) * 2,
    (Row(3, 80, 2, 5, True, HARD_SWISH), *[Row(6, 80, 1, 5, True, HARD_SWISH)] * 2),
)
_SMALL = (
    (Row(1, 16, 2, 3, True, RELU),),
    (Row(72 / 16, 24, 2, 3, False, RELU), Row(88 / 24, 24, 1, 3, False, RELU)),
    (Row(4, 40, 2, 5, True, HARD_SWISH), *[Row(6, 40, 1, 5, True, HARD_SWISH)] * 2),
    (Row(3, 48, 1, 5, True, HARD_SWISH),) * 2,
    (Row(3, 48, 2, 5, True, HARD_SWISH), *[Row(6, 48, 1, 5, True, HARD_SWISH)] * 2),
)
_ARCHS = {
    "large": Design(16, _LARGE, HARD_SWISH, last=480, tapped_blocks={4: 1, 8: 2, 16: 4}),
    "small": Design(16, _SMALL, HARD_SWISH, last=288, tapped_blocks={4: 0, 8: 1, 16: 3}),
}


@dataclass(frozen=True)
class MobileNetV3Spec(MobileNetSpec):
    """``mobilenet_v3_{large,small}_seg`` with their last convolution, ``Conv_1``.

    Attributes:
        arch: "large" or "small".
        widen_factor: slim's ``depth_multiplier``.
    """

    arch: str = "large"
    widen_factor: float = 1.0

    module = "MobileNetV3"
    variant = "mobilenet_v3_{arch}_seg"
    scope_format = "MobilenetV3"
    title = "MobileNetV3-{arch} with depth multiplier {widen_factor:g}"
    default_output_stride = 32  # that of the published models (g3doc/model_zoo.md)

    def __post_init__(self) -> None:
        if self.arch not in list(_ARCHS):
            raise ConfigError(
                f"arch={self.arch!r} is not supported: use one of {', '.join(_ARCHS)}"
            )
        super().__post_init__()

    @property
    def design(self) -> Design:
        """The table that the network is made from."""
        return _ARCHS[self.arch]

    @classmethod
    def published(cls) -> tuple[MobileNetV3Spec, ...]:
        """The sizes of the model zoo."""
        return cls("large"), cls("small")

    @classmethod
    def found_in(cls, shapes: Shapes) -> MobileNetV3Spec | None:
        """By its scope: the size whose names are more like those in it."""
        names = cls().names_in(shapes)
        if not names:
            return None
        nearest = min(
            cls.published(), key=lambda spec: len(names ^ {rule.tf_name for rule in spec.rules()})
        )
        return nearest.fitted(shapes)
