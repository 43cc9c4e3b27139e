"""TensorFlow DeepLab's MobileNetV2.

Source of every number: ``research/slim/nets/mobilenet/mobilenet_v2.py`` (``V2_DEF``) and
``research/deeplab/core/feature_extractor.py``, cross-checked against the variable inventories of
the official graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mmseg_deeplab_ext.errors import CheckpointUnsupportedError
from mmseg_deeplab_ext.specs.backbone import Shapes
from mmseg_deeplab_ext.specs.mobilenet import RELU6, Design, MobileNetSpec, Row
from mmseg_deeplab_ext.specs.widths import differences

# The 17 units of DeepLab's network, which ends at slim's ``layer_18``: the 1280 channels and the
# classifier behind it are not used. A row is a run of units of one width, as in the paper's table
# 2; its first unit has the stride.
_RUNS = (  # expansion, channels, units, stride
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_DESIGN = Design(
    stem=32,
    blocks=tuple(
        tuple(
            Row(expansion, channels, each, activation=RELU6)
            for each in (stride, *[1] * (count - 1))
        )
        for expansion, channels, count, stride in _RUNS
    ),
    activation=RELU6,
    tapped_blocks={4: 1, 8: 2, 16: 4},  # ``layer_4``, ``layer_7``, ``layer_14``
)


@dataclass(frozen=True)
class MobileNetV2Spec(MobileNetSpec):
    """``mobilenet_v2`` up to the 320 channels of ``layer_18``.

    Unlike in torchvision, MMSegmentation and slim's own classifiers, which round to multiples of 8,
    widths are whole ones: 12 instead of 16 channels for a width of 24 and a factor of 0.5.

    Attributes:
        widen_factor: slim's ``depth_multiplier``.
    """

    widen_factor: float = 1.0

    width_divisor: ClassVar[int] = 1  # divisible_by=1

    module = "MobileNetV2"
    variant = "mobilenet_v2"
    scope_format = "MobilenetV2"
    title = "MobileNetV2 with depth multiplier {widen_factor:g}"
    classifier = ("Conv_1/", "Logits/")  # behind the end of DeepLab's network (mobilenet_v2.py)

    @property
    def design(self) -> Design:
        """The table that the network is made from."""
        return _DESIGN

    @classmethod
    def published(cls) -> tuple[MobileNetV2Spec, ...]:
        """The sizes of the model zoo."""
        return cls(1.0), cls(0.5)

    @classmethod
    def found_in(cls, shapes: Shapes) -> MobileNetV2Spec | None:
        """By its scope."""
        if not cls().names_in(shapes):
            return None
        found = cls().fitted(shapes)
        if differences(shapes, found.rules()):
            _refuse_slims(shapes)
        return found


class _SlimSpec(MobileNetV2Spec):
    """The network of slim's own classifiers (``divisible_by=8``); not built here."""

    width_divisor = 8


def _refuse_slims(shapes: Shapes) -> None:
    """Name slim's own network, if the variables are one.

    Raises:
        CheckpointUnsupportedError: they are.
    """
    slim = _SlimSpec().fitted(shapes)
    if differences(shapes, slim.rules()):
        return
    pairs = zip(slim.rules(), MobileNetV2Spec(slim.widen_factor).rules())
    name, theirs, ours = next((a.tf_name, a.shape, b.shape) for a, b in pairs if a.shape != b.shape)
    raise CheckpointUnsupportedError(
        f"the file holds slim's own {slim}, an ImageNet classifier's: its widths are multiples of "
        f"8 ({name} {list(theirs)}). DeepLab's of this multiplier, which this version builds, has "
        f"others ({list(ours)}); only of multiplier 1 both are the same"
    )
