"""What a network does to the grid of positions: followed through a run on an example.

Every tensor that has a place for each position of an image has a *nominal stride*: how many pixels
lie between its positions. It is followed from operation to operation, below all Python code, so
control flow, functions and shortcuts need no special care.
"""

from __future__ import annotations

from typing import Any, Sequence

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from mmseg_deeplab_ext.config_values import whole_numbers
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.atrous.frames import (
    Frame,
    Frames,
    example_for,
    running,
    tensors_in,
)
from mmseg_deeplab_ext.layers.atrous.seen import Call, GlobalPool, Grid, Obstacle, Trace, Window

EXAMPLE_SIZES = ((129, 193), (128, 192), (224, 224))
"""Tried in turn: the first fits most networks, and no map is as long as high or as another one."""


def trace(model: nn.Module, image_size: tuple[int, int] | None = None) -> Trace:
    """Run a network on a black image and note what happens to the grid.

    Args:
        model: any network that takes images [N, 3, H, W].
        image_size: height and width; usual ones are tried if None.

    Raises:
        ConfigError: it can't be run on an image of this size.
    """
    sizes: Sequence[tuple[int, int]] = EXAMPLE_SIZES
    if image_size is not None:
        sizes = [whole_numbers("image_size", image_size, minimum=1, count=2)]
    first: ConfigError | None = None
    for size in sizes:
        try:
            return _trace(model, size)
        except ConfigError as error:
            first = first or error
    raise first


def _trace(model: nn.Module, image_size: tuple[int, int]) -> Trace:
    seen, frames = Trace(image_size), _Calls()
    follower = _Follower(seen, frames, {id(each): name for name, each in model.named_parameters()})
    frames.follower = follower
    image = example_for(model, image_size)
    follower.grids[image] = Grid(1, image_size, 2)
    advice = "If it takes other sizes, give one as image_size"
    with running(model, frames, image_size, advice=advice), follower:
        model(image)
    return seen


class _Calls(Frames):
    """Notes the calls that return a map."""

    follower: _Follower

    def _enter(self, name: str) -> Any:
        enter, seen = super()._enter(name), self.follower.seen

        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            enter(module, args, kwargs)
            seen.started.setdefault(name, len(seen.calls))

        return hook

    def left(self, frame: Frame, turn: int, output: Any) -> None:
        first = next(tensors_in(output), None)
        grid = self.follower.grids.get(first) if first is not None else None
        if grid is not None and grid.dim == 2 and first.dim() == 4 and frame.name:
            parents = tuple((each.name, self._entered(each)) for each in self.stack)
            call = Call(frame.name, turn, parents, grid.stride, grid.size, first.shape[1])
            self.follower.seen.calls.append(call)

    def _entered(self, frame: Frame) -> int:
        grids = map(self.follower.grids.get, frame.inputs)
        return max((grid.stride for grid in grids if grid), default=0)


_POOLS = ("max_pool2d", "avg_pool2d")
_PADS = ("constant_pad_nd", "reflection_pad2d", "replication_pad2d")
_ATTENTION = ("bmm", "baddbmm", "_scaled_dot_product")
_REARRANGED = (
    *("view", "_unsafe_view", "_reshape_alias", "reshape", "permute", "transpose", "t", "expand"),
    *("clone", "unsqueeze", "squeeze", "alias", "detach", "_to_copy", "roll"),
)


class _Follower(TorchDispatchMode):
    """Gives what each operation returns its grid."""

    def __init__(self, seen: Trace, frames: Frames, parameters: dict[int, str]) -> None:
        super().__init__()
        self.seen, self.frames, self.parameters = seen, frames, parameters
        self.grids: Any = WeakTensorKeyDictionary()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        maps = []
        for tensor in tensors_in(args):
            if tensor in self.grids:
                maps.append(tensor)
            elif id(tensor) in self.parameters:
                self.seen.used.setdefault(self.parameters[id(tensor)], len(self.seen.calls))
        if maps:
            self._follow(func, args, maps, out)
        return out

    def _follow(self, func: Any, args: Sequence[Any], maps: list[Tensor], out: Any) -> None:
        space, _, operation = func._schema.name.partition("::")
        if operation not in _REARRANGED:
            self._find_coarser(maps)
        grid = max((self.grids[each] for each in maps), key=lambda each: each.stride)
        if operation.startswith(_ATTENTION):
            self._obstacle("is an attention over positions", grid.stride)
        elif len({self.grids[each].stride for each in maps}) > 1:
            self._obstacle("joins maps of different strides", grid.stride)
        elif space != "aten":
            self._obstacle(f"uses the operator {func._schema.name}", grid.stride)
        elif operation == "roll" and grid.dim is not None:
            self._roll(args, grid)
        if operation == "convolution":
            self._convolution(args, grid, out)
        elif operation.startswith(_POOLS):
            self._pool(operation, args, grid, out)
        elif operation == "slice" and self._slices_positions(args, grid):
            self._slice(args, grid, out)
        else:
            self._other(operation, grid, out)
        # In evaluation mode, True is a norm by the map's own statistics (instance norm).
        own_statistics = "batch_norm" in operation and any(each is True for each in args)
        if operation == "native_group_norm" or own_statistics:
            self._global_pool(operation, grid)

    def _find_coarser(self, maps: list[Tensor]) -> None:
        """Several positions may have become channels of one, by views alone."""
        for each in maps:
            grid = self.grids[each]
            if grid.dim is None and each.dim() == 4 and each.shape[0] == 1:
                for dim in (1, 2):
                    size = tuple(each.shape[dim : dim + 2])
                    step = grid.size[0] // size[0]
                    if min(size) > 1 < step and grid.size == (size[0] * step, size[1] * step):
                        self.grids[each] = Grid(grid.stride * step, size, dim)
                        self._obstacle("makes channels of positions", grid.stride * step)
                        break

    def _convolution(self, args: Sequence[Any], grid: Grid, out: Tensor) -> None:
        if args[0] not in self.grids:
            return self._other("convolution", grid, out)
        kernel, steps, transposed = tuple(args[1].shape[2:]), set(args[3]), args[6]
        if transposed or grid.dim != 2 or len(kernel) != 2 or len(steps) != 1:
            if set(kernel) != {1} or steps != {1}:
                kind = "transposed " * transposed + f"{len(kernel)}-d convolution"
                self._obstacle(f"is a {kind} with strides {list(args[3])}", grid.stride)
            return self._other("convolution", grid, out)
        self._window(kernel, steps.pop(), grid, out)

    def _pool(self, operation: str, args: Sequence[Any], grid: Grid, out: Any) -> None:
        first = next(tensors_in(out))
        if grid.dim is None or (tuple(first.shape[-2:]) == (1, 1) and grid.size != (1, 1)):
            return self._other(operation, grid, out)
        kernel = tuple(args[1]) * (2 // len(args[1]))
        steps = set(args[2]) if len(args) > 2 and args[2] else set(kernel)
        if len(steps) != 1:
            self._obstacle(f"is a pool with strides {sorted(steps)}", grid.stride)
            return self._other(operation, grid, out)
        self._window(kernel, steps.pop(), grid, first)

    def _window(self, kernel: tuple[int, ...], step: int, grid: Grid, out: Tensor) -> None:
        if max(kernel) > 1 or step > 1:
            window = Window(self.frames.top, (kernel[0], kernel[1]), step, grid.stride)
            self.seen.windows.append(window)
        self.grids[out] = Grid(grid.stride * step, tuple(out.shape[-2:]), 2)

    def _roll(self, args: Sequence[Any], grid: Grid) -> None:
        dims = {dim % args[0].dim() for dim in (args[2] if len(args) > 2 else ())}
        if not dims or dims & {grid.dim, grid.dim + 1}:
            self._obstacle("shifts positions", grid.stride)

    def _slices_positions(self, args: Sequence[Any], grid: Grid) -> bool:
        if grid.dim is None or len(args) < 2:
            return False
        return args[1] % args[0].dim() in (grid.dim, grid.dim + 1)

    def _slice(self, args: Sequence[Any], grid: Grid, out: Tensor) -> None:
        """``x[..., ::n, ::n]`` slices one dimension, then the other, which counts here."""
        start, step = (args[2] if len(args) > 2 else 0) or 0, args[4] if len(args) > 4 else 1
        size = tuple(out.shape[grid.dim : grid.dim + 2])
        if start or (step == 1 and size != grid.size):
            self._obstacle("cuts positions off", grid.stride)
        last = args[1] % args[0].dim() != grid.dim
        if last and step > 1:
            self.seen.windows.append(Window(self.frames.top, (1, 1), step, grid.stride))
        self.grids[out] = Grid(grid.stride * (step if last else 1), size, grid.dim)

    def _other(self, operation: str, grid: Grid, out: Any) -> None:
        """Any other operation: the shapes of what it returns tell."""
        for number, tensor in enumerate(tensors_in(out)):
            found = _same_positions(grid, tensor)
            if found is None and operation in _REARRANGED:
                found = Grid(grid.stride, grid.size, None)
            if found is None and number == 0:
                found = self._changed(operation, grid, tensor)
            if found is not None:
                self.grids[tensor] = found

    def _changed(self, operation: str, grid: Grid, out: Tensor) -> Grid | None:
        """The grid of what has other positions than what entered; None where it has none."""
        size = tuple(out.shape[grid.dim : grid.dim + 2]) if grid.dim is not None else ()
        if "adaptive" in operation or len(size) < 2 or 1 in size:
            self._global_pool(operation, grid)
            return None
        if operation in _PADS:
            # A convolution that pads by itself does so by its stride and dilation.
            if not isinstance(self.frames.top.module, nn.Conv2d):
                self._obstacle("pads a map", grid.stride)
            return Grid(grid.stride, size, grid.dim)
        ratio = grid.size[0] / size[0]
        stride = round(grid.stride * ratio) if ratio < 1 else grid.stride * round(ratio)
        self._obstacle(f"resizes maps ({operation})", max(stride, grid.stride))
        return Grid(max(stride, 1), size, grid.dim)

    def _global_pool(self, operation: str, grid: Grid) -> None:
        pool = GlobalPool(
            self.frames.top.name, operation, grid.stride, grid.dim, len(self.seen.calls)
        )
        self.seen.pools.append(pool)

    def _obstacle(self, what: str, stride: int) -> None:
        self.seen.obstacles.append(Obstacle(self.frames.top.name, what, stride))


def _same_positions(grid: Grid, tensor: Tensor) -> Grid | None:
    """The grid of a tensor with the same positions, in order or not; None where they are gone."""
    shape = tuple(tensor.shape)
    for dim in range(len(shape) - 1):
        if shape[dim : dim + 2] == grid.size:
            return Grid(grid.stride, grid.size, dim)
    flat = grid.size[0] * grid.size[1]
    return Grid(grid.stride, grid.size, None) if flat in shape else None
