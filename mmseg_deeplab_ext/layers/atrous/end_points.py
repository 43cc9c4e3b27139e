"""The maps of a network that a head takes: the last one of each stride."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.atrous.seen import Call, Trace


@dataclass(frozen=True)
class EndPoint:
    """A module whose output is a network's last map of a stride.

    Attributes:
        name: of the module.
        turn: number of the module's calls before the one that is meant.
        stride: nominal stride of the map.
        channels: of the map.
        ended: how many calls with a map ended no later.
    """

    name: str
    turn: int
    stride: int
    channels: int
    ended: int

    @classmethod
    def of(cls, call: Call, ended: int) -> EndPoint:
        """The end point that a call gives."""
        return cls(call.name, call.turn, call.stride, call.channels, ended)


def find_end_points(seen: Trace, chosen: Mapping[int, str] | None = None) -> dict[int, EndPoint]:
    """Find the last map of every stride from 2 on.

    The last map at a stride is the output of the last module that ran there, other than those
    inside of the module that goes on to the next stride.

    Args:
        seen: a run of the network.
        chosen: nominal stride -> name of the module to take instead.

    Returns:
        Nominal stride -> end point, ascending.

    Raises:
        ConfigError: a chosen module does not return a map of that stride.
    """
    found = {}
    for number, call in enumerate(seen.calls, start=1):
        if call.stride > 1 and not _is_inside_a_step(call, seen):
            found[call.stride] = EndPoint.of(call, number)
    for stride, name in (chosen or {}).items():
        found[stride] = _chosen(seen, stride, name)
    return dict(sorted(found.items()))


def _is_inside_a_step(call: Call, seen: Trace) -> bool:
    """Whether one of the calls around it takes a map of its stride to the next stride."""
    following = next((stride for stride in seen.strides if stride > call.stride), None)
    steps = {each.name for each in seen.calls if each.stride == following}
    return any(name in steps and entered == call.stride for name, entered in call.parents)


def _chosen(seen: Trace, stride: int, name: str) -> EndPoint:
    for number, call in enumerate(seen.calls, start=1):
        if (call.name, call.stride) == (name, stride):
            return EndPoint.of(call, number)
    known = [each.name for each in seen.calls if each.stride == stride]
    raise ConfigError(
        f"end_points: {name!r} is no module whose output has stride {stride}; these are: "
        f"{', '.join(known) or 'none'}"
    )
