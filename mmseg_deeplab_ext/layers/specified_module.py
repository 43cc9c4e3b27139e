"""Modules whose weights are those of an official network."""

from __future__ import annotations

from typing import Any, Callable

from torch import Tensor

from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.specs.backbone import BackboneSpec
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec

BEFORE_LOADING = "before_loading"
"""Key of a module's metadata in a state dict (PyTorch's ``_metadata``): a function of the module,
the state dict and the prefix, called before the module takes anything. Whoever made the state dict
finds out there whether it fits."""


class SpecifiedModule:
    """Mixin of backbones and heads with a spec, before their base class in the list.

    Such a module also takes its part of a whole segmentor's weights: what is below ``backbone.`` or
    ``decode_head.``, whether ``init_cfg`` says so with ``prefix`` or not.

    Attributes:
        spec: what it is in TensorFlow's terms.
    """

    spec: BackboneSpec | HeadSpec
    state_dict: Callable[[], dict[str, Tensor]]

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, local_metadata: dict, *args: Any
    ) -> None:
        """PyTorch's place for a module to change what it is about to load.

        Raises:
            CheckpointMismatchError: the state dict is for this module alone and has none of its
                names.
        """
        _keep_part(state_dict, prefix, self.spec.prefix)
        if not prefix:
            self._complete_own(state_dict)
        if BEFORE_LOADING in local_metadata:
            local_metadata[BEFORE_LOADING](self, state_dict, prefix)
        elif not prefix and state_dict and state_dict.keys().isdisjoint(self.state_dict()):
            raise CheckpointMismatchError(
                f"none of the {len(state_dict)} weights ({next(iter(state_dict))}, ...) is one of "
                f"{self.spec}. In model.{self.spec.key}.init_cfg, `prefix` must be "
                f"'{self.spec.prefix}' or left out"
            )
        super()._load_from_state_dict(  # type: ignore[misc]
            state_dict, prefix, local_metadata, *args
        )

    def _complete_own(self, state_dict: dict[str, Tensor]) -> None:
        """Add, in place, what weights for this module alone lack and a subclass can tell."""


def prepared_init_cfg(init_cfg: Any, part: str) -> Any:
    """Make sure that the addresses in an ``init_cfg`` are known, and leave the part's prefix out.

    :class:`SpecifiedModule` cuts the prefix. MMEngine would do so too, but drop what PyTorch calls
    the metadata of the weights.
    """
    MODELS.import_from_location()  # brings tf:// and tf-zoo://
    if isinstance(init_cfg, (list, tuple)):
        return [prepared_init_cfg(each, part) for each in init_cfg]
    if isinstance(init_cfg, dict) and f"{init_cfg.get('prefix')}".rstrip(".") + "." == part:
        return {key: value for key, value in init_cfg.items() if key != "prefix"}
    return init_cfg


def _keep_part(state_dict: dict[str, Tensor], prefix: str, part: str) -> None:
    """Where there are names of this part of a segmentor, cut them and drop all others, in place."""
    start = prefix + part
    if not any(name.startswith(start) for name in state_dict):
        return
    for name in list(state_dict):
        value = state_dict.pop(name)
        if name.startswith(start):
            state_dict[prefix + name[len(start) :]] = value
