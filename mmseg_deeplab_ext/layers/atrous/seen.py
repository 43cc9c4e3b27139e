"""What was seen in a run of a network, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmseg_deeplab_ext.layers.atrous.frames import Frame


@dataclass(frozen=True)
class Grid:
    """The positions that a tensor has.

    Attributes:
        stride: pixels between two of them.
        size: their numbers, vertical and horizontal.
        dim: the dimension of the tensor that counts them vertically, the next one counts them
            horizontally; None where they are in no such order.
    """

    stride: int
    size: tuple[int, int]
    dim: int | None


@dataclass(frozen=True)
class Window:
    """An operation that looks at several positions, or leaves some out.

    Attributes:
        frame: the call that does it.
        kernel: positions, vertical and horizontal.
        step: by how much the stride grows.
        stride: nominal stride before it.
    """

    frame: Frame
    kernel: tuple[int, int]
    step: int
    stride: int


@dataclass(frozen=True)
class Obstacle:
    """An operation that would compute something else on a denser map, beyond what can be mended.

    Attributes:
        name: of the module that does it.
        what: it is, for a message.
        stride: the largest nominal stride at it.
    """

    name: str
    what: str
    stride: int


@dataclass(frozen=True)
class GlobalPool:
    """An operation over all positions: its result changes with their density.

    Attributes:
        name: of the module that does it.
        operation: ATen's name of it.
        stride: nominal stride of the map.
        dim: as in :class:`Grid`.
        ended: how many calls with a map had ended before.
    """

    name: str
    operation: str
    stride: int
    dim: int | None
    ended: int


@dataclass(frozen=True)
class Call:
    """A call of a module that returned a map.

    Attributes:
        name: of the module.
        turn: number of the module's calls that had ended before.
        parents: the calls around it: name and nominal stride of what entered them.
        stride: nominal stride of the map.
        size: height and width of the map.
        channels: of the map.
    """

    name: str
    turn: int
    parents: tuple[tuple[str, int], ...]
    stride: int
    size: tuple[int, int]
    channels: int


@dataclass
class Trace:
    """What was seen in a run.

    Attributes:
        image_size: height and width of the image.
        windows: in the order of the run, as all others.
        obstacles: of all strides.
        pools: global ones, of all strides.
        calls: that returned a map, in the order in which they ended.
        started: name of each module that ran -> how many calls with a map had ended before.
        used: name of each parameter that was used -> the same.
    """

    image_size: tuple[int, int]
    windows: list[Window] = field(default_factory=list)
    obstacles: list[Obstacle] = field(default_factory=list)
    pools: list[GlobalPool] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    started: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)

    @property
    def strides(self) -> list[int]:
        """All nominal strides of maps, ascending."""
        return sorted({call.stride for call in self.calls})
