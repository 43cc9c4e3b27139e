"""Which module of a network is running."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator

import torch
from torch import Tensor, nn

from mmseg_deeplab_ext.errors import ConfigError


@dataclass
class Frame:
    """A call of a module.

    Attributes:
        name: of the module; empty for the network itself.
        module: the module.
        inputs: its tensors.
    """

    name: str
    module: nn.Module
    inputs: list[Tensor] = field(default_factory=list)


class Frames:
    """The calls that are running now, outermost first; after a failure, those that failed."""

    def __init__(self) -> None:
        self.stack: list[Frame] = []
        self._turns: Counter = Counter()

    @property
    def top(self) -> Frame:
        """The innermost call."""
        return self.stack[-1]

    @contextmanager
    def of(self, model: nn.Module) -> Iterator[Frames]:
        """Watch a network."""
        handles = []
        try:
            for name, module in model.named_modules():
                entered = module.register_forward_pre_hook(self._enter(name), with_kwargs=True)
                handles += [entered, module.register_forward_hook(self._leave)]
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            self.stack.append(Frame(name, module, list(tensors_in((args, kwargs)))))

        return hook

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        frame = self.stack.pop()
        self.left(frame, self._turns[frame.name], output)
        self._turns[frame.name] += 1

    def left(self, frame: Frame, turn: int, output: Any) -> None:
        """Called after each call, with the number of earlier ones; for subclasses."""


class Outputs(Frames):
    """Hands the maps that modules return to a function, with the module's name and turn."""

    def __init__(self, take: Callable[[tuple[str, int], Tensor], None]) -> None:
        super().__init__()
        self.take = take

    def left(self, frame: Frame, turn: int, output: Any) -> None:
        """Only the first map counts."""
        first = next(tensors_in(output), None)
        if first is not None and first.dim() == 4:
            self.take((frame.name, turn), first)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, dict):
        yield from tensors_in(tuple(value.values()))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a network without gradients and in evaluation mode; every module's mode comes back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def running(
    model: nn.Module, frames: Frames, image_size: tuple[int, ...], *, advice: str
) -> Iterator[None]:
    """Watch a run on an image; where it fails, the error names the module and ends in advice.

    Raises:
        ConfigError: the network failed.
    """
    with evaluating(model), frames.of(model):
        try:
            yield
        except Exception as error:
            name = frames.top.name if frames.stack else ""
            said = " ".join(str(error).split())[:300]
            raise ConfigError(
                f"{name or 'the network'} fails on an image of {image_size[0]}x{image_size[1]}: "
                f"{type(error).__name__}: {said}. {advice}"
            ) from error


def example_for(model: nn.Module, image_size: tuple[int, int]) -> Tensor:
    """A black image [1, 3, H, W] where the network's weights are, of their type."""
    weight = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    return torch.zeros(1, 3, *image_size, dtype=weight.dtype, device=weight.device)
