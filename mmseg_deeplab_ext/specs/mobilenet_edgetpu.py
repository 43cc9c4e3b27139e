"""TensorFlow DeepLab's MobileNet for the EdgeTPU.

Source of every number: ``research/slim/nets/mobilenet/mobilenet_v3.py`` (``V3_EDGETPU``) and
``research/deeplab/core/feature_extractor.py`` (``_mobilenet_edgetpu``), cross-checked against the
variable inventories of the official graphs.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmseg_deeplab_ext.specs.backbone import Shapes
from mmseg_deeplab_ext.specs.mobilenet import RELU, Design, MobileNetSpec, Row

_BLOCKS = (
    (Row(1, 16, fused=True),),
    (Row(8, 32, 2, fused=True), *[Row(4, 32, fused=True)] * 3),
    (Row(8, 48, 2, fused=True), *[Row(4, 48, fused=True)] * 3),
    (Row(8, 96, 2), *[Row(4, 96)] * 3),
    (Row(8, 96, residual=False), *[Row(4, 96)] * 3),
    (Row(8, 160, 2, kernel=5), *[Row(4, 160, kernel=5)] * 3),
    (Row(8, 192),),
)
_DESIGN = Design(32, _BLOCKS, RELU, last=1280)


@dataclass(frozen=True)
class MobileNetEdgeTPUSpec(MobileNetSpec):
    """``mobilenet_edgetpu`` with its last convolution, ``Conv_1``.

    DeepLab has no decoder on it: TensorFlow's code names none of its features. In TensorFlow its
    fused convolutions ignore the output stride, so that there is none below theirs, 8.

    Attributes:
        widen_factor: slim's ``depth_multiplier``.
    """

    widen_factor: float = 1.0

    module = "MobileNetEdgeTPU"
    variant = "mobilenet_edgetpu"
    scope_format = "MobilenetEdgeTPU"
    title = "MobileNet-EdgeTPU with depth multiplier {widen_factor:g}"

    @property
    def design(self) -> Design:
        """The table that the network is made from."""
        return _DESIGN

    @classmethod
    def published(cls) -> tuple[MobileNetEdgeTPUSpec, ...]:
        """The sizes of the model zoo."""
        return cls(1.0), cls(0.75)

    @classmethod
    def found_in(cls, shapes: Shapes) -> MobileNetEdgeTPUSpec | None:
        """By its scope."""
        spec = cls()
        return spec.fitted(shapes) if spec.names_in(shapes) else None
