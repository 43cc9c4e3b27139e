"""What every backbone's spec says, as data that needs neither PyTorch nor MMSegmentation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Iterator, Mapping, Sequence

from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.specs.rule import Rule, conv_module_rules

Shapes = Mapping[str, "tuple[int, ...]"]
"""Name and shape of variables."""

SCOPE = "mmseg_deeplab_ext"
FINAL_OUTPUT = 3
"""Index of the final feature map among a backbone's outputs; the taps come before it."""

FUSED_BATCH_NORM_EPS = 1.001e-5
"""TensorFlow 1's fused batch norm clamps epsilon to at least this value: every "1e-5" of the
official code is 1.001e-5 in the exported graphs, and it is what the weights were trained with."""


@dataclass(frozen=True)
class Input:
    """What a network's images are made of (``core/feature_extractor.py``), RGB, in 0 to 255.

    Attributes:
        mean: subtracted from each pixel.
        std: what the result is divided by.
        pad: the pixel that crops are padded with, before it is normalised.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad: tuple[float, ...]


GREY = (127.5,) * 3
UNIT_RANGE = Input(mean=GREY, std=GREY, pad=GREY)
"""``_preprocess_zero_mean_unit_range``: from -1 to 1."""


@dataclass(frozen=True)
class BatchNorm:
    """TensorFlow's constants of a batch norm: decay of its moving statistics, and epsilon."""

    decay: float
    eps: float


@dataclass(frozen=True)
class Tap:
    """A feature that DeepLab's decoder can take (``networks_to_feature_maps``).

    Attributes:
        stride: of the feature map, at most the output stride.
        channels: of the feature map.
        block: number of the block, from 0.
        unit: number of the unit in it, from 0.
        end_point: TensorFlow's name of it.
    """

    stride: int
    channels: int
    block: int
    unit: int
    end_point: str


@dataclass(frozen=True)
class StemConv:
    """A convolution before the first block: TensorFlow's name, kernel, output channels, stride."""

    name: str
    kernel: int
    channels: int
    stride: int


def stem_rules(stem: Sequence[StemConv], tf_scope: str, torch_name: str) -> Iterator[Rule]:
    """Rules of a stem's convolutions, with batch norm, one behind the other."""
    channels = 3
    for number, conv in enumerate(stem):
        shape = (conv.kernel, conv.kernel, channels, conv.channels)
        yield from conv_module_rules(
            f"{tf_scope}/{conv.name}", f"{torch_name}.{number}", shape=shape
        )
        channels = conv.channels


@dataclass(frozen=True)
class BackboneSpec:
    """One official backbone. The fields of a family are the config keys that decide its weights.

    Attributes:
        module: name of our class.
        variant: TensorFlow's ``model_variant``, with places for the fields.
        scope_format: the scope of its variables, likewise.
        title: its name in messages, likewise.
        classifier: what the names of its ImageNet classifier's variables start with, after the
            scope; segmentation has none.
        batch_norm: constants of all its batch norms.
        weight_decay: what it was trained with (``train.py``).
        entry_stride: stride of the feature map that enters the first block.
        output_strides: the allowed ones.
        default_output_stride: the one of a config that states none.
    """

    prefix: ClassVar[str] = "backbone."
    key: ClassVar[str] = "backbone"

    module: ClassVar[str]
    variant: ClassVar[str]
    scope_format: ClassVar[str]
    title: ClassVar[str]
    classifier: ClassVar[tuple[str, ...]]
    batch_norm: ClassVar[BatchNorm]
    weight_decay: ClassVar[float]
    entry_stride: ClassVar[int]
    output_strides: ClassVar[tuple[int, ...]]
    default_output_stride: ClassVar[int] = 16

    def __str__(self) -> str:
        return self.title.format(**asdict(self))

    @property
    def model_variant(self) -> str:
        """TensorFlow's name of the network."""
        return self.variant.format(**asdict(self))

    @property
    def scope(self) -> str:
        """TensorFlow's scope of its variables."""
        return self.scope_format.format(**asdict(self))

    @property
    def input(self) -> Input:
        """Normalisation and padding of its images."""
        return UNIT_RANGE

    @property
    def multi_grid_length(self) -> int:
        """How many multipliers of the dilation it takes; 0 where it has no ``multi_grid``."""
        return 0

    @property
    def multi_grid(self) -> tuple[int, ...] | None:
        """The ``multi_grid`` that the published weights were trained with, if any."""
        return None

    @property
    def blocks(self) -> tuple[tuple[Any, ...], ...]:
        """The units of every block; each has at least a nominal ``stride``."""
        raise NotImplementedError

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The outputs before the final one, from fine to coarse."""
        raise NotImplementedError

    @property
    def channels(self) -> int:
        """Channels of the final feature map."""
        return self.blocks[-1][-1].channels

    @classmethod
    def published(cls) -> tuple[BackboneSpec, ...]:
        """The sizes that Google's code or model zoo has."""
        raise NotImplementedError

    @classmethod
    def found_in(cls, shapes: Shapes) -> BackboneSpec | None:
        """The network of this family that the trained variables are; None if they are none."""
        raise NotImplementedError

    def rules(self, prefix: str = prefix) -> Iterator[Rule]:
        """All its variables; the tensors' names start with ``prefix``."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """The config keys that its weights decide."""
        return asdict(self)

    def config(self) -> dict[str, Any]:
        """The part of a config that its weights decide."""
        return {"type": f"{SCOPE}.{self.module}", **self.options()}

    def is_classifier(self, tf_name: str) -> bool:
        """Whether a variable belongs to its ImageNet classifier."""
        return tf_name.startswith(tuple(f"{self.scope}/{part}" for part in self.classifier))

    def tap_indices(self, channels: Sequence[int]) -> tuple[int, ...]:
        """Which outputs a decoder takes whose stages, from coarse to fine, tap these channels.

        Variables tell channels only. Where several taps have them, it is the finest.
        """
        found: list[int] = []
        for wanted in reversed(channels):
            start = found[-1] + 1 if found else 0
            alike = (i for i, t in enumerate(self.taps) if i >= start and t.channels == wanted)
            found += [next(alike, len(self.taps))]
        if any(index >= len(self.taps) for index in found):
            those = f"those that it can tap have {[tap.channels for tap in self.taps]}"
            raise CheckpointMismatchError(
                f"the decoder taps features of {list(channels)} channels of {self}, but "
                f"{those if self.taps else 'that has none to tap, in TensorFlow neither'}"
            )
        return tuple(reversed(found))
