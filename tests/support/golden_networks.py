"""Build our network for a golden file's options and name its outputs as TensorFlow does."""

import contextlib
import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from mmseg_deeplab_ext.decode_heads import DeepLabV3PlusHead
from mmseg_deeplab_ext.specs.network import rules_of_model
from mmseg_deeplab_ext.specs.rule import Rule
from tests.support import golden_families, golden_heads
from tests.support.deterministic import value

TAP_INDEX = {4: 0, 8: 1, 16: 2}
cached_value = functools.lru_cache(maxsize=None)(value)


@functools.lru_cache(maxsize=None)
def tensor_of(rule):
    """The deterministic value of a rule's variable, as a tensor. Do not write into it."""
    return torch.from_numpy(np.ascontiguousarray(rule.to_torch(value(rule.tf_name, rule.shape))))


@contextlib.contextmanager
def without_random_weights():
    """Convolutions start at no values: random ones take longer to draw than to compute with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_ConvNd, "reset_parameters", lambda self: None)
        yield


def normalised(image, options):
    """[1, 3, H, W] float32 input: padded with the official value, normalised in float32."""
    spec = golden_families.spec_of(options)
    crop = options["crop_size"] or image.shape[:2]
    padded = np.broadcast_to(spec.input.pad, (*crop, 3)).astype(np.float32)
    padded[: image.shape[0], : image.shape[1]] = image
    ready = golden_families.normalised(padded, spec)
    return torch.from_numpy(ready.transpose(2, 0, 1)[None].copy())


def build_head(options):
    spec = golden_families.spec_of(options)
    widths = [*(tap.channels for tap in spec.taps), spec.channels]
    strides = options.get("decoder_output_stride") or []
    taps = [TAP_INDEX[stride] for stride in strides]
    aspp_channels = options.get("aspp_convs_filters", 256)
    pool_crop = options.get("image_pooling_crop_size")
    image_pooling = options.get("add_image_level_feature", True)
    if pool_crop:
        stride = options.get("image_pooling_stride", (1, 1))
        image_pooling = dict(
            crop_size=pool_crop, output_stride=options["output_stride"], stride=stride
        )
    gated = options.get("aspp_with_squeeze_and_excitation")
    gate = "qsigmoid" if options.get("image_se_uses_qsigmoid") else "sigmoid"
    cell = {}
    if "dense_prediction_cell_json" in options:  # "dense_prediction_cell_NAME.json"
        name = options["dense_prediction_cell_json"][len("dense_prediction_cell_") : -len(".json")]
        cell = dict(dense_prediction_cell=name, output_stride=options["output_stride"])
    return DeepLabV3PlusHead(
        widths[-1],
        options.get("decoder_filters", 256) if strides else aspp_channels,
        num_classes=options["num_classes"],
        **(cell or dict(dilations=(1, *(options["atrous_rates"] or ())))),
        aspp_channels=aspp_channels,
        aspp_separable=options.get("aspp_with_separable_conv", True),
        aspp_squeeze_excite=gate if gated else None,
        aspp_projection=options.get("aspp_with_concat_projection", True),
        image_pooling=image_pooling,
        c1_in_index=taps,
        c1_in_channels=[widths[tap] for tap in taps] or 0,
        decoder_separable=options.get("decoder_use_separable_conv", True),
        decoder_sum_merge=options.get("decoder_use_sum_merge", False),
        decoder_logits=options.get("decoder_output_is_logits", False),
    )


class GoldenNetwork(nn.Module):
    """Backbone with the head or classifier that the options ask for, with deterministic weights."""

    def __init__(self, options):
        super().__init__()
        self.options = options
        self.spec = golden_families.spec_of(options)
        with without_random_weights():
            self.backbone = golden_families.build(self.spec, options)
            if options["mode"] == "network":
                self.decode_head = build_head(options)
            elif options["mode"] == "classify":
                self.classifier = nn.Conv2d(self.spec.channels, options["num_classes"], 1)
        self._fill()
        self.eval()

    def rules(self):
        """The name map of the network."""
        result = rules_of_model(self)
        if self.options["mode"] == "classify":
            scope, classes = f"{self.spec.scope}/logits", self.options["num_classes"]
            kernel = (1, 1, self.spec.channels, classes)
            result.append(Rule(f"{scope}/weights", "classifier.weight", kernel, "conv"))
            result.append(Rule(f"{scope}/biases", "classifier.bias", (classes,)))
        return result

    def _fill(self):
        state = {k: v for k, v in self.state_dict().items() if "num_batches_tracked" not in k}
        filled = {rule.torch_name: tensor_of(rule) for rule in self.rules()}
        assert filled.keys() == state.keys()
        self.load_state_dict(filled, strict=False)

    @torch.no_grad()
    def outputs(self, x):
        """Every output by the golden files' array names, NCHW tensors."""
        found = {}

        def keep(module, name, pick=lambda args, out: out):
            return module.register_forward_hook(
                # A copy: an activation behind it may work in place.
                lambda module, args, out: found.__setitem__(name, pick(args, out).clone())
            )

        handles = [
            keep(module, array, pick)
            for module, array, pick in golden_families.inner_outputs(self.backbone)
        ]
        if self.options["mode"] == "network":
            handles += [
                keep(module, array, pick)
                for module, array, pick in golden_heads.inner_outputs(self.decode_head)
            ]
            handles.append(keep(self.decode_head.context, "aspp_out"))
            handles += [keep(stage, "decoder_out") for stage in self.decode_head.decoder]
        features = self.backbone(x)
        for end_point, feature in zip((tap.end_point for tap in self.spec.taps), features):
            found[f"ep/{end_point}"] = feature
        found["backbone"] = features[-1]
        if self.options["mode"] == "classify":
            found["logits"] = self.classifier(features[-1].mean(dim=(2, 3), keepdim=True))
        elif self.options["mode"] == "network":
            found["logits"] = found["logits_raw"] = self.decode_head(features)
        for handle in handles:
            handle.remove()
        return found
