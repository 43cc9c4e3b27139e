"""A higher learning rate for the layers that start from random weights."""

from __future__ import annotations

from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmseg_deeplab_ext.config_values import is_number
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec
from mmseg_deeplab_ext.specs.head_parts import Logits

HEAD_PREFIX = HeadSpec.prefix
LOGITS = f"{Logits.module}."


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LastLayerOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's default constructor with TensorFlow DeepLab's multiplier of the last layers.

    Two more keys of ``paramwise_cfg``, beside all those of MMEngine's:

    - ``last_layer_gradient_multiplier``: factor on the learning rate of the decode head, on top of
      what the other keys make of it: with ``bias_lr_mult=2`` and a multiplier of 10 the bias of the
      logits trains at 20 times the rate.
    - ``last_layers_contain_logits_only``: True takes the logits (``conv_seg``) alone, or the
      decoder where its output is the logits; False is the default.

    MMEngine's ``custom_keys`` can't say this: a parameter that one of them matches is left out of
    all other rules, which take weight decay from norms and depthwise kernels.

    TensorFlow multiplies the gradient, weight decay included (``get_model_gradient_multipliers`` in
    ``deeplab/utils/train_utils.py``). For SGD with momentum that is the same as multiplying the
    rate, as neither clips nor scales gradients; with ``clip_grad``, or an optimizer like Adam, it
    would not be.

    Raises:
        ConfigError: on other values, or if the model has no such layer.
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        multiplier = self.paramwise_cfg.get("last_layer_gradient_multiplier", 1.0)
        logits_only = self.paramwise_cfg.get("last_layers_contain_logits_only", False)
        if not is_number(multiplier, above=0):
            raise ConfigError(
                f"last_layer_gradient_multiplier={multiplier!r} must be a number above 0, for "
                "example 10"
            )
        if not isinstance(logits_only, bool):
            raise ConfigError(
                f"last_layers_contain_logits_only={logits_only!r} must be True or False"
            )
        self.multiplier = float(multiplier)
        self.logits_only = logits_only

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = "", **kwargs: Any
    ) -> None:
        """Add a parameter group for each parameter; see the base class, which calls itself here."""
        super().add_params(params, module, prefix, **kwargs)
        if prefix:
            return
        names = {id(parameter): name for name, parameter in module.named_parameters()}
        spec = getattr(getattr(module, HeadSpec.key, None), "spec", None)
        last = [group for group in params if self._is_last(names[id(group["params"][0])], spec)]
        if not last:
            wanted = f"{HEAD_PREFIX}*.{LOGITS}*" if self.logits_only else f"{HEAD_PREFIX}*"
            raise ConfigError(
                f"last_layer_gradient_multiplier: the model has no trained parameter {wanted}; "
                "leave the key out, or use MMEngine's custom_keys"
            )
        for group in last:
            group["lr"] = group.get("lr", self.base_lr) * self.multiplier
        # The base class has logged its own rates before.
        print_log(
            f"last_layer_gradient_multiplier={self.multiplier:g}: {len(last)} parameters of "
            f"{HEAD_PREFIX.rstrip('.')} train at {self.multiplier:g} times the rates above",
            logger="current",
        )

    def _is_last(self, name: str, spec: Any) -> bool:
        if not name.startswith(HEAD_PREFIX) or not self.logits_only:
            return name.startswith(HEAD_PREFIX)
        if isinstance(spec, HeadSpec):
            return spec.owns_last_layer(name[len(HEAD_PREFIX) :])
        return f".{LOGITS}" in name
