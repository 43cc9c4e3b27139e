"""Any convolutional classifier as a dense backbone."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence

from mmengine.logging import print_log
from mmengine.model import BaseModule, initialize
from torch import Tensor, nn

from mmseg_deeplab_ext.backbones.classifiers import build_network
from mmseg_deeplab_ext.config_values import check_choice, whole_numbers
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.atrous import plan_output_stride, to_output_stride, trace
from mmseg_deeplab_ext.layers.atrous.end_points import EndPoint, find_end_points
from mmseg_deeplab_ext.layers.atrous.frames import tensors_in
from mmseg_deeplab_ext.layers.atrous.seen import Trace
from mmseg_deeplab_ext.layers.batch_norm import keep_statistics
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.wording import listed


@MODELS.register_module()
class AtrousBackbone(BaseModule):
    """A classification network whose strides beyond ``output_stride`` became dilations.

    Its weights and receptive fields are the network's own; ``docs/atrous.md`` has the principle,
    and the command that proves it.

    The outputs are the network's last maps of some nominal strides, by default 4, 8, 16 and its
    largest. Which modules they come from is found by running the network once, and logged, with
    their channels; ``end_points`` has them. A map of a nominal stride beyond ``output_stride`` has
    that one. What comes after the last map that is returned keeps no weights.

    Args:
        network: 'timm/NAME', 'torchvision/NAME', the dotted path of a function or class that
            returns a network, or the config of a backbone, ``dict(type=...)``.
        arguments: of the name's constructor (``pretrained=True``), not for a config.
        output_stride: ratio of image size to final feature size.
        out_strides: nominal strides of the maps to return, ascending. None is those of 4, 8, 16
            and the largest that the network has.
        end_points: nominal stride -> name of the module whose output is returned for it, where
            another one is wanted.
        frozen_stages: freeze all that leads to the network's last map of its first stride (0, for
            most networks 2), its second one (1, stride 4), and so on; -1 freezes nothing.
        norm_eval: keep all batch norms in evaluation mode (moving statistics fixed).
        with_cp: recompute units in the backward pass to save memory, with the network's own means:
            the blocks of MMSegmentation, but those with an end point inside; timm's
            ``set_grad_checkpointing``.
        image_size: height and width of an image that the network can be run on.
        init_cfg: initialisation of the network, under its own names, such as ``dict(type=
            "Pretrained", checkpoint=...)``. None leaves it as its constructor, or its config's
            ``init_cfg``, wants it.

    Raises:
        ConfigError: on an argument outside these values, or a network that can't be made dense.
    """

    def __init__(
        self,
        network: dict | str,
        *,
        arguments: Mapping[str, Any] | None = None,
        output_stride: int = 16,
        out_strides: Sequence[int] | None = None,
        end_points: Mapping[int, str] | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        image_size: tuple[int, int] | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.initialises_itself = not isinstance(network, Mapping)
        # Batch norms of timm may hold an activation, and any network's may stand where they like.
        self.children_in_any_order = self.initialises_itself
        nominal = build_network(network, arguments)
        if with_cp:
            _recompute(nominal)  # first: it may run other modules then, as timm does
        seen = trace(nominal, image_size)
        found = find_end_points(seen, end_points)
        self.output_stride, self.norm_eval = output_stride, norm_eval
        self.end_points = _chosen(found, out_strides)
        last = max(point.ended for point in self.end_points)
        self.frozen_stages = frozen_stages
        last_frozen = min(last, _last_frozen(found, frozen_stages))
        self._frozen = _all_before(seen, last_frozen)
        self._frozen_weights = {name for name, before in seen.used.items() if before < last_frozen}
        self.network = to_output_stride(nominal, output_stride, image_size=image_size)
        _keep_tapped_units(self.network, self.end_points)
        _drop_the_rest(self.network, seen, last)
        self._maps: dict[str, list[Any]] | None = None
        self._watch()
        self._log(network, seen)
        self._freeze()

    @property
    def channels(self) -> list[int]:
        """Channels of the maps."""
        return [point.channels for point in self.end_points]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract the features.

        Args:
            x: images [N, 3, H, W], normalised as the network wants them.

        Returns:
            The maps of ``out_strides``, each [N, C, ~H / stride, ~W / stride].
        """
        self._maps = {point.name: [] for point in self.end_points}
        try:
            self.network(x)
            return tuple(self._maps[point.name][point.turn] for point in self.end_points)
        finally:
            self._maps = None

    def keep(self, name: str, output: Any) -> None:
        """Take what a module returned, while :meth:`forward` runs."""
        if self._maps is not None:
            self._maps[name].append(next(tensors_in(output), None))

    def init_weights(self) -> None:
        """Initialise the network as ``init_cfg`` says, or else as it does itself."""
        if self.init_cfg:
            initialize(self.network, self.init_cfg)
        elif not self.initialises_itself and hasattr(self.network, "init_weights"):
            self.network.init_weights()

    def train(self, mode: bool = True) -> AtrousBackbone:
        """Switch the mode; frozen modules, with ``norm_eval`` all batch norms, stay in eval."""
        super().train(mode)
        self._watch()
        self._freeze()
        if mode and self.norm_eval:
            keep_statistics(self)
        return self

    def _watch(self) -> None:
        """Let the end points hand over their maps, those too that were replaced (SyncBN) since."""
        for name in {point.name for point in self.end_points}:
            module = self.network.get_submodule(name)
            if not any(isinstance(hook, _Keep) for hook in module._forward_hooks.values()):
                module.register_forward_hook(_Keep(self, name))

    def _freeze(self) -> None:
        for name in self._frozen:
            self.network.get_submodule(name).eval()
        for name, parameter in self.network.named_parameters():
            if name in self._frozen_weights:
                parameter.requires_grad_(False)

    def _log(self, network: Any, seen: Trace) -> None:
        name = network if isinstance(network, str) else network.get("type")
        maps = (f"{p.channels} channels at {p.stride} ({p.name})" for p in self.end_points)
        text = f"AtrousBackbone on {name}: {', '.join(maps)}"
        pools = plan_output_stride(seen, self.output_stride).pools
        kept = [pool.name for pool in pools if pool.ended < self.end_points[-1].ended]
        if kept:
            text += f"; means that change a little with the denser maps: {listed(kept)}"
        print_log(text, logger="current")


class _Keep:
    """A forward hook, as an object, so that a copied backbone's maps go to the copy."""

    def __init__(self, backbone: AtrousBackbone, name: str) -> None:
        self.backbone, self.name = backbone, name

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        self.backbone.keep(self.name, output)


def _chosen(found: Mapping[int, EndPoint], out_strides: Any) -> list[EndPoint]:
    if out_strides is None:
        usual = {4, 8, 16, max(found)}
        return [point for stride, point in found.items() if stride in usual]
    strides = whole_numbers("out_strides", out_strides, minimum=1)
    if list(strides) != sorted(set(strides) & set(found)):
        raise ConfigError(
            f"out_strides={strides} must be ascending, different ones of the network's strides: "
            f"{', '.join(map(str, found))}"
        )
    return [found[stride] for stride in strides]


def _last_frozen(found: Mapping[int, EndPoint], frozen_stages: Any) -> int:
    """How many calls have ended when the last frozen map is there."""
    strides = sorted(found)
    check_choice("frozen_stages", frozen_stages, tuple(range(-1, len(strides))))
    return found[strides[frozen_stages]].ended if frozen_stages >= 0 else 0


def _all_before(seen: Trace, ended: int) -> list[str]:
    """The modules that started, with all their parts, before so many calls had ended."""
    later = {name for name, before in seen.started.items() if before >= ended}
    later |= {name[:end] for name in later for end, sign in enumerate(name) if sign == "."}
    return [name for name in seen.started if name and name not in later] if ended else []


def _drop_the_rest(network: nn.Module, seen: Trace, ended: int) -> None:
    """Put nothing in the place of the modules with weights that are used later, or never."""
    # By identity: weights that several modules share are seen under the first one's name.
    weights = dict(network.named_parameters())
    kept = {id(weights[name]) for name, before in seen.used.items() if before < ended}
    gone: tuple[str, ...] = ()
    for name, module in list(network.named_modules()):
        own = {id(each) for each in module.parameters()}
        if name and own and not own & kept and not name.startswith(gone):
            parent, _, leaf = name.rpartition(".")
            setattr(network.get_submodule(parent), leaf, nn.Identity())
            gone += (f"{name}.",)


def _recompute(network: nn.Module) -> None:
    """Let a network recompute its units in the backward pass."""
    enable: Callable[[], None] | None = getattr(network, "set_grad_checkpointing", None)
    units = [module for module in network.modules() if hasattr(module, "with_cp")]
    if enable is None and not units:
        raise ConfigError(
            f"with_cp: {type(network).__name__} has no means of recomputing its units: leave it out"
        )
    if enable is not None:
        enable()
    for module in units:
        module.with_cp = True


def _keep_tapped_units(network: nn.Module, end_points: Sequence[EndPoint]) -> None:
    """Recompute no unit with an end point inside: that one's map would have no gradient."""
    for name, unit in network.named_modules():
        if hasattr(unit, "with_cp") and any(p.name.startswith(f"{name}.") for p in end_points):
            unit.with_cp = False
